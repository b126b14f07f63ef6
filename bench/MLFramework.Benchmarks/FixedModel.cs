using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Benchmarks;

/// <summary>A model that costs nothing: one token for everybody, from one output made beforehand.</summary>
internal sealed class FixedModel : IModelExecutor
{
    private Task<BatchOutput> _output = Task.FromResult(new BatchOutput([], [], []));

    public void Answer(IReadOnlyCollection<Request> requests) => _output = Task.FromResult(
        new BatchOutput(requests.ToDictionary(r => r.Id, _ => 7), [], new bool[requests.Count]));

    public Task<BatchOutput> ExecuteBatchAsync(Batch batch, CancellationToken cancellationToken = default) => _output;
}

/// <summary>A tokenizer for prompts that are tokens already.</summary>
internal sealed class NoTokenizer : ITokenizer
{
    public int[] Encode(string text) => throw new NotSupportedException("The prompts of these benchmarks are token ids.");

    public string Decode(int[] tokenIds) => string.Empty;

    public int GetVocabSize() => 32_000;
}
