using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;
using NSubstitute;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler.Batching;

/// <summary>The batch manager by itself, over a cache manager that only tells bytes: prepare, append the tokens, remove, prepare again.</summary>
public class BatchManagerTests
{
    private const int BytesPerToken = 10;
    private readonly VirtualTimeProvider _clock = new();
    private readonly IKVCacheManager _cache = Substitute.For<IKVCacheManager>();
    private RequestQueue _queue = null!;
    private RequestId _refused;

    [SetUp]
    public void MakeQueue()
    {
        _queue = new RequestQueue(10, null, _clock);
        _cache.AllocateCache(default, 0).ReturnsForAnyArgs(call =>
            call.Arg<RequestId>() == _refused ? throw new InvalidOperationException("No room now.") : (long)call.Arg<int>() * BytesPerToken);
    }

    [TearDown]
    public void DisposeQueue() => _queue.Dispose();

    [Test]
    public void Without_requests_the_batch_is_empty()
    {
        BatchManager manager = NewManager();
        Assert.That(manager.CurrentBatch.Size, Is.Zero);
        Assert.That(manager.PrepareNextIteration().Size, Is.Zero);
        Assert.That(manager.ActiveRequestCount, Is.Zero);
    }

    [Test]
    public void Waiting_requests_join_up_to_the_batch_size_best_first()
    {
        BatchManager manager = NewManager(new BatchConstraints(MaxBatchSize: 2, MinBatchSize: 1));
        Request low = Enqueue(Priority.Low);
        Request normal = Enqueue();
        Request urgent = Enqueue(Priority.Urgent);
        Batch batch = manager.PrepareNextIteration();
        Assert.That(batch.Requests, Is.EqualTo(new[] { urgent, normal }));
        Assert.That(batch, Is.SameAs(manager.CurrentBatch));
        Assert.That((manager.ActiveRequestCount, _queue.Count), Is.EqualTo((2, 1)));
        Assert.That(_queue.Contains(low.Id));
    }

    [Test]
    public void Memory_is_asked_for_before_the_first_batch_and_again_when_a_request_outgrows_it()
    {
        BatchManager manager = NewManager();
        Request request = Enqueue(prompt: "0123456789abcd");
        manager.PrepareNextIteration();
        _cache.Received(1).AllocateCache(request.Id, 16);
        Append(request);
        manager.PrepareNextIteration();
        Append(request);
        manager.PrepareNextIteration();
        _cache.Received(1).AllocateCache(Arg.Any<RequestId>(), Arg.Any<int>());
        Append(request);
        manager.PrepareNextIteration();
        _cache.Received(1).AllocateCache(request.Id, 32);
    }

    [Test]
    public void Each_prepared_batch_computes_what_is_new()
    {
        BatchManager manager = NewManager();
        Request request = Enqueue(prompt: "012345");
        ScheduledTokens prefill = manager.PrepareNextIteration().Schedule[0];
        Assert.That((prefill.Start, prefill.Count, prefill.ProducesToken, prefill.BlockIds.Length), Is.EqualTo((0, 6, true, 0)));
        Append(request);
        ScheduledTokens decode = manager.PrepareNextIteration().Schedule[0];
        Assert.That((decode.Start, decode.Count), Is.EqualTo((6, 1)));
        Append(request);
        Append(request);
        ScheduledTokens two = manager.PrepareNextIteration().Schedule[0];
        Assert.That((two.Start, two.Count), Is.EqualTo((7, 2)), "Two tokens accepted at once are both computed.");
    }

    [Test]
    public void A_request_that_got_no_token_computes_its_last_position_again()
    {
        BatchManager manager = NewManager();
        Enqueue(prompt: "012345");
        manager.PrepareNextIteration();
        ScheduledTokens again = manager.PrepareNextIteration().Schedule[0];
        Assert.That((again.Start, again.Count, again.ProducesToken), Is.EqualTo((5, 1, true)));
    }

    [Test]
    public void Removed_requests_leave_and_their_memory_is_released()
    {
        BatchManager manager = NewManager();
        Request gone = Enqueue();
        Request stays = Enqueue();
        manager.PrepareNextIteration();
        manager.RemoveCompletedRequests([gone.Id, RequestId.New()]);
        _cache.Received(1).ReleaseCache(gone.Id);
        _cache.DidNotReceive().ReleaseCache(stays.Id);
        Assert.That(manager.ActiveRequestCount, Is.EqualTo(1));
        Assert.That(manager.PrepareNextIteration().Requests, Is.EqualTo(new[] { stays }));
        Assert.That(() => manager.RemoveCompletedRequests(null!), Throws.ArgumentNullException);
    }

    [Test]
    public void Completed_and_cancelled_requests_leave_by_themselves()
    {
        BatchManager manager = NewManager();
        using var source = new CancellationTokenSource();
        Request completed = Enqueue();
        Request cancelled = Enqueue(token: source.Token);
        manager.PrepareNextIteration();
        completed.IsCompleted = true;
        source.Cancel();
        manager.RefreshBatch();
        Assert.That(manager.ActiveRequestCount, Is.Zero);
        _cache.Received(1).ReleaseCache(completed.Id);
        _cache.Received(1).ReleaseCache(cancelled.Id);
    }

    [Test]
    public void Running_requests_hold_no_more_than_the_memory_limit()
    {
        BatchManager manager = NewManager(new BatchConstraints(MaxBatchSize: 8, MaxMemoryBytes: 2 * 16 * BytesPerToken, MinBatchSize: 1));
        Request[] requests = [Enqueue(), Enqueue(), Enqueue()];
        Assert.That(manager.PrepareNextIteration().Requests, Is.EqualTo(requests[..2]));
        Assert.That(manager.HasCapacity(), Is.False);
        manager.RemoveCompletedRequests([requests[0].Id]);
        Assert.That(manager.HasCapacity());
        Assert.That(manager.PrepareNextIteration().Requests, Is.EqualTo(requests[1..]));
    }

    [Test]
    public void Who_outgrows_the_memory_limit_takes_it_from_the_lowest_rank()
    {
        BatchManager manager = NewManager(new BatchConstraints(MaxBatchSize: 8, MaxMemoryBytes: 3 * 16 * BytesPerToken, MinBatchSize: 1));
        Request low = Enqueue(Priority.Low, prompt: "low");
        Request high = Enqueue(Priority.High, prompt: "0123456789abcde");
        Request normal = Enqueue(prompt: "normal");
        manager.PrepareNextIteration();
        Append(high, high, low, normal);
        Assert.That(manager.PrepareNextIteration().Requests, Is.EquivalentTo(new[] { high, normal }));
        _cache.Received(1).ReleaseCache(low.Id);
        Assert.That(_queue.Contains(low.Id));

        manager.RemoveCompletedRequests([high.Id]);
        Append(normal);
        Batch resumed = manager.PrepareNextIteration();
        Assert.That(resumed.Requests, Is.EquivalentTo(new[] { normal, low }));
        ScheduledTokens recomputed = resumed.Schedule[resumed.Requests.IndexOf(low)];
        Assert.That((recomputed.Start, recomputed.Count), Is.EqualTo((0, 4)), "Prompt and token are computed again.");
    }

    [Test]
    public void A_cache_that_says_not_now_makes_the_request_wait()
    {
        BatchManager manager = NewManager();
        Request running = Enqueue();
        manager.PrepareNextIteration();
        Request waiting = Enqueue();
        _refused = waiting.Id;
        Append(running);
        Assert.That(manager.PrepareNextIteration().Requests, Is.EqualTo(new[] { running }));
        _refused = default;
        Append(running);
        Assert.That(manager.PrepareNextIteration().Requests, Is.EqualTo(new[] { running, waiting }));
        _cache.DidNotReceive().ReleaseCache(Arg.Any<RequestId>());
    }

    [Test]
    public async Task A_request_that_does_not_fit_even_alone_fails_with_what_it_needed()
    {
        BatchManager manager = NewManager(new BatchConstraints(MaxBatchSize: 8, MaxMemoryBytes: 100, MinBatchSize: 1));
        Request large = Enqueue(prompt: new string('x', 50));
        Assert.That(manager.PrepareNextIteration().Size, Is.Zero);
        SequenceTooLargeException error = (await Assert.ThrowsAsync<SequenceTooLargeException>(() => large.CompletionSource.Task))!;
        Assert.That((error.RequestId, error.Tokens), Is.EqualTo((large.Id, 50)));
        Assert.That(large.IsCompleted);
        Assert.That(manager.ActiveRequestCount, Is.Zero);
    }

    [Test]
    public void Statistics_are_those_of_the_last_batch()
    {
        _cache.GetCurrentUsageBytes().Returns(320L);
        BatchManager manager = NewManager(new BatchConstraints(MaxBatchSize: 8, MinBatchSize: 1));
        Assert.That(manager.GetStats(), Is.EqualTo(new BatchStats(0, 0, 0, 0, TimeSpan.Zero)));
        Enqueue();
        Enqueue();
        Batch batch = manager.PrepareNextIteration();
        Assert.That(manager.GetStats(), Is.EqualTo(new BatchStats(batch.BatchId, 2, 320, 25, TimeSpan.Zero)));
        Assert.That(batch.EstimatedMemoryBytes, Is.EqualTo(320));
    }

    [Test]
    public void A_manager_needs_its_parts()
    {
        Assert.That(() => new BatchManager(null!, _cache, BatchConstraints.Default), Throws.ArgumentNullException);
        Assert.That(() => new BatchManager(_queue, null!, BatchConstraints.Default), Throws.ArgumentNullException);
        Assert.That(() => new BatchManager(_queue, _cache, null!), Throws.ArgumentNullException);
    }

    [Test]
    public void Bad_constraints_are_refused_by_name([ValueSource(nameof(BadConstraints))] (BatchConstraints Constraints, string Name) bad) =>
        Assert.That(() => NewManager(bad.Constraints), Throws.TypeOf<ArgumentOutOfRangeException>().With.Property("ParamName").EqualTo(bad.Name));

    public static IEnumerable<(BatchConstraints Constraints, string Name)> BadConstraints()
    {
        BatchConstraints good = BatchConstraints.Default;
        yield return (good with { MaxBatchSize = 0, MinBatchSize = 1 }, "MaxBatchSize");
        yield return (good with { MaxMemoryBytes = 0 }, "MaxMemoryBytes");
        yield return (good with { MinBatchSize = 0 }, "MinBatchSize");
        yield return (good with { MaxSequenceLength = 1 }, "MaxSequenceLength");
        yield return (good with { MaxTokensPerIteration = 31 }, "MaxTokensPerIteration");
    }

    private BatchManager NewManager(BatchConstraints? constraints = null) => new(_queue, _cache, constraints ?? BatchConstraints.Default);

    private Request Enqueue(Priority priority = Priority.Normal, string prompt = "prompt", CancellationToken token = default)
    {
        var request = new Request(RequestId.New(), prompt, 50, token, priority, _clock);
        _queue.Enqueue(request, Priority.Low);
        return request;
    }

    /// <summary>What a caller's model does: one token for each.</summary>
    private static void Append(params Request[] requests) => Array.ForEach(requests, r => r.GeneratedTokenIds.Add('a'));
}
