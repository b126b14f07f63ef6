using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler;

/// <summary>
/// NVML as its reference says it behaves: initialization is counted, handles are opaque, each call before initialization or with a
/// foreign handle is an error, and any call can be made to fail.
/// </summary>
internal sealed class FakeNvml(params FakeNvml.Device[] devices) : INvml
{
    public const int Uninitialized = 1;
    public const int InvalidArgument = 2;
    private const nint FirstHandle = 0x1000;

    public sealed record Device(uint Utilization, ulong TotalBytes, ulong UsedBytes);

    public int Initializations { get; private set; }

    public bool IsLoaded { get; private set; } = true;

    /// <summary>What the next calls return instead of doing anything, by the name of the function.</summary>
    public Dictionary<string, int> Faults { get; } = [];

    public int Init() => Call(nameof(Init), requiresInit: false, () => Initializations++);

    public int Shutdown() => Call(nameof(Shutdown), requiresInit: true, () => Initializations--);

    public int DeviceGetHandleByIndex(uint index, out nint device)
    {
        device = 0;
        if (index >= devices.Length)
        {
            return Initializations > 0 ? InvalidArgument : Uninitialized;
        }

        nint handle = 0;
        int result = Call(nameof(DeviceGetHandleByIndex), requiresInit: true, () => handle = FirstHandle + (nint)index);
        device = handle;
        return result;
    }

    public int DeviceGetUtilizationRates(nint device, out NvmlUtilization utilization)
    {
        NvmlUtilization read = default;
        int result = Call(nameof(DeviceGetUtilizationRates), requiresInit: true, () => read.Gpu = Find(device).Utilization);
        utilization = read;
        return result;
    }

    public int DeviceGetMemoryInfo(nint device, out NvmlMemory memory)
    {
        NvmlMemory read = default;
        int result = Call(nameof(DeviceGetMemoryInfo), requiresInit: true, () =>
        {
            Device found = Find(device);
            read = new NvmlMemory { Total = found.TotalBytes, Used = found.UsedBytes, Free = found.TotalBytes - found.UsedBytes };
        });
        memory = read;
        return result;
    }

    public void Dispose()
    {
        Assert.That(IsLoaded, Is.True, "the library was unloaded twice");
        IsLoaded = false;
    }

    private Device Find(nint handle)
    {
        Assert.That(handle, Is.InRange(FirstHandle, FirstHandle + devices.Length - 1), "NVML crashes on a handle that it did not make");
        return devices[handle - FirstHandle];
    }

    private int Call(string function, bool requiresInit, Action body)
    {
        Assert.That(IsLoaded, Is.True, $"{function} was called after the library was unloaded");
        if (Faults.TryGetValue(function, out int fault))
        {
            return fault;
        }

        if (requiresInit && Initializations == 0)
        {
            return Uninitialized;
        }

        body();
        return INvml.Success;
    }
}
