using System.Formats.Tar;
using System.IO.Compression;
using System.Security.Cryptography;

namespace MLFramework.Compare;

/// <summary>A package of prebuilt llama.cpp libraries on npm, brought here when it is first needed and kept in a cache.</summary>
/// <param name="Name">The package's name on npm.</param>
/// <param name="Version">Its version.</param>
/// <param name="Integrity">What npm's registry states for it, <c>sha512-…</c>; anything else is refused.</param>
internal sealed record PeerPackage(string Name, string Version, string Integrity)
{
    /// <summary>Where a package keeps its libraries for Linux on x64.</summary>
    public const string LibraryFolder = "bins/linux-x64";

    private const string PackageRoot = "package/", IntegrityAlgorithm = "sha512-";

    /// <summary>llama.cpp v0.5.0, built by node-llama-cpp for every x64 instruction set that ggml knows.</summary>
    public static PeerPackage Pinned { get; } = new(
        "@node-llama-cpp/linux-x64", "3.22.1", "sha512-5uCCDNqWCNfaAm8aR/Uzxbo4HBpKgNF91kCHPepKhgMgV2OAmatoefbOlMihsqCiH2Od35E/eUHQCFbfRBJuOg==");

    /// <summary>The user's folder for what can be fetched again: <c>$XDG_CACHE_HOME</c>, else <c>~/.cache</c>.</summary>
    public static string DefaultCache
    {
        get
        {
            string? cache = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
            if (string.IsNullOrEmpty(cache)) cache = Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
            return Path.Combine(cache, "mlframework", "peers");
        }
    }

    /// <summary>The folder with the libraries: from the cache, or through npm.</summary>
    /// <param name="cache">Where packages are kept; made if it is missing.</param>
    /// <param name="npm">Runs npm.</param>
    /// <param name="report">Told what is fetched, with its integrity.</param>
    /// <exception cref="CompareException">npm or the network is missing, or what came is not the package pinned here.</exception>
    public string Fetch(string cache, INpm npm, Action<string> report)
    {
        string home = Path.Combine(cache, $"{Name.Replace('/', '-').TrimStart('@')}-{Version}"), libraries = Path.Combine(home, LibraryFolder);
        if (Directory.Exists(libraries)) return libraries;

        // Unpacked beside its place and moved there as a whole: an interruption leaves nothing that looks complete.
        string staging = Path.Combine(cache, $"staging-{Guid.NewGuid():N}");
        Directory.CreateDirectory(staging);
        try
        {
            report($"fetching {Name}@{Version} through npm");
            string archive = npm.Pack($"{Name}@{Version}", staging), integrity = IntegrityOf(archive);
            if (integrity != Integrity)
                throw new CompareException($"{Name}@{Version} has integrity {integrity}, but {Integrity} is pinned: the registry in use serves another file. Use registry.npmjs.org, or name a folder of your own with --peer.");
            report($"integrity {integrity}");
            string unpacked = Path.Combine(staging, "unpacked");
            Unpack(archive, unpacked);
            if (!Directory.Exists(Path.Combine(unpacked, LibraryFolder))) throw new CompareException($"{Name}@{Version} has no folder {LibraryFolder}.");
            if (!Directory.Exists(libraries)) Directory.Move(unpacked, home);
            return libraries;
        }
        finally
        {
            Directory.Delete(staging, recursive: true);
        }
    }

    /// <summary>The digest of a file as npm writes it.</summary>
    internal static string IntegrityOf(string path)
    {
        using FileStream file = File.OpenRead(path);
        return IntegrityAlgorithm + Convert.ToBase64String(SHA512.HashData(file));
    }

    /// <summary>Unpacks the regular files of the package folder; nothing else in an archive is wanted.</summary>
    private static void Unpack(string archive, string folder)
    {
        using var gzip = new GZipStream(File.OpenRead(archive), CompressionMode.Decompress);
        using var tar = new TarReader(gzip);
        string root = Path.GetFullPath(folder) + Path.DirectorySeparatorChar;
        while (tar.GetNextEntry() is { } entry)
        {
            if (entry.EntryType is not (TarEntryType.RegularFile or TarEntryType.V7RegularFile) || !entry.Name.StartsWith(PackageRoot, StringComparison.Ordinal)) continue;
            string path = Path.GetFullPath(Path.Combine(root, entry.Name[PackageRoot.Length..]));
            if (!path.StartsWith(root, StringComparison.Ordinal)) throw new CompareException($"The package holds '{entry.Name}', which lies outside its folder.");
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            entry.ExtractToFile(path, overwrite: false);
        }
    }
}
