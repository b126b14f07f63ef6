namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// An executor returned what cannot be true: no token for a request that was due one, a token outside the vocabulary, flags for another
/// number of requests, logits that are not numbers. The message names the defect; mend the executor or the model file.
/// </summary>
public sealed class ModelOutputException : InvalidOperationException
{
    /// <summary>Makes the exception.</summary>
    /// <param name="message">What is wrong with the output.</param>
    public ModelOutputException(string message)
        : base(message)
    {
    }
}
