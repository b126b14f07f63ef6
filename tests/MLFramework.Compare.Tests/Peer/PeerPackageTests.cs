using System.Formats.Tar;
using System.IO.Compression;

namespace MLFramework.Compare.Tests;

public sealed class PeerPackageTests : IDisposable
{
    private const string Library = "libllama.v0.5.0.so";

    private readonly TemporaryFolder _folder = new();
    private readonly FakeNpm _npm = new($"package/{PeerPackage.LibraryFolder}/{Library}", "package/LICENSE", "elsewhere/file");
    private readonly List<string> _said = [];

    public void Dispose() => _folder.Dispose();

    [Test]
    public void A_package_is_fetched_once_and_its_integrity_is_said()
    {
        PeerPackage package = PackageOf(_npm);

        string libraries = package.Fetch(_folder.Path, _npm, _said.Add), again = package.Fetch(_folder.Path, _npm, _said.Add);

        Assert.That(again, Is.EqualTo(libraries));
        Assert.That(_npm.Packed, Is.EqualTo(new[] { "@scope/name@1.2.3" }));
        Assert.That(File.ReadAllText(Path.Combine(libraries, Library)), Is.EqualTo(Library));
        Assert.That(_said, Has.Some.Contains(package.Integrity));
    }

    [Test]
    public void Only_the_package_folder_is_unpacked_and_nothing_else_is_left()
    {
        PackageOf(_npm).Fetch(_folder.Path, _npm, _said.Add);

        IEnumerable<string> files = Directory.EnumerateFiles(_folder.Path, "*", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(_folder.Path, path));
        Assert.That(files, Is.EquivalentTo(new[] { $"scope-name-1.2.3/{PeerPackage.LibraryFolder}/{Library}", "scope-name-1.2.3/LICENSE" }));
        Assert.That(Directory.EnumerateDirectories(_folder.Path), Has.Exactly(1).Items);
    }

    [Test]
    public void Another_file_than_the_pinned_one_is_refused_and_not_kept()
    {
        PeerPackage package = PackageOf(_npm) with { Integrity = "sha512-other" };

        Assert.That(() => package.Fetch(_folder.Path, _npm, _said.Add), Throws.TypeOf<CompareException>().With.Message.Contains("sha512-other is pinned"));
        Assert.That(Directory.EnumerateFileSystemEntries(_folder.Path), Is.Empty);
    }

    [Test]
    public void A_failure_of_npm_leaves_nothing_behind()
    {
        _npm.Failure = new CompareException("no network");

        Assert.That(() => PackageOf(_npm).Fetch(_folder.Path, _npm, _said.Add), Throws.TypeOf<CompareException>().With.Message.EqualTo("no network"));
        Assert.That(Directory.EnumerateFileSystemEntries(_folder.Path), Is.Empty);
    }

    [Test]
    public void An_entry_that_points_out_of_its_folder_is_refused()
    {
        var npm = new FakeNpm("package/../../../outside");

        Assert.That(() => PackageOf(npm).Fetch(_folder.Path, npm, _said.Add), Throws.TypeOf<CompareException>().With.Message.Contains("outside its folder"));
    }

    [Test]
    public void A_package_without_libraries_is_refused()
    {
        var npm = new FakeNpm("package/LICENSE");

        Assert.That(() => PackageOf(npm).Fetch(_folder.Path, npm, _said.Add), Throws.TypeOf<CompareException>().With.Message.Contains("has no folder"));
    }

    [Test]
    public void Without_npm_the_error_says_what_to_install_and_what_to_do_instead() =>
        Assert.That(() => new NpmProcess("no-such-program-anywhere").Pack("name@1", _folder.Path), Throws.TypeOf<CompareException>().With.Message.Contains("Install Node.js").And.Message.Contains("--peer"));

    [Test]
    public void A_folder_without_the_version_known_here_is_refused_with_what_it_holds()
    {
        File.WriteAllText(_folder["libllama.v0.6.0.so"], "");

        Assert.That(() => PeerLibrary.Check(_folder.Path, backend: null), Throws.TypeOf<CompareException>().With.Message.Contains("Only llama.cpp 0.5.0").And.Message.Contains("libllama.v0.6.0.so"));
        Assert.That(() => PeerLibrary.Check(_folder["missing"], backend: null), Throws.TypeOf<CompareException>().With.Message.Contains("There is no folder"));
    }

    [Test]
    public void An_unknown_backend_is_refused_with_the_known_ones()
    {
        foreach (string file in (string[])[Library, "libggml.v0.5.0.so", "libggml-cpu-haswell.so", "libggml-cpu-zen4.so"]) File.WriteAllText(_folder[file], "");

        Assert.That(() => PeerLibrary.Check(_folder.Path, "zen4"), Throws.Nothing);
        Assert.That(() => PeerLibrary.Check(_folder.Path, "zen9"), Throws.TypeOf<CompareException>().With.Message.EndsWith("there are haswell, zen4."));
    }

    private PeerPackage PackageOf(FakeNpm npm)
    {
        string archive = _folder["probe.tgz"];
        npm.Write(archive);
        string integrity = PeerPackage.IntegrityOf(archive);
        File.Delete(archive);
        return new PeerPackage("@scope/name", "1.2.3", integrity);
    }

    /// <summary>Serves one archive, whose files hold their own names.</summary>
    private sealed class FakeNpm(params string[] entries) : INpm
    {
        public List<string> Packed { get; } = [];

        public CompareException? Failure { get; set; }

        public string Pack(string package, string folder)
        {
            Packed.Add(package);
            if (Failure is not null) throw Failure;
            string archive = Path.Combine(folder, "archive.tgz");
            Write(archive);
            return archive;
        }

        public void Write(string archive)
        {
            using var gzip = new GZipStream(File.Create(archive), CompressionLevel.NoCompression);
            using var tar = new TarWriter(gzip);
            foreach (string entry in entries)
            {
                using var content = new MemoryStream(System.Text.Encoding.UTF8.GetBytes(Path.GetFileName(entry)));
                tar.WriteEntry(new UstarTarEntry(TarEntryType.RegularFile, entry) { DataStream = content, ModificationTime = DateTimeOffset.UnixEpoch });
            }
        }
    }
}
