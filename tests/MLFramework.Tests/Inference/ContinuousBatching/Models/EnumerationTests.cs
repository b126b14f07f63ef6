using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Models;

/// <summary>Numbers that callers persist and send: they may grow, never change.</summary>
public class EnumerationTests
{
    [Test]
    public void Priorities_are_numbered_from_low_to_urgent() =>
        Assert.That(Enum.GetValues<Priority>().Select(p => (p.ToString(), (int)p)), Is.EqualTo(new[] { ("Low", 0), ("Normal", 1), ("High", 2), ("Urgent", 3) }));

    [Test]
    public void Completion_reasons_keep_their_numbers_and_new_ones_come_last() =>
        Assert.That(
            Enum.GetNames<CompletionReason>(),
            Is.EqualTo(new[] { "EosTokenReached", "MaxTokensReached", "Cancelled", "LengthReached", "StopString", "Timeout", "Failed" }));
}
