using System.Buffers.Binary;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cpu;

/// <summary>How the next token of a request is chosen.</summary>
/// <param name="Temperature">Divides the logits; 0 takes the largest.</param>
/// <param name="TopK">Most tokens to choose among; <see cref="int.MaxValue"/> for all.</param>
/// <param name="TopP">Probability that the tokens to choose among must reach, likeliest first, after <paramref name="TopK"/>.</param>
/// <param name="FrequencyPenalty">Subtracted from a token's logit for each time that it was generated.</param>
/// <param name="PresencePenalty">Subtracted from a token's logit if it was generated.</param>
/// <param name="Seed">Key of the random numbers.</param>
/// <param name="Sample">Which sample of its prompt.</param>
internal readonly record struct SamplingParameters(
    float Temperature = 1, int TopK = int.MaxValue, float TopP = 1, float FrequencyPenalty = 0, float PresencePenalty = 0, ulong Seed = 0, int Sample = 0)
{
    /// <summary>Those of a request. One without a seed has its id for a seed.</summary>
    public static SamplingParameters Of(Request request)
    {
        GenerationOptions options = request.Options ?? GenerationOptions.Default;
        return new SamplingParameters(
            options.Temperature ?? 1, options.TopK ?? int.MaxValue, options.TopP ?? 1, options.FrequencyPenalty ?? 0, options.PresencePenalty ?? 0,
            options.Seed is { } seed ? (ulong)seed : SeedOf(request.Id), request.SampleIndex);
    }

    private static ulong SeedOf(RequestId id)
    {
        Span<byte> bytes = stackalloc byte[16];
        id.Id.TryWriteBytes(bytes);
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes) ^ BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]);
    }
}
