namespace MLFramework.Cpu;

/// <summary>One message of a conversation.</summary>
/// <param name="Role">Who speaks: <c>system</c>, <c>user</c>, <c>assistant</c>, <c>tool</c>.</param>
/// <param name="Content">What was said; never read as control tokens.</param>
public sealed record ChatMessage(string Role, string Content);
