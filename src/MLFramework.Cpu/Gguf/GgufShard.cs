namespace MLFramework.Cpu;

/// <summary>One file of a model, with its header.</summary>
internal sealed class GgufShard : IDisposable
{
    private GgufShard(GgufSource source, int index) => (Source, Header) = (source, GgufHeader.Read(source, index));

    public GgufHeader Header { get; }

    public GgufSource Source { get; }

    public string? Path => Source.Path;

    /// <summary>Opens a file and reads its header.</summary>
    /// <param name="path">Path of the file.</param>
    /// <param name="index">Which file of a split model this is.</param>
    /// <exception cref="GgufException">Something is wrong with the header.</exception>
    public static GgufShard Open(string path, int index) => Read(GgufSource.Open(path), index);

    /// <summary>Reads the header of a file in memory.</summary>
    /// <exception cref="GgufException">Something is wrong with the header.</exception>
    public static GgufShard FromMemory(ReadOnlyMemory<byte> bytes) => Read(GgufSource.FromMemory(bytes), index: 0);

    public void Dispose() => Source.Dispose();

    private static GgufShard Read(GgufSource source, int index)
    {
        try
        {
            return new GgufShard(source, index);
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }
}
