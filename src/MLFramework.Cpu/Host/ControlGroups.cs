namespace MLFramework.Cpu;

/// <summary>The memory limits that the control groups of a process set, versions 1 and 2 (kernel documentation, "cgroup-v1/memory" and "cgroup-v2").</summary>
internal static class ControlGroups
{
    private const string Version1 = "/sys/fs/cgroup/memory", Version2 = "/sys/fs/cgroup";

    /// <summary>Bytes that a process may still take before its tightest group is full, pages of files that can be dropped not counted; null for no limit.</summary>
    public static long? FindFreeMemory(HostFiles files)
    {
        long? least = null;
        foreach (string line in files.Lines("/proc/self/cgroup"))
        {
            // number:controllers:path, with no controllers for version 2
            string[] parts = line.Split(':', 3);
            if (parts.Length != 3) continue;
            bool isVersion2 = parts[1].Length == 0;
            if (!isVersion2 && !parts[1].Split(',').Contains("memory")) continue;
            foreach (string folder in Folders(isVersion2 ? Version2 : Version1, parts[2]))
            {
                long? free = isVersion2 ? Free(files, folder, "memory.max", "memory.current", "inactive_file") : Free(files, folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file");
                if (free is { } bytes) least = Math.Min(least ?? long.MaxValue, bytes);
            }
        }
        return least;
    }

    /// <summary>A group's folder and those above it: each can set a limit. In a container the path is often not visible, and the root is the container's own.</summary>
    private static IEnumerable<string> Folders(string mount, string path)
    {
        for (string at = path.TrimEnd('/'); at.Length > 0; at = at[..at.LastIndexOf('/')]) yield return mount + at;
        yield return mount;
    }

    private static long? Free(HostFiles files, string folder, string limit, string usage, string droppable) =>
        files.ReadNumber($"{folder}/{limit}") is { } most && files.ReadNumber($"{folder}/{usage}") is { } used
            ? Math.Max(0, most - used + (files.ReadField($"{folder}/memory.stat", droppable) ?? 0)) : null;
}
