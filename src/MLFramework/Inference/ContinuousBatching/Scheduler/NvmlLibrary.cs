using System.Runtime.InteropServices;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>NVML itself, loaded when it is asked for: a machine without NVIDIA's driver does not have it.</summary>
internal sealed class NvmlLibrary : INvml
{
    private readonly nint _library;
    private readonly NoArguments _init;
    private readonly NoArguments _shutdown;
    private readonly GetHandleByIndex _getHandleByIndex;
    private readonly GetUtilizationRates _getUtilizationRates;
    private readonly GetMemoryInfo _getMemoryInfo;

    private NvmlLibrary(nint library)
    {
        _library = library;
        _init = Function<NoArguments>("nvmlInit_v2");
        _shutdown = Function<NoArguments>("nvmlShutdown");
        _getHandleByIndex = Function<GetHandleByIndex>("nvmlDeviceGetHandleByIndex_v2");
        _getUtilizationRates = Function<GetUtilizationRates>("nvmlDeviceGetUtilizationRates");
        _getMemoryInfo = Function<GetMemoryInfo>("nvmlDeviceGetMemoryInfo");
    }

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate int NoArguments();

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate int GetHandleByIndex(uint index, out nint device);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate int GetUtilizationRates(nint device, out NvmlUtilization utilization);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate int GetMemoryInfo(nint device, out NvmlMemory memory);

    /// <summary>Name under which the driver installs the library on this system.</summary>
    public static string DefaultName => OperatingSystem.IsWindows() ? "nvml.dll" : "libnvidia-ml.so.1";

    /// <summary>Loads the library.</summary>
    /// <param name="name">File name or path.</param>
    /// <returns>The library; null when there is none of that name, or one too old to have every function.</returns>
    public static NvmlLibrary? TryLoad(string name)
    {
        if (!NativeLibrary.TryLoad(name, out nint library))
        {
            return null;
        }

        try
        {
            return new NvmlLibrary(library);
        }
        catch (EntryPointNotFoundException)
        {
            NativeLibrary.Free(library);
            return null;
        }
    }

    public int Init() => _init();

    public int Shutdown() => _shutdown();

    public int DeviceGetHandleByIndex(uint index, out nint device) => _getHandleByIndex(index, out device);

    public int DeviceGetUtilizationRates(nint device, out NvmlUtilization utilization) => _getUtilizationRates(device, out utilization);

    public int DeviceGetMemoryInfo(nint device, out NvmlMemory memory) => _getMemoryInfo(device, out memory);

    public void Dispose() => NativeLibrary.Free(_library);

    private T Function<T>(string name)
        where T : Delegate =>
        Marshal.GetDelegateForFunctionPointer<T>(NativeLibrary.GetExport(_library, name));
}
