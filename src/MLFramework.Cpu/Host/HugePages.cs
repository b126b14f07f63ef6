using System.Runtime.InteropServices;

namespace MLFramework.Cpu;

/// <summary>
/// Pages of 2 MB instead of 4 KB, where the system gives them on request: whoever reads all weights for every token spends a good part of the time looking
/// up where small pages are (measured: an eighth of a decode step at batch 1).
/// </summary>
internal static unsafe partial class HugePages
{
    /// <summary>Bytes of a page, and what an address must be a multiple of.</summary>
    public const int Size = 2 << 20;

    private const int MadvHugePage = 14;

    /// <summary>Asks for huge pages. They are a wish: without them everything is as it was.</summary>
    /// <param name="address">Where the memory begins, a multiple of <see cref="Size"/>.</param>
    /// <param name="bytes">Its length; a last part of a page gets small ones.</param>
    /// <returns>Whether the system takes the wish.</returns>
    public static bool TryUse(void* address, long bytes) => OperatingSystem.IsLinux() && bytes >= Size && Advise(address, (nuint)(bytes / Size * Size), MadvHugePage) == 0;

    /// <summary>madvise(2).</summary>
    [LibraryImport("libc", EntryPoint = "madvise")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Advise(void* address, nuint bytes, int advice);
}
