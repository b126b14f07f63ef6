namespace MLFramework.Serving.Tests.Queue;

public class BoundedRequestQueueTests
{
    private readonly BoundedRequestQueue<int, string> _queue = new(3);

    [TearDown]
    public void TearDown() => _queue.Dispose();

    [Test]
    public async Task It_takes_requests_until_full_and_gives_them_back_in_order()
    {
        Assert.That(_queue, Has.Property("Count").EqualTo(0).And.Property("IsEmpty").True.And.Property("IsFull").False);
        for (int i = 0; i < 3; i++)
        {
            Assert.That(await _queue.TryEnqueueAsync(new QueuedRequest<int, string>(i)));
        }

        Assert.That(_queue, Has.Property("Count").EqualTo(3).And.Property("IsEmpty").False.And.Property("IsFull").True);
        Assert.That(await _queue.TryEnqueueAsync(new QueuedRequest<int, string>(3)), Is.False);
        Assert.That(_queue.Dequeue(2).Select(request => request.Request), Is.EqualTo(new[] { 0, 1 }));
        Assert.That(_queue.Dequeue(2).Select(request => request.Request), Is.EqualTo(new[] { 2 }));
    }

    [Test]
    public async Task A_cancelled_request_makes_room()
    {
        using var cancellation = new CancellationTokenSource();
        var request = new QueuedRequest<int, string>(1);
        await _queue.TryEnqueueAsync(request, cancellation.Token);
        await _queue.TryEnqueueAsync(new QueuedRequest<int, string>(2));
        cancellation.Cancel();
        Assert.That(request.ResponseSource.Task.IsCanceled);
        Assert.That(_queue.Dequeue(3).Select(r => r.Request), Is.EqualTo(new[] { 2 }));
    }

    [Test]
    public async Task A_refused_request_is_left_alone_by_its_token()
    {
        for (int i = 0; i < 3; i++)
        {
            await _queue.TryEnqueueAsync(new QueuedRequest<int, string>(i));
        }

        using var cancellation = new CancellationTokenSource();
        var refused = new QueuedRequest<int, string>(4);
        Assert.That(await _queue.TryEnqueueAsync(refused, cancellation.Token), Is.False);
        cancellation.Cancel();
        Assert.That(refused.ResponseSource.Task.IsCompleted, Is.False);
    }

    [Test]
    public async Task A_request_is_queued_once()
    {
        var request = new QueuedRequest<int, string>(1);
        await _queue.TryEnqueueAsync(request);
        Assert.That(async () => await _queue.TryEnqueueAsync(request), Throws.ArgumentException.With.Message.Contains("queued before"));
    }

    [Test]
    public void A_closed_queue_takes_nothing()
    {
        _queue.Close(cancelWaiting: false);
        Assert.That(async () => await _queue.TryEnqueueAsync(new QueuedRequest<int, string>(1)), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public void Nonsense_is_refused()
    {
        Assert.That(() => new BoundedRequestQueue<int, string>(0), Throws.InstanceOf<ArgumentOutOfRangeException>().With.Property("ParamName").EqualTo("maxSize"));
        Assert.That(() => _queue.Dequeue(-1), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(async () => await _queue.TryEnqueueAsync(null!), Throws.ArgumentNullException);
        Assert.That(async () => await _queue.TryEnqueueAsync(new QueuedRequest<int, string>(1), new CancellationToken(canceled: true)), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(() => new QueuedRequest<int, string>(1, cost: -1), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }
}
