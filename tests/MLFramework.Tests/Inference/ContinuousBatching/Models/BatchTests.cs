using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;

namespace MLFramework.Tests.Inference.ContinuousBatching.Models;

public class BatchTests
{
    // Below and above the size from which the batch finds its requests by an index.
    private static readonly int[] s_sizes = [1, 16, 17, 100];

    [Test]
    public void A_new_batch_is_empty_and_knows_its_number_and_time()
    {
        var clock = new VirtualTimeProvider();
        var batch = new Batch(3, clock);
        Assert.That(batch.BatchId, Is.EqualTo(3));
        Assert.That(batch.Size, Is.Zero);
        Assert.That(batch.EstimatedMemoryBytes, Is.Zero);
        Assert.That(batch.Schedule, Is.Empty);
        Assert.That(batch.CreatedTime, Is.EqualTo(clock.GetUtcNow().UtcDateTime));
    }

    [TestCaseSource(nameof(s_sizes))]
    public void What_was_added_is_found_by_its_id(int size)
    {
        (Batch batch, List<Request> requests) = BatchOf(size);
        Assert.That(batch.Size, Is.EqualTo(size));
        Assert.That(requests.Select(r => batch.GetRequest(r.Id)), Is.EqualTo(requests));
        Assert.That(batch.Contains(RequestId.New()), Is.False);
        Assert.That(batch.GetRequest(RequestId.New()), Is.Null);
    }

    [TestCaseSource(nameof(s_sizes))]
    public void What_was_removed_is_gone_and_the_rest_keeps_its_order(int size)
    {
        (Batch batch, List<Request> requests) = BatchOf(size);
        Request gone = requests[size / 2];
        batch.RemoveRequest(gone.Id);
        requests.Remove(gone);
        Assert.That(batch.Contains(gone.Id), Is.False);
        Assert.That(batch.GetRequest(gone.Id), Is.Null);
        Assert.That(batch.Requests, Is.EqualTo(requests));
        Assert.That(requests.Select(r => batch.GetRequest(r.Id)), Is.EqualTo(requests));
    }

    [TestCaseSource(nameof(s_sizes))]
    public void A_request_is_added_once(int size)
    {
        (Batch batch, List<Request> requests) = BatchOf(size);
        Assert.That(() => batch.AddRequest(requests[^1]), Throws.ArgumentException.With.Message.Contains(requests[^1].Id.ToString()));
        Assert.That(batch.Size, Is.EqualTo(size));
    }

    [Test]
    public void A_request_that_was_removed_can_be_added_again()
    {
        (Batch batch, List<Request> requests) = BatchOf(20);
        batch.RemoveRequest(requests[0].Id);
        batch.AddRequest(requests[0]);
        Assert.That(batch.GetRequest(requests[0].Id), Is.SameAs(requests[0]));
        Assert.That(batch.Requests[^1], Is.SameAs(requests[0]));
    }

    [Test]
    public void Removing_what_is_not_there_does_nothing()
    {
        (Batch batch, _) = BatchOf(2);
        batch.RemoveRequest(RequestId.New());
        Assert.That(batch.Size, Is.EqualTo(2));
    }

    [Test]
    public void Null_is_no_request() => Assert.That(() => new Batch(0).AddRequest(null!), Throws.ArgumentNullException);

    [Test]
    public void Removing_a_scheduled_request_takes_its_tokens_out_of_the_count()
    {
        var batch = new Batch(0);
        Sequence first = NewSequence("0123456789");
        Sequence second = NewSequence("01234");
        batch.AddScheduled(first, 0, 10);
        batch.AddScheduled(second, 2, 3);
        Assert.That(batch.TokenCount, Is.EqualTo(13));
        batch.RemoveRequest(first.Request.Id);
        Assert.That(batch.TokenCount, Is.EqualTo(3));
        Assert.That(batch.Schedule.Single().Request, Is.SameAs(second.Request));
    }

    [Test]
    public void A_recycled_batch_is_as_good_as_new()
    {
        var batch = new Batch(0) { EstimatedMemoryBytes = 5 };
        batch.AddScheduled(NewSequence("abc"), 0, 3);
        batch.MutableBlockCopies.Add(new BlockCopy(1, 2));
        batch.Recycle(9, default);
        Assert.That(batch.BatchId, Is.EqualTo(9));
        Assert.That((batch.Size, batch.TokenCount, batch.EstimatedMemoryBytes), Is.EqualTo((0, 0, 0L)));
        Assert.That(batch.Schedule, Is.Empty);
        Assert.That(batch.BlockCopies, Is.Empty);
    }

    private static Sequence NewSequence(string prompt) =>
        RequestQueue.SequenceOf(new Request(RequestId.New(), prompt, 5, CancellationToken.None));

    private static (Batch Batch, List<Request> Requests) BatchOf(int size)
    {
        var batch = new Batch(1);
        List<Request> requests = [.. Enumerable.Range(0, size).Select(_ => new Request(RequestId.New(), "p", 1, CancellationToken.None))];
        requests.ForEach(batch.AddRequest);
        return (batch, requests);
    }
}
