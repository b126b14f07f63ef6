using MLFramework.Inference.ContinuousBatching;
using MLFramework.Tests.Inference.ContinuousBatching.Support;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler;

public class ContinuousBatchSchedulerTests
{
    [Test]
    public void By_hand_an_iteration_prefills_then_decodes_a_token_each()
    {
        using var rig = new SchedulerRig();
        Request request = rig.Enqueue("hello", maxTokens: 3);
        IterationResult first = rig.Iterate();
        Assert.That(first.RequestCount, Is.EqualTo(1));
        Assert.That(request.GeneratedTokens, Is.EqualTo(1));
        rig.Iterate();
        IterationResult last = rig.Iterate();
        Assert.That(last.RequestsCompleted, Is.EqualTo(1));
        Assert.That(request.Result!.Reason, Is.EqualTo(CompletionReason.MaxTokensReached));
        rig.AssertIdle();
    }

    [Test]
    public void The_loop_serves_many_requests_and_drains()
    {
        using var rig = new SchedulerRig();
        rig.Model.EosOneIn = 20;
        List<Request> requests = [.. Enumerable.Range(0, 50).Select(i => rig.Enqueue($"prompt {i}", 20))];
        rig.StartAndDrain();
        Assert.That(requests.Select(r => r.IsCompleted), Is.All.True);
    }
}
