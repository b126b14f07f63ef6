namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Decodes one response token by token. Not thread-safe.</summary>
public interface IIncrementalDecoder
{
    /// <summary>Takes the next token.</summary>
    /// <param name="tokenId">Id of the token.</param>
    /// <returns>The text that is now certain; empty while a character is incomplete.</returns>
    string Append(int tokenId);

    /// <summary>The response has ended.</summary>
    /// <returns>What was held back, with U+FFFD for bytes that make no character.</returns>
    string Flush();
}
