using System.Runtime.InteropServices;

namespace MLFramework.Cpu;

/// <summary>Ties threads to processors, where the system can do that.</summary>
internal static unsafe partial class ThreadAffinity
{
    /// <summary>Bits of the mask that the C library knows (<c>CPU_SETSIZE</c>).</summary>
    private const int MostProcessors = 1024;

    /// <summary>Has the calling thread run on one processor only.</summary>
    /// <param name="processor">Its number, as Linux counts them.</param>
    /// <returns>False if the system cannot do that, or the process may not run there: the thread then runs where it did.</returns>
    public static bool TryPin(int processor)
    {
        if (!OperatingSystem.IsLinux() || processor is < 0 or >= MostProcessors) return false;
        const int BitsPerWord = 64, Words = MostProcessors / BitsPerWord;
        ulong* mask = stackalloc ulong[Words];
        new Span<ulong>(mask, Words).Clear();
        mask[processor / BitsPerWord] = 1ul << processor % BitsPerWord;
        return SetAffinity(0, Words * sizeof(ulong), mask) == 0;
    }

    /// <summary>sched_setaffinity(2); thread 0 is the caller.</summary>
    [LibraryImport("libc", EntryPoint = "sched_setaffinity")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int SetAffinity(int thread, nuint bytes, ulong* mask);
}
