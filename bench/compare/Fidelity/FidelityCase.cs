using MLFramework.Cpu.Tests;

namespace MLFramework.Compare;

/// <summary>A random model that both engines compute.</summary>
/// <param name="Name">What it is called in reports.</param>
/// <param name="Model">The model.</param>
/// <param name="PeerSeesWindow">Whether llama.cpp minds the sliding window that the file declares.</param>
internal sealed record FidelityCase(string Name, SyntheticModel Model, bool PeerSeesWindow = true)
{
    /// <summary>Positions that a layer with a window sees.</summary>
    private const int Window = 100;

    /// <summary>Every family, and what files of it declare beyond the usual.</summary>
    public static IReadOnlyList<FidelityCase> All { get; } =
    [
        .. SyntheticModel.Architectures.Select(architecture => new FidelityCase(architecture, Shape(architecture))),
        Llama("llama linear", ("type", "linear"), ("factor", 4f)),
        Llama("llama yarn", ("type", "yarn"), ("factor", 4f), ("original_context_length", 256)),
        new("llama factors", Shape("llama") with { Extra = "rope_freqs.weight" }),
        new("phi3 short", Shape("phi3") with { Change = metadata => metadata["phi3.rope.scaling.original_context_length"] = 1024 }),
        new("gemma3 caps", Shape("gemma3") with { Change = metadata => metadata["gemma3.final_logit_softcapping"] = 2f }),
        new("llama window", Shape("llama") with { Window = Window }, PeerSeesWindow: false),
        new("phi3 window", Shape("phi3") with { Window = Window }, PeerSeesWindow: false),
    ];

    /// <summary>Whether llama.cpp computes the same at a position.</summary>
    public bool IsSharedAt(int position) => PeerSeesWindow || position < Model.Window;

    /// <summary>Large enough for super-blocks of 256; of gemma3 enough layers for one that sees everything, and a window.</summary>
    private static SyntheticModel Shape(string architecture) => new(architecture)
    {
        Embedding = 256, Inner = 512, HeadLength = 64, Context = 1024,
        Layers = architecture == "gemma3" ? 7 : 3,
        Window = architecture == "gemma3" ? Window : 0,
    };

    private static FidelityCase Llama(string name, params (string Key, object Value)[] scaling) => new(name, Shape("llama") with
    {
        Change = metadata =>
        {
            foreach ((string key, object value) in scaling) metadata[$"llama.rope.scaling.{key}"] = value;
        },
    });
}
