namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// A KV block to copy before a batch is computed (copy on write): a request is about to write into a block that others share,
/// and continues on a copy of its own.
/// </summary>
/// <param name="Source">Block to copy from.</param>
/// <param name="Destination">Block to copy to; nobody else holds it.</param>
public readonly record struct BlockCopy(int Source, int Destination);
