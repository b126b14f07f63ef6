using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler.Queue;

public class RankTests
{
    private const long None = long.MaxValue;

    [Test]
    public void The_level_then_the_class_then_the_deadline_then_the_arrival_decide()
    {
        Rank[] inOrder =
        [
            new(3, 0, None, 9),
            new(2, 0, None, 8),
            new(3, 1, 5, 7),
            new(3, 1, None, 3),
            new(1, 0, 4, 6),
            new(1, 0, 5, 4),
            new(1, 0, None, 1),
            new(1, 0, None, 2),
            new(0, 1000, 1, 0),
        ];

        // Level 2: class 2 of epoch 0 and class 3 of epoch 1; the class decides between them.
        (inOrder[1], inOrder[2], inOrder[3]) = (inOrder[2], inOrder[3], inOrder[1]);
        Assert.That(inOrder.Reverse().Order(), Is.EqualTo(inOrder));
    }

    [Test]
    public void Any_three_ranks_are_ordered_consistently()
    {
        var random = new Random(1);
        for (int i = 0; i < 10_000; i++)
        {
            Rank[] r = [.. Enumerable.Range(0, 3).Select(n => new Rank(random.Next(4), random.Next(3), random.Next(2) == 0 ? None : random.Next(3), n))];
            Array.Sort(r);
            Assert.That(r[0].IsAbove(r[1]) && r[1].IsAbove(r[2]) && r[0].IsAbove(r[2]), "Transitive.");
            Assert.That(r[1].IsAbove(r[0]) || r[2].IsAbove(r[0]), Is.False, "Antisymmetric.");
        }
    }

    [Test]
    public void More_than_three_intervals_of_waiting_beat_every_class()
    {
        var low = new Rank(0, 0, None, 0);
        Assert.That(new Rank(3, 3, None, 1).IsAbove(low));
        Assert.That(low.IsAbove(new Rank(3, 4, None, 1)));
    }
}
