namespace MLFramework.Compare.Tests;

/// <summary>A folder that goes with the test.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    /// <summary>The folder, which exists.</summary>
    public string Path { get; } = Directory.CreateTempSubdirectory("mlframework-compare-").FullName;

    /// <summary>A path in it.</summary>
    public string this[string name] => System.IO.Path.Combine(Path, name);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
