using System.Runtime.InteropServices;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cpu;

/// <summary>What was sampled for one request.</summary>
/// <param name="Token">The token.</param>
/// <param name="LogProbs">Its log-probability and the likeliest alternatives, from the model's own logits; null unless asked for.</param>
/// <param name="IsFinite">Whether the logits were numbers; if not, the rest means nothing.</param>
internal readonly record struct SampledToken(int Token, TokenLogProbs? LogProbs, bool IsFinite);

/// <summary>Samples a token for each output of a pass, as soon as its logits are there.</summary>
internal sealed unsafe class BatchSampler : ILogitsConsumer
{
    private readonly Sampler[] _samplers;
    private readonly List<(Request Request, int Position)> _requests = [];
    private SampledToken[] _sampled = [];

    /// <param name="members">Members of the team that computes.</param>
    /// <param name="vocabularySize">Number of token ids.</param>
    public BatchSampler(int members, int vocabularySize) => _samplers = [.. Enumerable.Range(0, members).Select(_ => new Sampler(vocabularySize))];

    /// <summary>What was sampled for an output.</summary>
    public SampledToken this[int output] => _sampled[output];

    /// <summary>Forgets all requests.</summary>
    public void Clear() => _requests.Clear();

    /// <summary>Adds the request of the next output.</summary>
    /// <param name="request">The request.</param>
    /// <param name="position">Position of the token to be sampled.</param>
    public void Add(Request request, int position)
    {
        _requests.Add((request, position));
        if (_sampled.Length < _requests.Count) Array.Resize(ref _sampled, Math.Max(_requests.Count, 2 * _sampled.Length));
    }

    public void Consume(int member, int output, Span<float> logits)
    {
        fixed (float* pointer = logits)
            if (!RowKernels.IsFinite(pointer, logits.Length))
            {
                _sampled[output] = default;
                return;
            }

        (Request request, int position) = _requests[output];
        GenerationOptions? options = request.Options;
        bool changesLogits = options is { FrequencyPenalty: not (null or 0) } or { PresencePenalty: not (null or 0) };
        float[]? own = changesLogits && options!.TopLogProbs is not null ? logits.ToArray() : null;
        int token = _samplers[member].Sample(logits, SamplingParameters.Of(request), CollectionsMarshal.AsSpan(request.GeneratedTokenIds), position);
        TokenLogProbs? logProbs = options?.TopLogProbs is { } top ? TokenLogProbs.FromLogits(own ?? logits, token, top) : null;
        _sampled[output] = new SampledToken(token, logProbs, IsFinite: true);
    }
}
