namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Has a say in whether a waiting sequence may start, beside batch size and cache.</summary>
internal interface IAdmissionGate
{
    /// <summary>Takes what the sequence needs to run; false when that is not free.</summary>
    bool TryEnter(Sequence sequence);

    /// <summary>Gives it back.</summary>
    void Leave(Sequence sequence);
}
