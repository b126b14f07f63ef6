using System.Runtime.InteropServices;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>The functions of NVIDIA's management library (NVML) that are used, under its own names. Each returns an <c>nvmlReturn_t</c>.</summary>
internal interface INvml : IDisposable
{
    /// <summary>What every function returns when it succeeds (<c>NVML_SUCCESS</c>); each other value is an error.</summary>
    const int Success = 0;

    /// <summary><c>nvmlInit_v2</c>: before all others; counted, each to be matched by <see cref="Shutdown"/>.</summary>
    int Init();

    /// <summary><c>nvmlShutdown</c>.</summary>
    int Shutdown();

    /// <summary><c>nvmlDeviceGetHandleByIndex_v2</c>.</summary>
    int DeviceGetHandleByIndex(uint index, out nint device);

    /// <summary><c>nvmlDeviceGetUtilizationRates</c>; not supported on a device that is split by MIG.</summary>
    int DeviceGetUtilizationRates(nint device, out NvmlUtilization utilization);

    /// <summary><c>nvmlDeviceGetMemoryInfo</c>.</summary>
    int DeviceGetMemoryInfo(nint device, out NvmlMemory memory);
}

/// <summary><c>nvmlUtilization_t</c>: percent of the last sampling period, of 1/6 to 1 second.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NvmlUtilization
{
    /// <summary>In which one or more kernels ran.</summary>
    public uint Gpu;

    /// <summary>In which device memory was read or written.</summary>
    public uint Memory;
}

/// <summary><c>nvmlMemory_t</c>, in bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NvmlMemory
{
    public ulong Total;
    public ulong Free;

    /// <summary>Reserved by the driver and allocated by all processes.</summary>
    public ulong Used;
}
