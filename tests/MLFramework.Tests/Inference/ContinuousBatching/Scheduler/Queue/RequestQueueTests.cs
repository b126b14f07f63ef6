using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler.Queue;

/// <summary>The queue by itself, without a scheduler.</summary>
public class RequestQueueTests
{
    private readonly VirtualTimeProvider _clock = new();

    [Test]
    public void An_empty_queue_has_nothing_to_give()
    {
        using RequestQueue queue = NewQueue();
        Assert.That((queue.Count, queue.IsEmpty), Is.EqualTo((0, true)));
        Assert.That(queue.TryDequeue(TimeSpan.Zero), Is.Null);
        Assert.That(queue.GetRequests(10, long.MaxValue), Is.Empty);
        Assert.That(queue.Contains(RequestId.New()), Is.False);
        Assert.That(queue.Remove(RequestId.New()), Is.False);
        Assert.That(queue.MarkCancelled(RequestId.New()), Is.False);
    }

    [Test]
    public void The_initial_capacity_is_no_bound()
    {
        using var queue = new RequestQueue(1, null, _clock);
        for (int i = 0; i < 100; i++)
        {
            queue.Enqueue(New());
        }

        Assert.That(queue.Count, Is.EqualTo(100));
    }

    [Test]
    public void Within_a_class_first_come_first_served()
    {
        using RequestQueue queue = NewQueue();
        Request[] requests = [New(), New(), New()];
        Array.ForEach(requests, r => queue.Enqueue(r));
        Assert.That(TakeAll(queue), Is.EqualTo(requests));
    }

    [Test]
    public void Higher_classes_come_first()
    {
        using RequestQueue queue = NewQueue();
        Request[] byClass = [New(Priority.Urgent), New(Priority.High), New(Priority.Normal), New(Priority.Low)];
        foreach (int i in new[] { 2, 0, 3, 1 })
        {
            queue.Enqueue(byClass[i], Priority.Low);
        }

        Assert.That(TakeAll(queue), Is.EqualTo(byClass));
    }

    [Test]
    public void Of_the_requests_priority_and_the_argument_the_higher_counts()
    {
        using RequestQueue queue = NewQueue();
        Request raised = New(Priority.Low);
        Request own = New(Priority.Urgent);
        Request normal = New();
        queue.Enqueue(normal, Priority.Low);
        queue.Enqueue(raised, Priority.High);
        queue.Enqueue(own, Priority.Low);
        Assert.That(TakeAll(queue), Is.EqualTo(new[] { own, raised, normal }));
    }

    [Test]
    public void Waiting_lifts_a_class_per_interval_without_end()
    {
        using var queue = new RequestQueue(10, QueuePolicy.Default with { AgingInterval = TimeSpan.FromSeconds(10) }, _clock);
        Request low = New(Priority.Low);
        queue.Enqueue(low, Priority.Low);
        _clock.Advance(TimeSpan.FromSeconds(30));
        Request urgentNow = New(Priority.Urgent);
        queue.Enqueue(urgentNow);
        _clock.Advance(TimeSpan.FromSeconds(10));
        Request urgentLater = New(Priority.Urgent);
        queue.Enqueue(urgentLater);
        Assert.That(TakeAll(queue), Is.EqualTo(new[] { urgentNow, low, urgentLater }), "At the same level the higher class goes first; one level on, the older.");
    }

    [Test]
    public void Nothing_starves_however_much_urgent_work_arrives()
    {
        using var queue = new RequestQueue(10, QueuePolicy.Default with { AgingInterval = TimeSpan.FromSeconds(1) }, _clock);
        Request low = New(Priority.Low);
        queue.Enqueue(low, Priority.Low);
        int served = 0;
        Request? next;
        do
        {
            Assert.That(++served, Is.LessThan(100), "It starves.");
            queue.Enqueue(New(Priority.Urgent));
            queue.Enqueue(New(Priority.Urgent));
            _clock.Advance(TimeSpan.FromMilliseconds(250));
            next = queue.TryDequeue(TimeSpan.Zero);
        }
        while (next != low);
    }

    [Test]
    public void Within_a_class_and_tenant_the_earlier_deadline_comes_first_and_any_before_none()
    {
        using RequestQueue queue = NewQueue();
        Request none = New();
        Request late = New(deadline: TimeSpan.FromSeconds(9));
        Request early = New(deadline: TimeSpan.FromSeconds(5));
        Array.ForEach([none, late, early], r => queue.Enqueue(r));
        Assert.That(TakeAll(queue), Is.EqualTo(new[] { early, late, none }));
    }

    [Test]
    public void A_preempted_request_goes_to_the_front_of_its_class_only()
    {
        using RequestQueue queue = NewQueue();
        Request first = New();
        queue.Enqueue(first);
        queue.Enqueue(New());
        Sequence preempted = queue.PeekBest()!;
        Assert.That(queue.TryTake(preempted));
        Request urgent = New(Priority.Urgent);
        Request dated = New(deadline: TimeSpan.FromSeconds(1));
        queue.Enqueue(urgent);
        queue.Enqueue(dated);
        queue.Requeue(preempted);
        Assert.That(TakeAll(queue).Take(3), Is.EqualTo(new[] { urgent, first, dated }));
    }

    [Test]
    public void Enqueueing_stamps_the_time()
    {
        using RequestQueue queue = NewQueue();
        Request request = New();
        _clock.Advance(TimeSpan.FromSeconds(3));
        queue.Enqueue(request);
        Assert.That(request.EnqueuedTime, Is.EqualTo(_clock.GetUtcNow().UtcDateTime));
    }

    [Test]
    public void What_is_taken_is_gone_and_may_come_again()
    {
        using RequestQueue queue = NewQueue();
        Request request = New();
        queue.Enqueue(request);
        Assert.That(queue.Contains(request.Id));
        Assert.That(queue.Dequeue(), Is.SameAs(request));
        Assert.That(queue.Contains(request.Id), Is.False);
        queue.Enqueue(request);
        Assert.That(queue.Dequeue(), Is.SameAs(request));
    }

    [Test]
    public void A_removed_request_is_the_callers_again()
    {
        using RequestQueue queue = NewQueue();
        Request request = New();
        queue.Enqueue(request);
        Assert.That(queue.Remove(request.Id));
        Assert.That(queue.IsEmpty);
        Assert.That((request.IsCompleted, request.CompletionSource.Task.IsCompleted), Is.EqualTo((false, false)));
    }

    [Test]
    public void A_request_marked_cancelled_leaves_and_its_task_is_cancelled()
    {
        using RequestQueue queue = NewQueue();
        Request request = New();
        queue.Enqueue(request);
        Assert.That(queue.MarkCancelled(request.Id));
        Assert.That(queue.MarkCancelled(request.Id), Is.False);
        Assert.That(queue.IsEmpty);
        Assert.That(request.IsCompleted);
        Assert.That(request.CompletionSource.Task.IsCanceled);
    }

    [Test]
    public void Clearing_cancels_everything()
    {
        using RequestQueue queue = NewQueue();
        Request[] requests = [New(), New(Priority.Urgent), New(deadline: TimeSpan.FromSeconds(1))];
        Array.ForEach(requests, r => queue.Enqueue(r));
        queue.Clear();
        Assert.That(queue.IsEmpty);
        Assert.That(requests.Select(r => r.CompletionSource.Task.IsCanceled), Is.All.True);
    }

    [Test]
    public void A_batch_is_taken_best_first_up_to_its_count()
    {
        using RequestQueue queue = NewQueue();
        Request[] requests = [New(Priority.High), New(), New(Priority.Low)];
        Array.ForEach(requests, r => queue.Enqueue(r, Priority.Low));
        Assert.That(queue.GetRequests(2, long.MaxValue), Is.EqualTo(requests[..2]));
        Assert.That(queue.Count, Is.EqualTo(1));
        Assert.That(queue.GetRequests(0, long.MaxValue), Is.Empty);
    }

    [Test]
    public void A_batch_ends_before_the_first_that_does_not_fit_the_memory()
    {
        using var queue = new RequestQueue(10, QueuePolicy.Default with { EstimatedBytesPerToken = 10 }, _clock);
        Request small = New(prompt: "1234", maxTokens: 6);
        Request large = New(prompt: new string('x', 90), maxTokens: 10);
        Request smallAgain = New(prompt: "1234", maxTokens: 6);
        Array.ForEach([small, large, smallAgain], r => queue.Enqueue(r));
        Assert.That(queue.GetRequests(10, 1099), Is.EqualTo(new[] { small }), "The large one is not passed over.");
        Assert.That(queue.GetRequests(10, 999), Is.Empty);
        Assert.That(queue.GetRequests(10, 1100), Is.EqualTo(new[] { large, smallAgain }));
    }

    [Test]
    public void Dequeueing_waits_for_an_arrival()
    {
        using RequestQueue queue = NewQueue();
        Request request = New();
        Request? taken = null;
        var taker = new Thread(() => taken = queue.Dequeue());
        taker.Start();
        queue.Enqueue(request);
        Assert.That(taker.Join(TimeSpan.FromSeconds(30)), "It still waits.");
        Assert.That(taken, Is.SameAs(request));
    }

    [Test]
    public async Task Dequeueing_waits_no_longer_than_told()
    {
        using RequestQueue queue = NewQueue();
        Task<Request?> taker = Task.Run(() => queue.TryDequeue(TimeSpan.FromSeconds(5)));
        while (_clock.NextDue is null)
        {
            await Task.Yield();
        }

        _clock.Advance(TimeSpan.FromSeconds(4.9));
        Assert.That(taker.IsCompleted, Is.False);
        _clock.Advance(TimeSpan.FromSeconds(0.1));
        Assert.That(await taker, Is.Null);
    }

    [Test]
    public async Task Cancelling_ends_the_wait()
    {
        using RequestQueue queue = NewQueue();
        using var source = new CancellationTokenSource();
        Task<Request?> taker = Task.Run(() => queue.Dequeue(source.Token));
        await source.CancelAsync();
        await Assert.CatchAsync<OperationCanceledException>(() => taker);
        Assert.That(() => queue.Dequeue(new CancellationToken(true)), Throws.InstanceOf<OperationCanceledException>());
    }

    [Test]
    public void Disposing_ends_the_wait_with_nothing_and_cancels_what_waits()
    {
        RequestQueue queue = NewQueue();
        Request waiting = New();
        queue.Enqueue(waiting);
        queue.Dispose();
        queue.Dispose();
        Assert.That(waiting.CompletionSource.Task.IsCanceled);
        Assert.That(() => queue.Enqueue(New()), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => queue.Dequeue(), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public void Bad_input_is_refused()
    {
        using RequestQueue queue = NewQueue();
        Request request = New();
        queue.Enqueue(request);
        Assert.That(() => queue.Enqueue(null!), Throws.ArgumentNullException);
        Assert.That(() => queue.Enqueue(request), Throws.ArgumentException.With.Message.Contains("already waits"));
        Assert.That(() => queue.Enqueue(New(prompt: string.Empty)), Throws.ArgumentException.With.Message.Contains("empty"));
        Assert.That(() => queue.Enqueue(New(), (Priority)4), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => queue.GetRequests(-1, 0), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => queue.GetRequests(0, -1), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => queue.TryDequeue(TimeSpan.FromSeconds(-3)), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => new RequestQueue(-1), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(queue.Count, Is.EqualTo(1));
    }

    [Test]
    public void The_one_whose_limit_passed_first_is_taken_out_first_and_not_before()
    {
        using RequestQueue queue = NewQueue();
        Request second = New(deadline: TimeSpan.FromSeconds(2));
        Request first = New(deadline: TimeSpan.FromSeconds(1));
        Request never = New();
        Array.ForEach([second, first, never], r => queue.Enqueue(r));
        Assert.That(queue.TakeExpired(_clock.GetTimestamp()), Is.Null);
        Assert.That(queue.NextLimit(), Is.EqualTo(TimeSpan.TicksPerSecond));
        _clock.Advance(TimeSpan.FromSeconds(2));
        Assert.That(queue.TakeExpired(_clock.GetTimestamp())!.Request, Is.SameAs(first));
        Assert.That(queue.TakeExpired(_clock.GetTimestamp())!.Request, Is.SameAs(second));
        Assert.That(queue.TakeExpired(_clock.GetTimestamp()), Is.Null);
        Assert.That((queue.NextLimit(), queue.Count), Is.EqualTo((long.MaxValue, 1)));
    }

    [Test]
    public void Limits_of_those_that_left_are_forgotten_however_many_pass_through()
    {
        using RequestQueue queue = NewQueue();
        for (int i = 0; i < 1000; i++)
        {
            queue.Enqueue(New(deadline: TimeSpan.FromSeconds(1 + i)));
            queue.Dequeue();
        }

        Assert.That(queue.NextLimit(), Is.EqualTo(long.MaxValue));
        Request last = New(deadline: TimeSpan.FromSeconds(5));
        queue.Enqueue(last);
        Assert.That(queue.NextLimit(), Is.EqualTo(5 * TimeSpan.TicksPerSecond));
    }

    [Test]
    public void Many_threads_lose_and_double_nothing()
    {
        const int PerThread = 500;
        const int Threads = 4;
        using RequestQueue queue = NewQueue();
        var taken = new System.Collections.Concurrent.ConcurrentBag<RequestId>();
        List<Thread> threads = [];
        for (int t = 0; t < Threads; t++)
        {
            int seed = t;
            threads.Add(new Thread(() =>
            {
                var random = new Random(seed);
                for (int i = 0; i < PerThread; i++)
                {
                    Request request = New((Priority)random.Next(4), tenant: $"tenant {random.Next(3)}");
                    queue.Enqueue(request);
                    if (i % 10 == 0 && queue.Remove(request.Id))
                    {
                        taken.Add(request.Id);
                    }
                }
            }));
            threads.Add(new Thread(() =>
            {
                for (int i = 0; i < PerThread / 2; i++)
                {
                    if (queue.TryDequeue(TimeSpan.Zero) is { } request)
                    {
                        taken.Add(request.Id);
                    }
                }
            }));
        }

        threads.ForEach(t => t.Start());
        threads.ForEach(t => t.Join());
        List<Request> rest = TakeAll(queue);
        Assert.That(taken.Count + rest.Count, Is.EqualTo(Threads * PerThread));
        Assert.That(taken.Concat(rest.Select(r => r.Id)).Distinct().Count(), Is.EqualTo(Threads * PerThread));
    }

    private RequestQueue NewQueue() => new(100, null, _clock);

    private Request New(
        Priority priority = Priority.Normal, TimeSpan? deadline = null, string prompt = "prompt", int maxTokens = 4, string? tenant = null) =>
        new(RequestId.New(), prompt, maxTokens, CancellationToken.None, priority, _clock)
        {
            Deadline = deadline is { } d ? _clock.GetUtcNow() + d : null,
            Options = tenant is null ? null : GenerationOptions.Default with { Tenant = tenant },
        };

    private static List<Request> TakeAll(RequestQueue queue)
    {
        var all = new List<Request>();
        while (queue.TryDequeue(TimeSpan.Zero) is { } request)
        {
            all.Add(request);
        }

        return all;
    }
}
