namespace MLFramework.Cpu;

/// <summary>The shape of a published model, without its weights.</summary>
/// <param name="Name">Name by which it is asked for.</param>
/// <param name="Title">Name that goes into the file.</param>
/// <param name="Architecture"><c>general.architecture</c>, one of those that this engine runs.</param>
/// <param name="Layers">Number of layers.</param>
/// <param name="EmbeddingLength">Elements of a token's representation.</param>
/// <param name="FeedForwardLength">Elements inside a feed-forward layer.</param>
/// <param name="Heads">Heads of queries.</param>
/// <param name="KVHeads">Heads of keys and values.</param>
/// <param name="HeadLength">Elements of a head.</param>
/// <param name="ContextLength">Most tokens that it sees.</param>
/// <param name="RotaryBase">Base of the rotation's wavelengths.</param>
/// <param name="NormEpsilon">ε of the normalizations.</param>
/// <param name="Vocabulary">Its tokens.</param>
public sealed record ModelShape(
    string Name, string Title, string Architecture, int Layers, int EmbeddingLength, int FeedForwardLength, int Heads, int KVHeads, int HeadLength,
    int ContextLength, float RotaryBase, float NormEpsilon, VocabularyShape Vocabulary)
{
    /// <summary>Whether the embeddings are the output matrix too.</summary>
    public bool IsTied { get; init; } = true;

    /// <summary>How rotations are slowed for contexts beyond those of the pre-training, as Llama 3.1 and later do; null for not at all.</summary>
    public RotaryStretch? Stretch { get; init; }

    /// <summary>Positions that a layer with a sliding window sees; null if no layer has one.</summary>
    public int? SlidingWindow { get; init; }

    /// <summary>The shapes that are known by name.</summary>
    public static IReadOnlyList<ModelShape> All { get; } =
    [
        new("smollm2-135m", "SmolLM2 135M", "llama", 30, 576, 1536, 9, 3, 64, 8192, 100_000, 1e-5f, VocabularyShape.SmolLM2),
        new("qwen2.5-0.5b", "Qwen2.5 0.5B", "qwen2", 24, 896, 4864, 14, 2, 64, 32_768, 1_000_000, 1e-6f, VocabularyShape.Qwen),
        new("llama3.2-1b", "Llama 3.2 1B", "llama", 16, 2048, 8192, 32, 8, 64, 131_072, 500_000, 1e-5f, VocabularyShape.Llama3)
        {
            Stretch = new RotaryStretch(Factor: 32, LowFrequencyFactor: 1, HighFrequencyFactor: 4, OriginalContext: 8192),
        },
        new("qwen3-0.6b", "Qwen3 0.6B", "qwen3", 28, 1024, 3072, 16, 8, 128, 40_960, 1_000_000, 1e-6f, VocabularyShape.Qwen),
        new("gemma3-1b", "Gemma 3 1B", "gemma3", 26, 1152, 6912, 4, 1, 256, 32_768, 1_000_000, 1e-6f, VocabularyShape.Gemma3) { SlidingWindow = 512 },
        new("phi3-mini", "Phi-3 mini 4k", "phi3", 32, 3072, 8192, 32, 32, 96, 4096, 10_000, 1e-5f, VocabularyShape.Phi3) { IsTied = false },
    ];
}

/// <summary>The rotation of Llama 3.1: pairs with wavelengths beyond the original context turn slower by a factor, short ones as before.</summary>
/// <param name="Factor">How much slower the longest wavelengths turn.</param>
/// <param name="LowFrequencyFactor">From original context / this on, wavelengths are slowed in full.</param>
/// <param name="HighFrequencyFactor">Up to original context / this, wavelengths stay; between the two it changes smoothly.</param>
/// <param name="OriginalContext">Context of the pre-training.</param>
public sealed record RotaryStretch(float Factor, float LowFrequencyFactor, float HighFrequencyFactor, int OriginalContext)
{
    /// <summary>Divisors of the frequencies of all rotary pairs.</summary>
    /// <param name="length">Rotated elements of a head.</param>
    /// <param name="rotaryBase">Base of the wavelengths.</param>
    internal float[] Divisors(int length, float rotaryBase) => [.. Enumerable.Range(0, length / 2).Select(i => Divisor(2 * Math.PI * Math.Pow(rotaryBase, 2.0 * i / length)))];

    private float Divisor(double wavelength)
    {
        double smooth = Math.Clamp((OriginalContext / wavelength - LowFrequencyFactor) / (HighFrequencyFactor - LowFrequencyFactor), 0, 1);
        return (float)(1 / ((1 - smooth) / Factor + smooth));
    }
}
