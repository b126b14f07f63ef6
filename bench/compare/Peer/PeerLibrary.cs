using System.Runtime.InteropServices;
using System.Text;

namespace MLFramework.Compare;

/// <summary>llama.cpp v0.5.0 in this process: its C functions, and the CPU backend that it computes with.</summary>
/// <remarks>Loaded once per process and never unloaded: llama.cpp keeps its backends for the life of the process.</remarks>
internal sealed unsafe class PeerLibrary
{
    /// <summary>The version whose functions and parameters are known here.</summary>
    public const string Version = "0.5.0";

    private const string LlamaName = $"libllama.v{Version}.so", GgmlName = $"libggml.v{Version}.so", BackendPrefix = "libggml-cpu-", BackendSuffix = ".so";

    private readonly nint _llama, _ggml;

    private PeerLibrary(string folder, string? backend)
    {
        _ggml = NativeLibrary.Load(Path.Combine(folder, GgmlName));
        _llama = NativeLibrary.Load(Path.Combine(folder, LlamaName));
        ((delegate* unmanaged[Cdecl]<delegate* unmanaged[Cdecl]<int, byte*, void*, void>, void*, void>)Function("llama_log_set"))(&PeerLog.Receive, null);
        LoadBackend(folder, backend);
        Backend = PeerLog.Find("loaded CPU backend from ") is { } path ? Path.GetFileNameWithoutExtension(path)[BackendPrefix.Length..]
            : throw new CompareException("llama.cpp found no CPU backend that runs on this machine:\n" + PeerLog.Text);
        ((delegate* unmanaged[Cdecl]<void>)Function("llama_backend_init"))();
        if (!DefaultContext().AreKnownDefaults)
            throw new CompareException($"{LlamaName} has other context parameters than llama.cpp {Version} as npm's {PeerPackage.Pinned.Name}@{PeerPackage.Pinned.Version} has it; only that build is supported.");
        Features = Marshal.PtrToStringUTF8((nint)((delegate* unmanaged[Cdecl]<byte*>)Function("llama_print_system_info"))())!.Trim();
    }

    /// <summary>The instruction set that its CPU backend was built for, for example <c>haswell</c>.</summary>
    public string Backend { get; }

    /// <summary>What the backend says about itself.</summary>
    public string Features { get; }

    /// <summary>Loads the libraries.</summary>
    /// <param name="folder">Where they are.</param>
    /// <param name="backend">The CPU backend to use; null for the best that its own loader finds.</param>
    /// <exception cref="CompareException">They are not there, of another version, or do not run on this machine.</exception>
    public static PeerLibrary Load(string folder, string? backend)
    {
        Check(folder, backend);
        try
        {
            return new PeerLibrary(Path.GetFullPath(folder), backend);
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException or EntryPointNotFoundException)
        {
            throw new CompareException($"The libraries in {folder} cannot be loaded: {e.Message}", e);
        }
    }

    /// <summary>Refuses a folder that does not hold what is needed, with what it holds instead.</summary>
    internal static void Check(string folder, string? backend)
    {
        if (!Directory.Exists(folder)) throw new CompareException($"There is no folder {folder}. --peer names the folder with {LlamaName}.");
        string[] files = [.. Directory.GetFiles(folder).Select(Path.GetFileName).OfType<string>().Order(StringComparer.Ordinal)];
        if (!files.Contains(LlamaName) || !files.Contains(GgmlName))
        {
            string[] others = [.. files.Where(file => file.StartsWith("libllama.", StringComparison.Ordinal))];
            throw new CompareException($"Only llama.cpp {Version} can be called from here ({LlamaName} and {GgmlName}); {folder} holds {(others.Length == 0 ? "no libllama" : string.Join(", ", others))}.");
        }
        if (backend is not null && !files.Contains(BackendFile(backend)))
        {
            IEnumerable<string> known = files.Where(file => file.StartsWith(BackendPrefix, StringComparison.Ordinal)).Select(file => file[BackendPrefix.Length..^BackendSuffix.Length]);
            throw new CompareException($"There is no CPU backend '{backend}' in {folder}; there are {string.Join(", ", known)}.");
        }
    }

    /// <summary>The address of a function of llama.cpp or ggml.</summary>
    /// <exception cref="EntryPointNotFoundException">There is none of that name.</exception>
    public void* Function(string name) => (void*)(NativeLibrary.TryGetExport(_llama, name, out nint address) ? address : NativeLibrary.GetExport(_ggml, name));

    /// <summary>Its default parameters of a model.</summary>
    public PeerModelParameters DefaultModel() => ((delegate* unmanaged[Cdecl]<PeerModelParameters>)Function("llama_model_default_params"))();

    /// <summary>Its default parameters of a context.</summary>
    public PeerContextParameters DefaultContext() => ((delegate* unmanaged[Cdecl]<PeerContextParameters>)Function("llama_context_default_params"))();

    private void LoadBackend(string folder, string? backend)
    {
        string path = backend is null ? folder : Path.Combine(folder, BackendFile(backend));
        fixed (byte* text = Utf8(path))
        {
            if (backend is null) ((delegate* unmanaged[Cdecl]<byte*, void>)Function("ggml_backend_load_all_from_path"))(text);
            else ((delegate* unmanaged[Cdecl]<byte*, void*>)Function("ggml_backend_load"))(text);
        }
    }

    /// <summary>Zero-terminated, as C has it.</summary>
    internal static byte[] Utf8(string text) => [.. Encoding.UTF8.GetBytes(text), 0];

    private static string BackendFile(string backend) => BackendPrefix + backend + BackendSuffix;
}
