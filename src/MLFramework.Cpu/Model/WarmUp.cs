namespace MLFramework.Cpu;

/// <summary>
/// Runs small passes through every kernel that a model's requests will use, so that the first request does not wait for them to be compiled. The passes
/// have a cache of their own and go through one layer of each kind.
/// </summary>
internal static class WarmUp
{
    /// <summary>Rows of the passes: kernels have a tile for each of these numbers, and larger ones are made up of them.</summary>
    private static readonly int[] Rows = [1, 2, 3, 4, 5, 6];

    /// <summary>A way of choosing tokens for each of the samplers' paths.</summary>
    private static readonly SamplingParameters[] Samplings =
        [new(Temperature: 0), new(Temperature: 1), new(TopK: 40), new(TopP: 0.9f), new(TopK: 40, TopP: 0.9f), new(FrequencyPenalty: 0.5f, PresencePenalty: 0.5f)];

    /// <summary>Runs them.</summary>
    /// <param name="model">The model.</param>
    /// <param name="kvType">How keys and values are stored.</param>
    /// <param name="team">Who computes; has nothing else to do.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    /// <exception cref="OperationCanceledException">The token fired.</exception>
    public static void Run(CpuModel model, KVElementType kvType, ComputeTeam team, CancellationToken cancellationToken)
    {
        int longest = Math.Min(2 * PagedAttention.BlockLength, model.HyperParameters.ContextLength);
        using PagedAttention attention = model.Kernels.CreateAttention(model.AttentionShape, kvType, Rows[^1]);
        using var pass = new ForwardPass(model, attention, team, leastSharedWork: 0, layers: KindsOfLayers(model));
        using var plan = new PassPlan();
        var sampler = new WarmSampler(team.Size, model.HyperParameters.VocabularySize);
        foreach (int rows in Rows)
        {
            // Tokens of several sequences, as when decoding; then of one, as when a prompt is read.
            plan.Clear();
            for (int i = 0; i < rows; i++) plan.Add([0], 0, [i], wantsLogits: true);
            pass.Run(plan, sampler, cancellationToken);
            plan.Clear();
            plan.Add(new int[Math.Min(rows, longest)], 0, [0], wantsLogits: true);
            pass.Run(plan, sampler, cancellationToken);
        }
        plan.Clear();
        plan.Add(new int[longest], 0, [0, 1], wantsLogits: true);
        pass.Run(plan, sampler, cancellationToken);
    }

    /// <summary>The first layer of each kind: files mix types of weights, and models kinds of attention.</summary>
    private static int[] KindsOfLayers(CpuModel model) =>
        [.. Enumerable.Range(0, model.Layers.Length).DistinctBy(layer => (model.Layers[layer].Kind, model.Layers[layer].Attention))];

    private sealed unsafe class WarmSampler : ILogitsConsumer
    {
        private readonly Sampler[] _samplers;

        public WarmSampler(int members, int vocabularySize) => _samplers = [.. Enumerable.Range(0, members).Select(_ => new Sampler(vocabularySize))];

        public void Consume(int member, int output, Span<float> logits)
        {
            fixed (float* pointer = logits)
                if (!RowKernels.IsFinite(pointer, logits.Length)) return;
            if (output > 0) return;
            foreach (SamplingParameters parameters in Samplings) _samplers[member].Sample(logits, parameters, [0], 0);
        }
    }
}
