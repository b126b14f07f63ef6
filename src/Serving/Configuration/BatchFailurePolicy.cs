namespace MLFramework.Serving;

/// <summary>What happens to the requests of a batch whose processor has failed, once <see cref="BatchingConfiguration.MaxRetries"/> are used up.</summary>
public enum BatchFailurePolicy
{
    /// <summary>All of them fail with the processor's exception.</summary>
    FailBatch,

    /// <summary>
    /// The batch is processed again in halves, and failing halves in halves again, so that only requests that fail alone get an
    /// exception, each its own. One bad request among n costs 2·⌈log₂ n⌉ further calls. The processor must tolerate repeats.
    /// </summary>
    Split,
}
