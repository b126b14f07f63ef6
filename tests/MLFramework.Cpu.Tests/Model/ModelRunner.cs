namespace MLFramework.Cpu.Tests;

/// <summary>A model with a cache and a team, without a scheduler.</summary>
internal sealed class ModelRunner : IDisposable
{
    private readonly ComputeTeam _team;
    private readonly PagedAttention _attention;
    private readonly ForwardPass _pass;
    private readonly PassPlan _plan = new();

    public ModelRunner(CpuModel model, int threads = 1, KVElementType type = KVElementType.F32, int blocks = 128)
    {
        _team = new ComputeTeam(threads);
        _attention = model.Kernels.CreateAttention(model.AttentionShape, type, blocks);
        _pass = new ForwardPass(model, _attention, _team, leastSharedWork: 0);
    }

    /// <summary>Runs of positions, each with its tokens, first position and blocks.</summary>
    public float[][] Run(params (int[] Tokens, int Start, int[] Blocks)[] runs)
    {
        _plan.Clear();
        foreach ((int[] tokens, int start, int[] blocks) in runs) _plan.Add(tokens, start, blocks, wantsLogits: true);
        var recorder = new LogitsRecorder();
        _pass.Run(_plan, recorder, CancellationToken.None);
        Assert.That(recorder.Count, Is.EqualTo(runs.Length));
        return [.. Enumerable.Range(0, runs.Length).Select(i => recorder[i])];
    }

    /// <summary>Continues a prompt greedily.</summary>
    public int[] Generate(int[] prompt, int count)
    {
        int[] blocks = [.. Enumerable.Range(0, (prompt.Length + count + 15) / 16)];
        var generated = new List<int>();
        int position = 0;
        for (int[] next = prompt; generated.Count < count; next = [generated[^1]])
        {
            generated.Add(Sampler.IndexOfMax(Run((next, position, blocks))[0]));
            position += next.Length;
        }
        return [.. generated];
    }

    /// <summary>Logits before each token of a given continuation, computed as <see cref="Generate"/> would.</summary>
    public float[][] Score(int[] prompt, int[] continuation)
    {
        int[] blocks = [.. Enumerable.Range(0, (prompt.Length + continuation.Length + 15) / 16)];
        return [.. continuation.Select((_, i) => i == 0 ? Run((prompt, 0, blocks))[0] : Run(([continuation[i - 1]], prompt.Length + i - 1, blocks))[0])];
    }

    public void Dispose()
    {
        _team.Dispose();
        _pass.Dispose();
        _plan.Dispose();
        _attention.Dispose();
    }
}
