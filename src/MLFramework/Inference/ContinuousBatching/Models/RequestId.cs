namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Identifies one inference request. Sixteen bytes, compared by value.</summary>
/// <param name="Id">The identifier itself; <see cref="Guid.Empty"/> stands for "none".</param>
public readonly record struct RequestId(Guid Id)
{
    /// <summary>Makes an identifier that no other call has made.</summary>
    public static RequestId New() => new(Guid.NewGuid());

    /// <summary>The identifier of no request; a request that carries it is refused.</summary>
    public static RequestId Empty => new(Guid.Empty);

    /// <inheritdoc/>
    public override string ToString() => Id.ToString();
}
