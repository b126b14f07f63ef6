namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Turns text into token ids and back. Thread-safe: callers tokenize on their own threads.</summary>
public interface ITokenizer
{
    /// <summary>Encodes text, with the special tokens that the model wants before a prompt (BOS) if it wants any.</summary>
    /// <param name="text">The text; nothing in it becomes a special token.</param>
    int[] Encode(string text);

    /// <summary>Decodes token ids; special tokens yield no text, bytes that are not UTF-8 yield U+FFFD.</summary>
    /// <param name="tokenIds">Ids from 0 to <see cref="GetVocabSize"/> − 1.</param>
    string Decode(int[] tokenIds);

    /// <summary>Number of token ids.</summary>
    int GetVocabSize();

    /// <summary>Makes a decoder for one response, fed token by token, that never emits half a character.</summary>
    /// <returns>A decoder, or null to have one made from <see cref="Decode"/>.</returns>
    IIncrementalDecoder? CreateIncrementalDecoder() => null;
}
