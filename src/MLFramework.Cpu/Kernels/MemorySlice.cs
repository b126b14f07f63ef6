namespace MLFramework.Cpu;

/// <summary>A part of a buffer that several share: it is freed with the last of them, after the buffer itself was disposed.</summary>
internal sealed unsafe class MemorySlice : IDisposable
{
    private NativeBuffer<byte>? _buffer;

    /// <param name="buffer">The buffer.</param>
    /// <param name="offset">Where the part begins.</param>
    public MemorySlice(NativeBuffer<byte> buffer, long offset)
    {
        bool isHeld = false;
        buffer.DangerousAddRef(ref isHeld);
        _buffer = buffer;
        Pointer = buffer.Pointer + offset;
    }

    /// <summary>Lets go for owners that nobody disposed.</summary>
    ~MemorySlice() => Release();

    /// <summary>The first byte; valid until the slice is disposed.</summary>
    public byte* Pointer { get; }

    public void Dispose()
    {
        Release();
        GC.SuppressFinalize(this);
    }

    private void Release() => Interlocked.Exchange(ref _buffer, null)?.DangerousRelease();
}
