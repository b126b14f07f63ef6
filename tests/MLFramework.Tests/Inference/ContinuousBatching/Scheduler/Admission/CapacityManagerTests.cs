using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;
using NSubstitute;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler.Admission;

/// <summary>The capacity manager by itself: every limit holds, and what is given back can be given again.</summary>
public class CapacityManagerTests
{
    private static readonly CapacityConstraints s_wide = new(
        MaxBatchSize: 100, MaxMemoryBytes: 1000, MemoryPerSlotBytes: 1, MaxConcurrentRequests: 100, MemoryBufferRatio: 0);

    [Test]
    public void An_allocation_tells_what_was_given_and_when()
    {
        var clock = new VirtualTimeProvider();
        var manager = new CapacityManager(s_wide with { MemoryPerSlotBytes = 7 }, null, clock);
        Request request = New();
        Assert.That(manager.TryAllocate(request, out ResourceAllocation allocation));
        Assert.That(allocation, Is.EqualTo(new ResourceAllocation(request.Id, 7, 1, clock.GetUtcNow().UtcDateTime)));
    }

    [Test]
    public void Slots_end_at_the_batch_size() => AssertCapacity(s_wide with { MaxBatchSize = 3 }, 3);

    [Test]
    public void Slots_end_at_the_concurrent_requests() => AssertCapacity(s_wide with { MaxConcurrentRequests = 2 }, 2);

    [Test]
    public void Memory_ends_where_another_slot_does_not_fit() => AssertCapacity(s_wide with { MemoryPerSlotBytes = 300 }, 3);

    [Test]
    public void The_buffer_is_never_given_out() => AssertCapacity(s_wide with { MemoryPerSlotBytes = 300, MemoryBufferRatio = 0.4 }, 2);

    [Test]
    public void A_refusal_gives_nothing()
    {
        var manager = new CapacityManager(s_wide with { MaxBatchSize = 1 });
        manager.TryAllocate(New(), out _);
        Assert.That(manager.TryAllocate(New(), out ResourceAllocation refused), Is.False);
        Assert.That((refused.AllocatedSlots, refused.AllocatedMemoryBytes), Is.EqualTo((0, 0L)));
        Assert.That(manager.AllocationCount, Is.EqualTo(1));
    }

    [Test]
    public void Asking_again_gives_the_same()
    {
        var manager = new CapacityManager(s_wide with { MaxBatchSize = 1 });
        Request request = New();
        manager.TryAllocate(request, out ResourceAllocation first);
        Assert.That(manager.TryAllocate(request, out ResourceAllocation second));
        Assert.That(second, Is.SameAs(first));
        Assert.That(manager.AllocationCount, Is.EqualTo(1));
    }

    [Test]
    public void What_is_released_can_be_given_again_and_only_once()
    {
        var manager = new CapacityManager(s_wide with { MaxBatchSize = 2 });
        Request[] requests = [New(), New()];
        Array.ForEach(requests, r => manager.TryAllocate(r, out _));
        manager.Release(requests[0].Id);
        manager.Release(requests[0].Id);
        manager.Release(RequestId.New());
        Assert.That(manager.GetAvailableCapacity(), Is.EqualTo((1, 999L)));
    }

    [Test]
    public void Utilization_is_in_percent_of_what_is_configured()
    {
        IGPUResourceManager gpu = Substitute.For<IGPUResourceManager>();
        gpu.GetUtilization().Returns(42.0);
        var manager = new CapacityManager(s_wide with { MaxBatchSize = 4, MaxConcurrentRequests = 10, MemoryPerSlotBytes = 125 }, gpu);
        manager.TryAllocate(New(), out _);
        Assert.That(manager.GetUtilization(), Is.EqualTo(new CapacityUtilization(25, 12.5, 10, 42)));
        Assert.That(new CapacityManager(s_wide).GetUtilization(), Is.EqualTo(new CapacityUtilization(0, 0, 0, null)));
    }

    [Test]
    public void A_batch_fits_or_not_beside_what_is_allocated()
    {
        var manager = new CapacityManager(s_wide with { MaxBatchSize = 4, MemoryPerSlotBytes = 100 });
        manager.TryAllocate(New(), out _);
        Assert.That(manager.CanFitBatch(3, 900));
        Assert.That(manager.CanFitBatch(4, 0), Is.False);
        Assert.That(manager.CanFitBatch(0, 901), Is.False);
        Assert.That(manager.CanFitBatch(0, long.MaxValue), Is.False, "No overflow.");
    }

    [Test]
    public void A_request_is_charged_for_its_tokens_where_they_are_more_than_its_slot()
    {
        var manager = new CapacityManager(s_wide with { MemoryPerSlotBytes = 100, MemoryPerTokenBytes = 10 });
        Request request = New();
        manager.TryAllocate(request, out _);
        manager.UpdateUsage(request.Id, 5);
        Assert.That(manager.GetAvailableCapacity().AvailableMemoryBytes, Is.EqualTo(900));
        manager.UpdateUsage(request.Id, 25);
        Assert.That(manager.GetAvailableCapacity().AvailableMemoryBytes, Is.EqualTo(750));
        manager.UpdateUsage(request.Id, 1000);
        Assert.That(manager.GetAvailableCapacity().AvailableMemoryBytes, Is.Zero, "Who runs goes on.");
        Assert.That(manager.TryAllocate(New(), out _), Is.False, "New ones are refused.");
        manager.UpdateUsage(RequestId.New(), 1000);
        manager.Release(request.Id);
        Assert.That(manager.GetAvailableCapacity().AvailableMemoryBytes, Is.EqualTo(1000));
    }

    [Test]
    public void A_reset_takes_everything_back()
    {
        var manager = new CapacityManager(s_wide);
        manager.TryAllocate(New(), out _);
        manager.Reset();
        Assert.That(manager.GetAvailableCapacity(), Is.EqualTo((100, 1000L)));
    }

    [Test]
    public void Freed_capacity_is_told_when_there_was_any()
    {
        var manager = new CapacityManager(s_wide);
        int told = 0;
        manager.Freed = () => told++;
        Request request = New();
        manager.TryAllocate(request, out _);
        manager.Release(RequestId.New());
        Assert.That(told, Is.Zero);
        manager.Release(request.Id);
        manager.Reset();
        Assert.That(told, Is.EqualTo(2));
    }

    [Test]
    public void Many_threads_never_get_more_than_there_is()
    {
        var manager = new CapacityManager(s_wide with { MaxBatchSize = 5 });
        int holding = 0;
        int most = 0;
        Parallel.For(0, 8, _ =>
        {
            for (int i = 0; i < 1000; i++)
            {
                Request request = New();
                if (manager.TryAllocate(request, out ResourceAllocation _))
                {
                    InterlockedMax(ref most, Interlocked.Increment(ref holding));
                    Interlocked.Decrement(ref holding);
                    manager.Release(request.Id);
                }
            }
        });
        Assert.That(most, Is.InRange(1, 5));
        Assert.That(manager.GetAvailableCapacity(), Is.EqualTo((5, 1000L)));

        static void InterlockedMax(ref int target, int value)
        {
            int seen;
            while (value > (seen = Volatile.Read(ref target)) && Interlocked.CompareExchange(ref target, value, seen) != seen)
            {
            }
        }
    }

    [Test]
    public void Bad_input_is_refused()
    {
        var manager = new CapacityManager(s_wide);
        Assert.That(() => new CapacityManager(null!), Throws.ArgumentNullException);
        Assert.That(() => manager.TryAllocate(null!, out _), Throws.ArgumentNullException);
        Assert.That(() => manager.CanFitBatch(-1, 0), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => manager.CanFitBatch(0, -1), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => manager.UpdateUsage(RequestId.New(), -1), Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void Bad_constraints_are_refused_by_name([ValueSource(nameof(BadConstraints))] (CapacityConstraints Constraints, string Name) bad) =>
        Assert.That(() => new CapacityManager(bad.Constraints), Throws.TypeOf<ArgumentOutOfRangeException>().With.Property("ParamName").EqualTo(bad.Name));

    public static IEnumerable<(CapacityConstraints Constraints, string Name)> BadConstraints()
    {
        yield return (s_wide with { MaxBatchSize = 0 }, "MaxBatchSize");
        yield return (s_wide with { MaxMemoryBytes = 0 }, "MaxMemoryBytes");
        yield return (s_wide with { MemoryPerSlotBytes = -1 }, "MemoryPerSlotBytes");
        yield return (s_wide with { MemoryPerSlotBytes = 600, MemoryBufferRatio = 0.5 }, "MemoryPerSlotBytes");
        yield return (s_wide with { MaxConcurrentRequests = 0 }, "MaxConcurrentRequests");
        yield return (s_wide with { MemoryPerTokenBytes = -1 }, "MemoryPerTokenBytes");
        yield return (s_wide with { MemoryBufferRatio = -0.1 }, "MemoryBufferRatio");
        yield return (s_wide with { MemoryBufferRatio = 1 }, "MemoryBufferRatio");
        yield return (s_wide with { MemoryBufferRatio = double.NaN }, "MemoryBufferRatio");
    }

    private static void AssertCapacity(CapacityConstraints constraints, int expected)
    {
        var manager = new CapacityManager(constraints);
        int given = 0;
        while (manager.TryAllocate(New(), out _))
        {
            given++;
        }

        Assert.That(given, Is.EqualTo(expected));
    }

    private static Request New() => new(RequestId.New(), "prompt", 4, CancellationToken.None);
}
