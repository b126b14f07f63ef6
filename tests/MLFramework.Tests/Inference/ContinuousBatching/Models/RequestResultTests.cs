using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Models;

public class RequestResultTests
{
    [Test]
    public void The_total_time_is_waiting_and_processing()
    {
        var result = new RequestResult(RequestId.New(), "text", 2, CompletionReason.StopString, TimeSpan.FromSeconds(3)) { QueueTime = TimeSpan.FromSeconds(1) };
        Assert.That(result.TotalTime, Is.EqualTo(TimeSpan.FromSeconds(4)));
    }

    [Test]
    public void What_is_not_told_is_absent()
    {
        var result = new RequestResult(RequestId.New(), "text", 2, CompletionReason.StopString, TimeSpan.Zero);
        Assert.That(result.TimeToFirstToken, Is.Null);
        Assert.That(result.Error, Is.Null);
        Assert.That(result.LogProbs, Is.Null);
        Assert.That(result.CachedPromptTokens, Is.Zero);
    }
}
