namespace MLFramework.Cli;

/// <summary>Files that commands write: there whole or not at all.</summary>
internal static class OutputFile
{
    /// <summary>Writes a file under another name and then gives it its own.</summary>
    /// <param name="path">The file.</param>
    /// <param name="replaces">Whether a file that is there may be replaced.</param>
    /// <param name="length">Bytes that it will need at least.</param>
    /// <param name="write">Writes it; if this fails, nothing remains.</param>
    /// <returns>Bytes written.</returns>
    /// <exception cref="UsageException">The file is there already, its folder is missing, or the disk has too little room.</exception>
    /// <exception cref="IOException">It cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written.</exception>
    public static long Write(string path, bool replaces, long length, Action<Stream> write)
    {
        string full = Path.GetFullPath(path), folder = Path.GetDirectoryName(full) ?? throw new UsageException($"{path} is a folder, not a file.");
        CheckTarget(path, full, folder, replaces);
        CheckSpace(path, folder, length);
        string partial = full + ".partial";
        try
        {
            using (var stream = new FileStream(partial, FileMode.Create, FileAccess.ReadWrite, FileShare.None, bufferSize: 1 << 20))
            {
                write(stream);
                length = stream.Length;
            }

            File.Move(partial, full, overwrite: replaces);
            return length;
        }
        catch
        {
            File.Delete(partial);
            throw;
        }
    }

    private static void CheckTarget(string path, string full, string folder, bool replaces)
    {
        if (!Directory.Exists(folder))
        {
            throw new UsageException($"{path}: there is no folder {folder}; make it first.");
        }

        if (Directory.Exists(full))
        {
            throw new UsageException($"{path} is a folder; name a file.");
        }

        if (!replaces && File.Exists(full))
        {
            throw new UsageException($"{path} exists; name another file, or add --force to replace it.");
        }
    }

    private static void CheckSpace(string path, string folder, long length)
    {
        // Shares of other machines have no drive to ask; there, writing tells.
        if (folder.StartsWith(@"\\", StringComparison.Ordinal))
        {
            return;
        }

        long free = new DriveInfo(folder).AvailableFreeSpace;
        if (free < length)
        {
            throw new UsageException($"{path} needs {ByteCount.Format(length)}, and the disk has {ByteCount.Format(free)} free; make room, or name a file elsewhere.");
        }
    }
}
