using System.Numerics;
using System.Runtime.InteropServices;

namespace BatchedEmbeddings;

/// <summary>
/// A text embedding by hashed words times a dense projection, normalized. The weights are random, but the cost is real: 32 MB of
/// them stream from memory for every call, whether it embeds one text or thirty-two. That is why batches pay.
/// </summary>
internal sealed class EmbeddingModel
{
    public const int Dimensions = 1024;
    private const int Vocabulary = 8192;
    private const int RowsAtOnce = 4;

    private readonly float[] _weights = new float[Dimensions * Vocabulary]; // [dimension][word]

    public EmbeddingModel()
    {
        var random = new Random(1);
        foreach (ref float weight in _weights.AsSpan())
        {
            weight = random.NextSingle() - 0.5f;
        }
    }

    /// <summary>The embeddings of <paramref name="texts"/>, each of <see cref="Dimensions"/> numbers and length 1.</summary>
    public List<float[]> Embed(List<string> texts)
    {
        float[][] words = [.. texts.Select(CountWords)];
        List<float[]> embeddings = texts.ConvertAll(_ => new float[Dimensions]);
        for (int dimension = 0; dimension < Dimensions; dimension += RowsAtOnce)
        {
            ReadOnlySpan<float> rows = _weights.AsSpan(dimension * Vocabulary, RowsAtOnce * Vocabulary); // read once for all texts
            for (int i = 0; i < words.Length; i++)
            {
                DotRows(rows, words[i], embeddings[i].AsSpan(dimension, RowsAtOnce));
            }
        }

        embeddings.ForEach(Normalize);
        return embeddings;
    }

    private static float[] CountWords(string text)
    {
        var counts = new float[Vocabulary];
        foreach (string word in text.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            uint hash = 2166136261; // FNV-1a: string.GetHashCode differs from process to process
            foreach (char c in word)
            {
                hash = (hash ^ char.ToLowerInvariant(c)) * 16777619;
            }

            counts[hash % Vocabulary]++;
        }

        return counts;
    }

    private static void DotRows(ReadOnlySpan<float> rows, ReadOnlySpan<float> text, Span<float> results)
    {
        ReadOnlySpan<Vector<float>> row0 = MemoryMarshal.Cast<float, Vector<float>>(rows[..Vocabulary]);
        ReadOnlySpan<Vector<float>> row1 = MemoryMarshal.Cast<float, Vector<float>>(rows[Vocabulary..(2 * Vocabulary)]);
        ReadOnlySpan<Vector<float>> row2 = MemoryMarshal.Cast<float, Vector<float>>(rows[(2 * Vocabulary)..(3 * Vocabulary)]);
        ReadOnlySpan<Vector<float>> row3 = MemoryMarshal.Cast<float, Vector<float>>(rows[(3 * Vocabulary)..]);
        ReadOnlySpan<Vector<float>> words = MemoryMarshal.Cast<float, Vector<float>>(text);
        Vector<float> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
        for (int i = 0; i < words.Length; i++)
        {
            sum0 += row0[i] * words[i];
            sum1 += row1[i] * words[i];
            sum2 += row2[i] * words[i];
            sum3 += row3[i] * words[i];
        }

        (results[0], results[1], results[2], results[3]) = (Vector.Sum(sum0), Vector.Sum(sum1), Vector.Sum(sum2), Vector.Sum(sum3));
    }

    private static void Normalize(float[] embedding)
    {
        float length = MathF.Sqrt(embedding.Sum(x => x * x));
        for (int i = 0; length > 0 && i < embedding.Length; i++)
        {
            embedding[i] /= length;
        }
    }
}
