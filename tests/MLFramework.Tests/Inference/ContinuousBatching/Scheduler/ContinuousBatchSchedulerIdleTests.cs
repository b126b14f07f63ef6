using MLFramework.Inference.ContinuousBatching;
using MLFramework.Tests.Inference.ContinuousBatching.Support;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler;

/// <summary>What the loop does when there is nothing to do, and how it wakes.</summary>
public class ContinuousBatchSchedulerIdleTests
{
    private static readonly TimeSpan s_company = TimeSpan.FromMilliseconds(2);

    [TestCase(0)]
    [TestCase(10)]
    [TestCase(40)]
    public void An_idle_loop_looks_again_as_often_as_configured_then_parks(int maxIdleIterations)
    {
        using var rig = new SchedulerRig(configuration: SchedulerConfiguration.Default with { MaxIdleIterations = maxIdleIterations });
        int passes = 0;
        rig.Scheduler.AfterIteration += () => passes++;
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            await Task.Delay(TimeSpan.FromHours(1), rig.Clock);
            Assert.That(passes, Is.EqualTo(maxIdleIterations + 1), "An hour of nothing costs no passes.");
            await rig.Scheduler.StopAsync();
        });
    }

    [Test]
    public void Arrival_at_a_parked_loop_is_served_at_once()
    {
        using var rig = new SchedulerRig();
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            await Task.Delay(TimeSpan.FromHours(1), rig.Clock);
            Request request = rig.Enqueue(maxTokens: 2);
            await request.CompletionSource.Task;
            Assert.That(request.Result!.QueueTime, Is.EqualTo(TimeSpan.Zero));
            await rig.Scheduler.StopAsync();
        });
        Assert.That(rig.Clock.Elapsed, Is.EqualTo(TimeSpan.FromHours(1) + TimeSpan.FromMilliseconds(20)));
    }

    [Test]
    public void Hundreds_of_sleeps_lose_no_wake_up()
    {
        using var rig = new SchedulerRig(configuration: SchedulerConfiguration.Default with { MaxIdleIterations = 0 });
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            for (int i = 0; i < 300; i++)
            {
                await rig.Enqueue("prompt", 1 + (i % 3)).CompletionSource.Task;
                await Task.Delay(TimeSpan.FromTicks(i * 1000L), rig.Clock);
            }

            await rig.Scheduler.StopAsync();
        });
        rig.AssertIdle();
    }

    [Test]
    public void From_idle_a_lone_request_waits_two_milliseconds_for_company_and_no_longer()
    {
        using SchedulerRig rig = WithMinBatchSize(4);
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            await Task.Delay(TimeSpan.FromSeconds(1), rig.Clock);
            Request request = rig.Enqueue(maxTokens: 1);
            await request.CompletionSource.Task;
            Assert.That(request.Result!.QueueTime, Is.EqualTo(s_company));
            await rig.Scheduler.StopAsync();
        });
    }

    [Test]
    public void Enough_company_ends_the_wait()
    {
        using SchedulerRig rig = WithMinBatchSize(3);
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            Request first = rig.Enqueue(maxTokens: 1);
            await Task.Delay(s_company / 2, rig.Clock);
            rig.Enqueue(maxTokens: 1);
            Request third = rig.Enqueue(maxTokens: 1);
            await first.CompletionSource.Task;
            Assert.That(first.Result!.QueueTime, Is.EqualTo(s_company / 2));
            Assert.That(third.Result!.QueueTime, Is.EqualTo(TimeSpan.Zero));
            await rig.Scheduler.StopAsync();
        });
        Assert.That(rig.Model.BatchSizes, Is.EqualTo(new[] { 3 }));
    }

    [Test]
    public void Company_short_of_the_wanted_size_does_not_prolong_the_wait()
    {
        using SchedulerRig rig = WithMinBatchSize(4);
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            Request first = rig.Enqueue(maxTokens: 1);
            await Task.Delay(s_company / 2, rig.Clock);
            Request second = rig.Enqueue(maxTokens: 1);
            await first.CompletionSource.Task;
            Assert.That(first.Result!.QueueTime, Is.EqualTo(s_company));
            Assert.That(second.Result!.QueueTime, Is.EqualTo(s_company / 2));
            await rig.Scheduler.StopAsync();
        });
    }

    [Test]
    public void A_busy_loop_waits_for_nobody()
    {
        using SchedulerRig rig = WithMinBatchSize(4);
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            Request running = rig.Enqueue(maxTokens: 10);
            await Task.Delay(s_company + TimeSpan.FromMilliseconds(15), rig.Clock);
            Request late = rig.Enqueue(maxTokens: 1);
            await late.CompletionSource.Task;
            Assert.That(late.Result!.QueueTime, Is.EqualTo(TimeSpan.FromMilliseconds(5)), "The rest of the step under way.");
            await running.CompletionSource.Task;
            await rig.Scheduler.StopAsync();
        });
    }

    [Test]
    public void Cancelling_the_lone_request_ends_the_wait_for_company()
    {
        using SchedulerRig rig = WithMinBatchSize(4);
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            Request request = rig.Enqueue();
            await Task.Delay(s_company / 2, rig.Clock);
            Assert.That(rig.Client.CancelRequest(request.Id));
            await request.EndAsync();
            Assert.That(request.CompletionSource.Task.IsCanceled);
            Assert.That(rig.Clock.Elapsed, Is.EqualTo(s_company / 2));
            await rig.Scheduler.StopAsync();
        });
    }

    [Test]
    public void A_time_limit_wakes_a_parked_loop_on_time()
    {
        using var rig = new SchedulerRig(capacity: OneSlot);
        Occupy(rig);
        Request request = rig.Enqueue(rig.NewRequest(deadline: TimeSpan.FromSeconds(7)));
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            await request.EndAsync();
            Assert.That(request.Fault(), Is.TypeOf<TimeoutException>());
            Assert.That(rig.Clock.Elapsed, Is.EqualTo(TimeSpan.FromSeconds(7)));
            await rig.Scheduler.StopAsync();
        });
    }

    [Test]
    public void Capacity_that_somebody_else_gives_back_wakes_a_parked_loop()
    {
        using var rig = new SchedulerRig(capacity: OneSlot);
        RequestId stranger = Occupy(rig);
        Request request = rig.Enqueue(maxTokens: 1);
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            await Task.Delay(TimeSpan.FromSeconds(3), rig.Clock);
            Assert.That(request.IsCompleted, Is.False);
            rig.Capacity.Release(stranger);
            await request.CompletionSource.Task;
            Assert.That(request.Result!.QueueTime, Is.EqualTo(TimeSpan.FromSeconds(3)));
            await rig.Scheduler.StopAsync();
        });
    }

    [Test]
    public void A_limit_further_away_than_a_timer_reaches_does_not_stop_the_loop()
    {
        using var rig = new SchedulerRig(capacity: OneSlot);
        RequestId stranger = Occupy(rig);
        Request request = rig.Enqueue(rig.NewRequest(deadline: TimeSpan.FromDays(1000)));
        rig.Context.Run(async () =>
        {
            rig.Scheduler.Start();
            await Task.Delay(TimeSpan.FromSeconds(1), rig.Clock);
            rig.Capacity.Release(stranger);
            await request.CompletionSource.Task;
            await rig.Scheduler.StopAsync();
        });
    }

    private static CapacityConstraints OneSlot => new(MaxBatchSize: 1);

    private static RequestId Occupy(SchedulerRig rig)
    {
        Request stranger = rig.NewRequest();
        Assert.That(rig.Capacity.TryAllocate(stranger, out _));
        return stranger.Id;
    }

    private static SchedulerRig WithMinBatchSize(int size) =>
        new(constraints: new BatchConstraints(MaxBatchSize: 8, MinBatchSize: size, MaxSequenceLength: 1024));
}
