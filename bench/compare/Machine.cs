using System.Globalization;
using System.Runtime.InteropServices;

namespace MLFramework.Compare;

/// <summary>What the numbers were measured on.</summary>
internal static class Machine
{
    /// <summary>The processor's name, as Linux has it.</summary>
    public static string Name
    {
        get
        {
            const string CpuInfo = "/proc/cpuinfo", Label = "model name";
            string? line = File.Exists(CpuInfo) ? File.ReadLines(CpuInfo).FirstOrDefault(line => line.StartsWith(Label, StringComparison.Ordinal)) : null;
            return line is null ? RuntimeInformation.ProcessArchitecture.ToString() : line[(line.IndexOf(':') + 1)..].Trim();
        }
    }

    /// <summary>How many threads wanted to run during the last minute; null where the system does not say. Numbers from a busy machine mean little.</summary>
    public static double? Load
    {
        get
        {
            const string LoadAverages = "/proc/loadavg";
            return File.Exists(LoadAverages) ? double.Parse(File.ReadAllText(LoadAverages).Split(' ')[0], CultureInfo.InvariantCulture) : null;
        }
    }
}
