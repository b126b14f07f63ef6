using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Simulation;

/// <summary>Lets the recorder see each step where it begins and ends.</summary>
internal sealed class MeasuredExecutor(IModelExecutor inner, SimulationRecorder recorder) : IModelExecutor
{
    public string? ModelName => inner.ModelName;

    public bool SupportsGrammar => inner.SupportsGrammar;

    public TimeSpan EstimateDuration(Batch batch) => inner.EstimateDuration(batch);

    public async Task<BatchOutput> ExecuteBatchAsync(Batch batch, CancellationToken cancellationToken = default)
    {
        recorder.BeginStep(batch);
        BatchOutput output = await inner.ExecuteBatchAsync(batch, cancellationToken);
        recorder.EndStep(batch);
        return output;
    }
}
