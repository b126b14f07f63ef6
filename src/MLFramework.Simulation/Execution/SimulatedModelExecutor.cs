using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Simulation;

/// <summary>
/// A model that computes nothing and takes as long as a <see cref="CostModel"/> says. A request's tokens depend on the seed, its
/// prompt's last token and the position only: not on the batch, not on time.
/// </summary>
/// <remarks>
/// A <see cref="SimulatedRequest"/> ends after its <see cref="SimulatedRequest.OutputTokens"/>; any other request goes on to its
/// token limit. One output object per batch size is reused, which the contract allows: a step allocates one task.
/// </remarks>
public sealed class SimulatedModelExecutor : IModelExecutor, IDisposable
{
    private readonly CostModel _cost;
    private readonly ulong _key;
    private readonly ExactTimer<BatchOutput> _timer;
    private readonly Dictionary<RequestId, int> _tokens = [];
    private readonly Dictionary<RequestId, float[]> _noLogits = [];
    private readonly Dictionary<int, BatchOutput> _outputBySize = [];

    /// <summary>Makes an executor.</summary>
    /// <param name="cost">Duration of a step.</param>
    /// <param name="timeProvider">The simulation's clock.</param>
    /// <param name="seed">The same seed gives the same tokens.</param>
    /// <exception cref="ArgumentNullException">An argument is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="cost"/> does not validate.</exception>
    public SimulatedModelExecutor(CostModel cost, TimeProvider timeProvider, ulong seed = 0)
    {
        ArgumentNullException.ThrowIfNull(cost);
        ArgumentNullException.ThrowIfNull(timeProvider);
        cost.Validate();
        _cost = cost;
        _key = CounterHash.Derive(seed, 1);
        _timer = new ExactTimer<BatchOutput>(timeProvider);
    }

    /// <summary>Time spent computing, over all steps begun.</summary>
    public TimeSpan BusyTime { get; private set; }

    /// <summary>Steps begun.</summary>
    public long Steps { get; private set; }

    /// <inheritdoc/>
    public string ModelName => "simulated";

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The batch has requests without a schedule: it was not made by a batch manager.</exception>
    public Task<BatchOutput> ExecuteBatchAsync(Batch batch, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(batch);
        if (batch.Schedule.Count != batch.Size)
        {
            throw new ArgumentException("The batch must say what each request computes; let a batch manager make it.", nameof(batch));
        }

        TimeSpan duration = _cost.StepDuration(batch);
        BusyTime += duration;
        Steps++;
        return _timer.CompleteAfter(duration, Sample(batch), cancellationToken);
    }

    /// <inheritdoc/>
    public TimeSpan EstimateDuration(Batch batch) => _cost.StepDuration(batch);

    /// <inheritdoc/>
    public void Dispose() => _timer.Dispose();

    private BatchOutput Sample(Batch batch)
    {
        BatchOutput output = OutputFor(batch.Size);
        _tokens.Clear();
        for (int i = 0; i < batch.Schedule.Count; i++)
        {
            ScheduledTokens work = batch.Schedule[i];
            bool isLast = work.ProducesToken && work.Request is SimulatedRequest r && r.GeneratedTokens + 1 >= r.OutputTokens;
            output.IsEosReached[i] = isLast;
            if (work.ProducesToken)
            {
                _tokens.Add(work.Request.Id, isLast ? SimulatedTokenizer.EosTokenId : TokenAfter(work));
            }
        }

        return output;
    }

    /// <summary>Depends on the token before and its position, as a real model's choice depends on its context.</summary>
    private int TokenAfter(ScheduledTokens work) =>
        SimulatedTokenizer.OrdinaryToken(CounterHash.At(_key ^ (uint)work.TokenIds[^1], (ulong)work.End));

    private BatchOutput OutputFor(int size)
    {
        if (!_outputBySize.TryGetValue(size, out BatchOutput? output))
        {
            output = new BatchOutput(_tokens, _noLogits, new bool[size]);
            _outputBySize.Add(size, output);
        }

        return output;
    }
}
