using System.Text;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler.Completion;

/// <summary>One token per UTF-8 byte, so that tokens split characters, as those of real models do.</summary>
internal sealed class ByteTokenizer : ITokenizer
{
    public int[] Encode(string text) => Array.ConvertAll(Encoding.UTF8.GetBytes(text), static b => (int)b);

    public string Decode(int[] tokenIds) => Encoding.UTF8.GetString(Array.ConvertAll(tokenIds, static t => (byte)t));

    public int GetVocabSize() => 256;
}
