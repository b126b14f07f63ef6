namespace MLFramework.Compare;

/// <summary>One sequence in an engine, token by token.</summary>
internal interface ISequence : IDisposable
{
    /// <summary>Appends tokens, computed in one piece.</summary>
    /// <param name="tokens">At least one.</param>
    /// <returns>The logits after the last; valid until the next call.</returns>
    ReadOnlySpan<float> Append(ReadOnlySpan<int> tokens);

    /// <summary>Starts again with nothing.</summary>
    void Reset();
}
