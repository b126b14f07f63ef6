using MLFramework.Cpu.Tests;

namespace MLFramework.Compare;

/// <summary>A random model that both engines compute.</summary>
/// <param name="Name">What it is called.</param>
/// <param name="Model">The model.</param>
internal sealed record FidelityCase(string Name, SyntheticModel Model)
{
    private const int Window = 64;

    /// <summary>Every family, and what its files declare beyond the usual.</summary>
    public static IReadOnlyList<FidelityCase> All { get; } =
    [
        .. SyntheticModel.Architectures.Select(architecture => new FidelityCase(architecture, Shape(architecture))),
        Declaring("llama-linear", "llama", ("rope.scaling.type", "linear"), ("rope.scaling.factor", 4f)),
        Declaring("llama-yarn", "llama", ("rope.scaling.type", "yarn"), ("rope.scaling.factor", 4f), ("rope.scaling.original_context_length", 128)),
        new("llama-factors", Shape("llama") with { Extra = "rope_freqs.weight" }),
        Declaring("phi3-short", "phi3", ("rope.scaling.original_context_length", 1 << 16)),
        Declaring("gemma3-cap", "gemma3", ("final_logit_softcapping", 2f)),
    ];

    /// <summary>Rows are whole super-blocks, so that every type fits; of gemma3 one layer sees everything, and the last position has left the window of the others.</summary>
    private static SyntheticModel Shape(string architecture) => new(architecture)
    {
        Layers = 7, Embedding = 256, Inner = 512, Heads = 4, KVHeads = 2, HeadLength = 64, Context = 512, Window = architecture == "gemma3" ? Window : 0,
    };

    private static FidelityCase Declaring(string name, string architecture, params (string Key, object Value)[] declared) => new(name, Shape(architecture) with
    {
        Change = metadata =>
        {
            foreach ((string key, object value) in declared) metadata[$"{architecture}.{key}"] = value;
        },
    });
}
