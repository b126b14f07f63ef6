namespace MLFramework.Serving.Tests.Adaptive;

public class AdaptiveTargetTests
{
    [TestCase(0, 5, 0.05, 1, ExpectedResult = 1, Description = "no load")]
    [TestCase(100, 5, 0.05, 1, ExpectedResult = 1, Description = "light load: nobody waits")]
    [TestCase(6242, 5, 0.05, 1, ExpectedResult = 45, Description = "80 % of capacity: λa / (1 − λb)")]
    [TestCase(6242, 5, 0.05, 2, ExpectedResult = 18, Description = "two slots share the load")]
    [TestCase(7805, 5, 0.05, 1, ExpectedResult = 64, Description = "capacity: full batches")]
    [TestCase(50_000, 5, 0.05, 1, ExpectedResult = 64, Description = "λb > 1: beyond any capacity")]
    [TestCase(1_000_000, 0, 0, 1, ExpectedResult = 1, Description = "a free processor is worth no wait")]
    public int It_is_the_number_that_arrives_during_one_batch(double rate, double overheadMs, double perRequestMs, int slots) =>
        AdaptiveTarget.BatchSize(rate, overheadMs / 1000, perRequestMs / 1000, slots, maxSize: 64);
}
