using FsCheck;
using FsCheck.Fluent;

namespace MLFramework.Serving.Tests.Queue;

public class RankedRequestsTests
{
    private const long Aging = 100;

    [Test]
    public void A_class_is_worth_one_aging_interval_of_waiting()
    {
        var requests = new RankedRequests<int, string>(Aging);
        requests.Add(Request(0, RequestPriority.Normal, at: 1000));
        requests.Add(Request(1, RequestPriority.High, at: 1000 + Aging - 1));
        requests.Add(Request(2, RequestPriority.High, at: 1000 + Aging + 1));
        requests.Add(Request(3, RequestPriority.Low, at: 1000 + Aging));
        Assert.That(TakeAll(requests), Is.EqualTo(new[] { 1, 0, 2, 3 }));
    }

    [Test]
    public void Without_aging_priorities_are_strict()
    {
        var requests = new RankedRequests<int, string>(long.MaxValue);
        requests.Add(Request(0, RequestPriority.Low, at: 0));
        requests.Add(Request(1, RequestPriority.Critical, at: long.MaxValue / 8));
        requests.Add(Request(2, RequestPriority.High, at: long.MaxValue / 8));
        Assert.That(TakeAll(requests), Is.EqualTo(new[] { 1, 2, 0 }));
    }

    [Test]
    public void Any_sequence_of_adds_and_removals_leaves_what_a_sorted_list_has() =>
        Prop.ForAll<(byte Gap, byte Class, byte Remove)[]>(steps =>
        {
            var requests = new RankedRequests<int, string>(Aging);
            var model = new List<QueuedRequest<int, string>>();
            long now = 0;
            foreach ((byte gap, byte level, byte remove) in steps)
            {
                QueuedRequest<int, string> request = Request(model.Count, (RequestPriority)((level % 4) - 1), now += gap + 1, cost: level);
                requests.Add(request);
                model.Add(request);
                if (remove % 3 == 0)
                {
                    request = model[remove % model.Count];
                    requests.Remove(request);
                    model.Remove(request);
                }
            }

            Assert.That(requests.Count, Is.EqualTo(model.Count));
            Assert.That(requests.Cost, Is.EqualTo(model.Sum(request => (long)request.Cost)));
            Assert.That(requests.Oldest(), Is.SameAs(model.MinBy(request => request.SubmittedAt)));
            Assert.That(requests.LowestOldest(), Is.SameAs(model.OrderBy(request => request.Priority).ThenBy(request => request.SubmittedAt).FirstOrDefault()));
            long[] keys = [.. model.Select(Key).Order()];
            var taken = new List<long>();
            while (requests.Best() is { } best)
            {
                requests.Remove(best);
                taken.Add(Key(best));
            }

            Assert.That(taken, Is.EqualTo(keys));
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(300).WithQuietOnSuccess(true).WithReplay(1, 3));

    private static long Key(QueuedRequest<int, string> request) => request.SubmittedAt - ((int)request.Priority * Aging);

    private static QueuedRequest<int, string> Request(int id, RequestPriority priority, long at, int cost = 1) => new(id, priority, cost) { SubmittedAt = at };

    private static List<int> TakeAll(RankedRequests<int, string> requests)
    {
        var taken = new List<int>();
        while (requests.Best() is { } best)
        {
            requests.Remove(best);
            taken.Add(best.Request);
        }

        return taken;
    }
}
