using MLFramework.Cpu;
using MLFramework.Cpu.Tests;

namespace MLFramework.Compare;

/// <summary>
/// Computes logits of random models in our engine, in llama.cpp, and once more in double precision with the weights as the file says them: what is left between
/// an engine and the reference is the engine's own rounding.
/// </summary>
/// <param name="threads">Threads of each engine.</param>
/// <param name="seed">Of weights and tokens.</param>
/// <param name="wideCache">Whether both keep keys and values in 32 bits, rather than in 16.</param>
internal sealed class FidelityComparison(int threads, int seed, bool wideCache)
{
    /// <summary>Positions whose logits are compared; the last ones lie past a sliding window of 100.</summary>
    public static readonly int[] Positions = [1, 17, 255, 300];

    /// <summary>Compares the engines on one model with one type of weights.</summary>
    /// <param name="which">The model.</param>
    /// <param name="type">Type of its matrices.</param>
    /// <param name="peer">llama.cpp; null to leave it out.</param>
    /// <exception cref="CompareException">llama.cpp refuses the model.</exception>
    public IEnumerable<FidelityCell> Compare(FidelityCase which, TensorType type, PeerLibrary? peer)
    {
        string path = Path.GetTempFileName();
        try
        {
            using (FileStream stream = File.Create(path)) (which.Model with { Type = type, Seed = seed }).Write(stream);
            var random = new Random(seed);
            int[] tokens = [.. Enumerable.Range(0, Positions[^1] + 1).Select(_ => random.Next(SyntheticModel.VocabularySize))];
            using GgufFile file = GgufFile.Open(path);
            double[][] exact = new ReferenceModel(file).LogitsFrom(0, tokens);
            float[][] own = RunOwn(path, tokens);
            float[][]? theirs = peer is null ? null : RunPeer(peer, path, tokens);
            return [.. Positions.Select((position, i) => new FidelityCell(
                which.Name, type, position, RelativeError(own[i], exact[position]), theirs is null || !which.IsSharedAt(position) ? null : RelativeError(theirs[i], exact[position])))];
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>Root of the sum of squared differences over that of the expected squares.</summary>
    internal static double RelativeError(float[] actual, double[] expected) =>
        Math.Sqrt(actual.Zip(expected, (a, e) => (a - e) * (a - e)).Sum() / expected.Sum(e => e * e));

    private float[][] RunOwn(string path, int[] tokens)
    {
        using CpuModel model = CpuModel.Load(path);
        using var team = new ComputeTeam(threads);
        int[] blocks = [.. Enumerable.Range(0, tokens.Length / PagedAttention.BlockLength + 1).Reverse()];
        using PagedAttention attention = model.Kernels.CreateAttention(model.AttentionShape, wideCache ? KVElementType.F32 : KVElementType.F16, blocks.Length);
        using var pass = new ForwardPass(model, attention, team);
        using var plan = new PassPlan();
        var last = new LastLogits();
        var logits = new List<float[]>();
        int start = 0;
        foreach (int position in Positions)
        {
            plan.Clear();
            plan.Add(tokens.AsSpan(start, position + 1 - start), start, blocks, wantsLogits: true);
            pass.Run(plan, last, CancellationToken.None);
            logits.Add(last.Logits);
            start = position + 1;
        }
        return [.. logits];
    }

    private float[][] RunPeer(PeerLibrary library, string path, int[] tokens)
    {
        using var model = new PeerModel(library, path);
        using var context = new PeerContext(model, 1, Math.Max(tokens.Length, 1024), threads, flashAttention: false, wideCache);
        context.Clear();
        for (int i = 0; i < tokens.Length; i++) context.Add(tokens[i], i, 0, wantsLogits: Positions.Contains(i));
        context.Decode();
        return [.. Positions.Select(position => context.Logits(position).ToArray())];
    }

    private sealed class LastLogits : ILogitsConsumer
    {
        public float[] Logits { get; private set; } = [];

        public void Consume(int member, int output, Span<float> logits) => Logits = logits.ToArray();
    }
}
