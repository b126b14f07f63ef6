namespace MLFramework.Compare;

/// <summary>What a machine can do at most, as managed code gets it out of it.</summary>
/// <param name="Name">The instructions, or <c>read</c>.</param>
/// <param name="Unit"><c>GOP/s</c> (a multiplication and an addition are two operations) or <c>GB/s</c>.</param>
/// <param name="OneThread">With one thread.</param>
/// <param name="AllThreads">With all.</param>
internal sealed record Ceiling(string Name, string Unit, double OneThread, double AllThreads);
