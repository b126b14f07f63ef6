using System.CommandLine;
using System.Runtime.InteropServices;

namespace MLFramework.Compare;

/// <summary>Where llama.cpp comes from, and how much of the machine both engines may use.</summary>
internal sealed class PeerOptions
{
    private readonly Option<string?> _peer = new("--peer") { Description = "Folder with llama.cpp's libraries [fetched once through npm]." };
    private readonly Option<string?> _cache = new("--cache") { Description = $"Where fetched packages are kept [{PeerPackage.DefaultCache}]." };
    private readonly Option<string?> _backend = new("--peer-backend") { Description = "llama.cpp's CPU backend, for example haswell [what its own loader picks]." };

    /// <summary>Adds the options.</summary>
    public void AddTo(Command command)
    {
        command.Add(_peer);
        command.Add(_cache);
        command.Add(_backend);
    }

    /// <summary>Loads llama.cpp as the options say.</summary>
    /// <exception cref="CompareException">It cannot be had, or does not run here.</exception>
    public PeerLibrary Load(ParseResult parsed)
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64)
            throw new CompareException("llama.cpp's prebuilt libraries are called by the conventions of Linux on x64; this machine is another.");
        string folder = parsed.GetValue(_peer) ?? PeerPackage.Pinned.Fetch(parsed.GetValue(_cache) ?? PeerPackage.DefaultCache, new NpmProcess(), Console.Error.WriteLine);
        var library = PeerLibrary.Load(folder, parsed.GetValue(_backend));
        Console.Error.WriteLine($"llama.cpp {PeerLibrary.Version}, backend {library.Backend}: {library.Features}");
        return library;
    }
}
