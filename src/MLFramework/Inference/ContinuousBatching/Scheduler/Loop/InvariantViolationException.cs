namespace MLFramework.Inference.ContinuousBatching;

/// <summary>The scheduler is in a state that must never be: a bug in it, not in its use. Thrown in debug builds, tests and simulation only.</summary>
public sealed class InvariantViolationException : InvalidOperationException
{
    /// <summary>Makes the exception.</summary>
    /// <param name="message">Which invariant does not hold, and what was found.</param>
    public InvariantViolationException(string message)
        : base(message)
    {
    }
}
