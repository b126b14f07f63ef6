using System.Diagnostics;

namespace MLFramework.Compare;

/// <summary><c>mlf</c> in a process of its own, as a user starts it.</summary>
internal static class MlfProcess
{
    private static readonly TimeProvider s_clock = TimeProvider.System;

    /// <summary>Runs a command to its end.</summary>
    /// <returns>The lines of standard output.</returns>
    /// <exception cref="CompareException">It failed.</exception>
    public static string[] Run(params string[] arguments)
    {
        using Process process = Start(arguments);
        string output = process.StandardOutput.ReadToEnd();
        WaitForSuccess(process, arguments);
        return output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    /// <summary>Time from before the process exists to its first byte of output.</summary>
    /// <exception cref="CompareException">It failed.</exception>
    public static TimeSpan TimeToFirstOutput(params string[] arguments)
    {
        long start = s_clock.GetTimestamp();
        using Process process = Start(arguments);
        bool isSilent = process.StandardOutput.BaseStream.ReadByte() < 0;
        TimeSpan elapsed = s_clock.GetElapsedTime(start);
        process.StandardOutput.ReadToEnd();
        WaitForSuccess(process, arguments);
        return isSilent ? throw new CompareException($"mlf {string.Join(' ', arguments)} wrote nothing.") : elapsed;
    }

    private static Process Start(string[] arguments) => Process.Start(new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "mlf"), arguments)
    {
        RedirectStandardOutput = true,
        RedirectStandardError = true,
    })!;

    /// <summary>What it says on standard error is short: a pipe holds it.</summary>
    private static void WaitForSuccess(Process process, string[] arguments)
    {
        string errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0) throw new CompareException($"mlf {string.Join(' ', arguments)} ended with exit code {process.ExitCode}: {errors.Trim()}");
    }
}
