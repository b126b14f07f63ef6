using System.Runtime.InteropServices;

namespace MLFramework.Cpu;

/// <summary>Memory outside the managed heap, zeroed and aligned to a cache line: kernels keep plain pointers into it.</summary>
/// <typeparam name="T">Type of the elements.</typeparam>
internal sealed unsafe class NativeBuffer<T> : SafeHandle where T : unmanaged
{
    private const int CacheLine = 64;

    /// <param name="length">Number of elements.</param>
    /// <param name="usesHugePages">Whether to ask for huge pages: for much memory that is read again and again.</param>
    /// <exception cref="OutOfMemoryException">There is not enough memory.</exception>
    public NativeBuffer(long length, bool usesHugePages = false)
        : base(0, ownsHandle: true)
    {
        Length = length;
        // Zeroed by the allocator: pages of a large buffer come into being only when they are first written.
        usesHugePages &= length * sizeof(T) >= HugePages.Size;
        int alignment = usesHugePages ? HugePages.Size : CacheLine;
        SetHandle((nint)NativeMemory.AllocZeroed(checked((nuint)(length * sizeof(T)) + (nuint)alignment)));
        Pointer = (T*)((handle + alignment - 1) / alignment * alignment);
        if (usesHugePages) HugePages.TryUse(Pointer, length * sizeof(T));
    }

    /// <summary>Number of elements.</summary>
    public long Length { get; }

    /// <summary>The first element; valid while the buffer lives.</summary>
    public T* Pointer { get; }

    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle()
    {
        NativeMemory.Free((void*)handle);
        return true;
    }
}
