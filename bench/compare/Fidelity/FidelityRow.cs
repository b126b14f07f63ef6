using MLFramework.Cpu;
using MLFramework.Cpu.Tests;

namespace MLFramework.Compare;

/// <summary>How far both engines' logits are from those that double precision gets from the same, dequantized weights.</summary>
/// <param name="Model">The model.</param>
/// <param name="Type">Type of its matrices.</param>
/// <param name="Own">Ours, keys and values in F16.</param>
/// <param name="OwnSingles">Ours, keys and values in F32.</param>
/// <param name="Peer">llama.cpp's, keys and values in F16, the better of flash attention on and off.</param>
/// <param name="PeerSingles">llama.cpp's, keys and values in F32, flash attention off.</param>
internal sealed record FidelityRow(string Model, string Type, LogitError Own, LogitError OwnSingles, LogitError Peer, LogitError PeerSingles)
{
    /// <summary>Measures a model.</summary>
    /// <param name="path">The file.</param>
    /// <param name="name">What to call it.</param>
    /// <param name="library">llama.cpp.</param>
    /// <param name="positions">Positions after which logits are compared, ascending.</param>
    /// <param name="threads">Threads of each engine.</param>
    /// <param name="seed">Of the tokens.</param>
    public static FidelityRow Measure(string path, (string Model, string Type) name, PeerLibrary library, int[] positions, int threads, int seed)
    {
        using CpuModel own = CpuModel.Load(path);
        using var peer = new PeerModel(library, path);
        using GgufFile file = GgufFile.Open(path);
        int length = positions[^1] + 1;
        var random = new Random(seed);
        int[] tokens = [.. Enumerable.Range(0, length).Select(_ => random.Next(own.HyperParameters.VocabularySize))];
        double[][] expected = new ReferenceModel(file).LogitsFrom(positions[0], tokens);

        LogitError ErrorOf(ISequence sequence)
        {
            using (sequence) return LogitError.Of(Errors(sequence, tokens, positions, position => expected[position - positions[0]]));
        }

        return new FidelityRow(
            name.Model, name.Type, ErrorOf(new OwnSequence(own, length, threads, KVElementType.F16)), ErrorOf(new OwnSequence(own, length, threads, KVElementType.F32)),
            LogitError.Better(ErrorOf(new PeerSequence(peer, length, threads, flashAttention: true)), ErrorOf(new PeerSequence(peer, length, threads, flashAttention: false))),
            ErrorOf(new PeerSequence(peer, length, threads, flashAttention: false, cacheInSingles: true)));
    }

    /// <summary>Computes up to each position in turn, each time in one piece from where it stands.</summary>
    private static double[] Errors(ISequence sequence, int[] tokens, int[] positions, Func<int, double[]> expected)
    {
        var errors = new double[positions.Length];
        for (int i = 0; i < positions.Length; i++)
        {
            int done = i == 0 ? 0 : positions[i - 1] + 1;
            errors[i] = LogitError.Relative(sequence.Append(tokens.AsSpan(done, positions[i] + 1 - done)), expected(positions[i]));
        }
        return errors;
    }
}
