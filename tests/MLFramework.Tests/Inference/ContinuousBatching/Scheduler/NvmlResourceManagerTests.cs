using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler;

public class NvmlResourceManagerTests
{
    private readonly FakeNvml _nvml = new(
        new FakeNvml.Device(Utilization: 73, TotalBytes: 85_899_345_920, UsedBytes: 5_000_000_000),
        new FakeNvml.Device(Utilization: 5, TotalBytes: 25_769_803_776, UsedBytes: 1_000));

    /// <summary>NVML_ERROR_UNINITIALIZED to NVML_ERROR_RESET_TYPE_NOT_SUPPORTED, NVML_ERROR_UNKNOWN, and one of a later version.</summary>
    private static IEnumerable<int> ErrorCodes => [.. Enumerable.Range(1, 30), 999, 1234];

    [Test]
    public void A_device_is_measured_by_its_index()
    {
        using NvmlResourceManager first = NvmlResourceManager.TryOpen(_nvml, 0)!;
        Assert.That((first.GetUtilization(), first.GetTotalMemoryBytes(), first.GetUsedMemoryBytes()), Is.EqualTo((73.0, 85_899_345_920L, 5_000_000_000L)));
        using NvmlResourceManager second = NvmlResourceManager.TryOpen(new FakeNvml(new(1, 1, 1), new(5, 25, 10)), 1)!;
        Assert.That((second.GetUtilization(), second.GetTotalMemoryBytes(), second.GetUsedMemoryBytes()), Is.EqualTo((5.0, 25L, 10L)));
    }

    [Test]
    public void A_device_that_is_not_there_is_not_opened_and_the_library_is_given_back()
    {
        Assert.That(NvmlResourceManager.TryOpen(_nvml, 2), Is.Null);
        Assert.That((_nvml.Initializations, _nvml.IsLoaded), Is.EqualTo((0, false)));
    }

    [TestCaseSource(nameof(ErrorCodes))]
    public void A_library_that_does_not_initialize_is_given_back(int error)
    {
        _nvml.Faults["Init"] = error;
        Assert.That(NvmlResourceManager.TryOpen(_nvml, 0), Is.Null);
        Assert.That((_nvml.Initializations, _nvml.IsLoaded), Is.EqualTo((0, false)));
    }

    [TestCaseSource(nameof(ErrorCodes))]
    public void A_device_that_does_not_open_gives_the_library_back(int error)
    {
        _nvml.Faults["DeviceGetHandleByIndex"] = error;
        Assert.That(NvmlResourceManager.TryOpen(_nvml, 0), Is.Null);
        Assert.That((_nvml.Initializations, _nvml.IsLoaded), Is.EqualTo((0, false)));
    }

    [TestCaseSource(nameof(ErrorCodes))]
    public void An_error_makes_one_reading_null_and_the_next_is_tried_anew(int error)
    {
        using NvmlResourceManager manager = NvmlResourceManager.TryOpen(_nvml, 0)!;
        _nvml.Faults["DeviceGetUtilizationRates"] = error;
        Assert.That(manager.GetUtilization(), Is.Null);
        Assert.That(manager.GetUsedMemoryBytes(), Is.EqualTo(5_000_000_000), "the other readings are not touched");

        _nvml.Faults.Clear();
        _nvml.Faults["DeviceGetMemoryInfo"] = error;
        Assert.That((manager.GetTotalMemoryBytes(), manager.GetUsedMemoryBytes()), Is.EqualTo(((long?)null, (long?)null)));
        Assert.That(manager.GetUtilization(), Is.EqualTo(73));
    }

    [Test]
    public void Disposing_gives_the_library_back_once()
    {
        NvmlResourceManager manager = NvmlResourceManager.TryOpen(_nvml, 0)!;
        manager.Dispose();
        manager.Dispose();
        Assert.That((_nvml.Initializations, _nvml.IsLoaded), Is.EqualTo((0, false)));
    }

    [Test]
    public void A_disposed_manager_refuses_to_read()
    {
        NvmlResourceManager manager = NvmlResourceManager.TryOpen(_nvml, 0)!;
        manager.Dispose();
        Assert.Throws<ObjectDisposedException>(() => manager.GetUtilization());
        Assert.Throws<ObjectDisposedException>(() => manager.GetTotalMemoryBytes());
        Assert.Throws<ObjectDisposedException>(() => manager.GetUsedMemoryBytes());
    }

    [Test]
    public void On_this_machine_it_opens_and_reads_or_says_that_it_cannot()
    {
        bool opened = NvmlResourceManager.TryCreate(out NvmlResourceManager? manager);
        Assert.That(manager is not null, Is.EqualTo(opened));
        using (manager)
        {
            Assert.That(manager?.GetUtilization() ?? 0, Is.InRange(0, 100));
            Assert.That(manager?.GetUsedMemoryBytes() ?? 0, Is.LessThanOrEqualTo(manager?.GetTotalMemoryBytes() ?? long.MaxValue));
        }
    }

    [Test]
    public void A_negative_index_is_refused() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => NvmlResourceManager.TryCreate(out _, -1));
}
