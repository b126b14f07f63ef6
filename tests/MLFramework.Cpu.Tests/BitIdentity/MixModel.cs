namespace MLFramework.Cpu.Tests;

/// <summary>A model that mixes are computed with.</summary>
/// <param name="Architecture">Family of a model of random weights; "demo" for the embedded one.</param>
/// <param name="Type">Type of its matrices.</param>
internal sealed record MixModel(string Architecture, TensorType Type)
{
    private const string Demo = "demo";
    private const int Window = 24;

    /// <summary>The embedded model in its three types, and a random one of each family in some type.</summary>
    public static IReadOnlyList<MixModel> All { get; } =
    [
        new(Demo, TensorType.Q8_0), new(Demo, TensorType.Q4_0), new(Demo, TensorType.F16),
        new("llama", TensorType.F32), new("qwen2", TensorType.Q4_0), new("qwen3", TensorType.BF16), new("gemma3", TensorType.Q8_0), new("phi3", TensorType.Q5_1),
        new("llama", TensorType.Q4_K), new("qwen2", TensorType.Q6_K),
    ];

    /// <summary>Number of token ids.</summary>
    public int VocabularySize => Architecture == Demo ? 2048 : SyntheticModel.VocabularySize;

    /// <summary>Most tokens that it sees.</summary>
    public int Context => Architecture == Demo ? 512 : 2048;

    /// <summary>Loads it for a kernel set.</summary>
    public CpuModel Load(KernelSet kernels)
    {
        if (Architecture == Demo) return CpuModel.Load(GgufFile.Open(TestModels.Demo(Type.ToString().ToLowerInvariant())), kernels);
        var model = new SyntheticModel(Architecture) { Type = Type, Context = Context, Window = Architecture is "llama" or "gemma3" or "phi3" && !IsWide ? Window : 0 };
        if (IsWide) model = model with { Embedding = 256, Inner = 512, HeadLength = 64 };
        return CpuModel.Load(GgufFile.FromMemory(model.Write()), kernels);
    }

    /// <summary>Whether rows must be long: these types have blocks of 256.</summary>
    private bool IsWide => Type is TensorType.Q4_K or TensorType.Q5_K or TensorType.Q6_K;

    public override string ToString() => $"{Architecture} {Type}";
}
