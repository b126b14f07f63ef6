using System.Diagnostics.CodeAnalysis;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>One NVIDIA device, measured through NVML (<c>libnvidia-ml.so.1</c>, <c>nvml.dll</c>), which comes with NVIDIA's driver.</summary>
/// <remarks>
/// Thread-safe. Whatever NVML answers but <c>NVML_SUCCESS</c> (no permission, not supported, device lost, …) makes that one reading null; the
/// next is tried anew, as most of these pass.
/// </remarks>
public sealed class NvmlResourceManager : IGPUResourceManager, IDisposable
{
    private readonly Lock _lock = new();
    private readonly INvml _nvml;
    private readonly nint _device;
    private bool _disposed;

    private NvmlResourceManager(INvml nvml, nint device)
    {
        _nvml = nvml;
        _device = device;
    }

    private delegate int Query<T>(nint device, out T value);

    /// <summary>Opens a device.</summary>
    /// <param name="manager">The device, to be disposed by the caller; null when the method returns false.</param>
    /// <param name="deviceIndex">NVML's index of the device, in the order of the PCI bus, from 0. <c>CUDA_VISIBLE_DEVICES</c> does not count here.</param>
    /// <returns>False when this machine has no NVML or no such device.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="deviceIndex"/> is negative.</exception>
    public static bool TryCreate([NotNullWhen(true)] out NvmlResourceManager? manager, int deviceIndex = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(deviceIndex);
        manager = NvmlLibrary.TryLoad(NvmlLibrary.DefaultName) is { } nvml ? TryOpen(nvml, (uint)deviceIndex) : null;
        return manager is not null;
    }

    /// <summary>Opens a device of a library that is loaded; takes the library over, whatever comes of it.</summary>
    internal static NvmlResourceManager? TryOpen(INvml nvml, uint deviceIndex)
    {
        if (nvml.Init() != INvml.Success)
        {
            nvml.Dispose();
            return null;
        }

        if (nvml.DeviceGetHandleByIndex(deviceIndex, out nint device) != INvml.Success)
        {
            Close(nvml);
            return null;
        }

        return new NvmlResourceManager(nvml, device);
    }

    /// <inheritdoc/>
    /// <exception cref="ObjectDisposedException">The manager was disposed.</exception>
    public double? GetUtilization() => Read<NvmlUtilization>(_nvml.DeviceGetUtilizationRates)?.Gpu;

    /// <inheritdoc/>
    /// <exception cref="ObjectDisposedException">The manager was disposed.</exception>
    public long? GetTotalMemoryBytes() => (long?)Read<NvmlMemory>(_nvml.DeviceGetMemoryInfo)?.Total;

    /// <inheritdoc/>
    /// <remarks>What the driver reserves for itself counts as used.</remarks>
    /// <exception cref="ObjectDisposedException">The manager was disposed.</exception>
    public long? GetUsedMemoryBytes() => (long?)Read<NvmlMemory>(_nvml.DeviceGetMemoryInfo)?.Used;

    /// <summary>Gives NVML back.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (!_disposed)
            {
                _disposed = true;
                Close(_nvml);
            }
        }
    }

    private static void Close(INvml nvml)
    {
        // Its only error here is "not initialized": nothing is left to be done about it.
        _ = nvml.Shutdown();
        nvml.Dispose();
    }

    /// <summary>Under the lock, so that the library is never unloaded during a call.</summary>
    private T? Read<T>(Query<T> query)
        where T : struct
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return query(_device, out T value) == INvml.Success ? value : null;
        }
    }
}
