using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Simulation;

/// <summary>A model on a machine: what a step costs, and how much fits.</summary>
/// <param name="Name">What the command line calls it.</param>
/// <param name="Description">One line for people.</param>
/// <param name="Cost">Duration of a step.</param>
/// <param name="Cache">The KV cache that fits beside the weights.</param>
/// <param name="MaxBatchSize">Requests that run together.</param>
/// <param name="Objectives">What a user of such a machine would want of it.</param>
public sealed record class ModelPreset(
    string Name,
    string Description,
    CostModel Cost,
    KVCacheConfiguration Cache,
    int MaxBatchSize,
    ServiceObjectives Objectives)
{
    /// <summary>SmolLM2-135M in Q8_0 on two AVX2 cores at 3 GHz.</summary>
    /// <remarks>
    /// <list type="bullet">
    /// <item>Shape: 134.5 M parameters, 30 layers, width 576, 3 KV heads of 64.</item>
    /// <item>WeightRead: 134.5e6 × 34/32 B = 143 MB, at 20 GB/s that two cores draw from DDR4: 7.1 ms.</item>
    /// <item>
    /// PerToken: 134.5e6 multiply-adds; AVX2 does 32 int8 products in three instructions, two a cycle: 21 a cycle and core, of which 60 %
    /// are reached: 2 × 3e9 × 12.8 = 77e9 a second: 1.75 ms.
    /// </item>
    /// <item>PerKVToken: 30 × 2 × 3 × 64 values of 2 B = 23,040 B at 20 GB/s: 1.15 µs.</item>
    /// <item>PerAttentionPair: 2 × 30 × 576 = 34,560 multiply-adds in float; 16 a cycle and core, half of them reached: 48e9 a second: 0.72 µs.</item>
    /// <item>PerStep: 30 layers × 7 barriers of the threads × 1 µs: 0.21 ms.</item>
    /// <item>Cache: 1 GiB, 46,603 tokens.</item>
    /// </list>
    /// </remarks>
    public static ModelPreset Cpu { get; } = new(
        "cpu",
        "SmolLM2-135M (Q8_0) on 2 AVX2 cores",
        new CostModel(
            PerStep: 30 * 7 * 1e-6,
            WeightRead: 134.5e6 * 34 / 32 / 20e9,
            PerToken: 134.5e6 / 77e9,
            PerKVToken: 23_040 / 20e9,
            PerAttentionPair: 34_560 / 48e9),
        KVCacheConfiguration.ForMemory(1L << 30, 23_040),
        MaxBatchSize: 16,
        new ServiceObjectives(TimeSpan.FromSeconds(10), TimeSpan.FromMilliseconds(200)));

    /// <summary>Llama 3.1 8B in BF16 on one H100 SXM.</summary>
    /// <remarks>
    /// <list type="bullet">
    /// <item>Shape: 8.03e9 parameters, 32 layers, width 4096, 8 KV heads of 128.</item>
    /// <item>Machine: 3.35 TB/s of which 80 % are reached, 2.68e12 B/s; 989.4 TFLOP/s dense BF16 of which half are reached, 494.7e12.</item>
    /// <item>WeightRead: 16.06e9 B / 2.68e12 = 5.99 ms.</item>
    /// <item>PerToken: 2 × 8.03e9 FLOP / 494.7e12 = 32.5 µs; 185 tokens ride on one reading of the weights.</item>
    /// <item>PerKVToken: 32 × 2 × 8 × 128 values of 2 B = 131,072 B / 2.68e12 = 48.9 ns.</item>
    /// <item>PerAttentionPair: 4 × 32 × 4096 = 524,288 FLOP / 494.7e12 = 1.06 ns.</item>
    /// <item>PerStep: 0.3 ms for scheduling, the launch of a captured graph, and sampling.</item>
    /// <item>Cache: 90 % of 80 GB less weights and 2 GB of activations, 53.9 GB: 411,529 tokens.</item>
    /// </list>
    /// </remarks>
    public static ModelPreset Llama8BOnH100 { get; } = new(
        "8b-h100",
        "Llama 3.1 8B (BF16) on one H100",
        new CostModel(
            PerStep: 0.3e-3,
            WeightRead: 16.06e9 / 2.68e12,
            PerToken: 2 * 8.03e9 / 494.7e12,
            PerKVToken: 131_072 / 2.68e12,
            PerAttentionPair: 524_288 / 494.7e12),
        KVCacheConfiguration.ForMemory(53_940_000_000, 131_072),
        MaxBatchSize: 256,
        new ServiceObjectives(TimeSpan.FromSeconds(1), TimeSpan.FromMilliseconds(50)));

    /// <summary>Llama 3.1 70B in BF16 on eight H100 SXM, tensor parallel.</summary>
    /// <remarks>
    /// <list type="bullet">
    /// <item>Shape: 70.6e9 parameters, 80 layers, width 8192, 8 KV heads of 128.</item>
    /// <item>Machine: eight times that of <see cref="Llama8BOnH100"/>: 21.44e12 B/s, 3,957.6e12 FLOP/s; NVLink 450 GB/s each way.</item>
    /// <item>WeightRead: 141.2e9 B / 21.44e12 = 6.59 ms.</item>
    /// <item>
    /// PerToken: 2 × 70.6e9 FLOP / 3,957.6e12 = 35.7 µs, and two all-reduces a layer of 16,384 B, each moving 2 × 7/8 of it:
    /// 160 × 28,672 B / 450e9 = 10.2 µs; together 45.9 µs.
    /// </item>
    /// <item>PerKVToken: 80 × 2 × 8 × 128 values of 2 B = 327,680 B / 21.44e12 = 15.3 ns.</item>
    /// <item>PerAttentionPair: 4 × 80 × 8192 = 2,621,440 FLOP / 3,957.6e12 = 0.66 ns.</item>
    /// <item>PerStep: 0.3 ms as above, and 160 all-reduces × 10 µs of latency: 1.9 ms.</item>
    /// <item>Cache: 90 % of 640 GB less weights and 16 GB of activations, 418.8 GB: 1,278,076 tokens.</item>
    /// </list>
    /// </remarks>
    public static ModelPreset Llama70BOn8H100 { get; } = new(
        "70b-8xh100",
        "Llama 3.1 70B (BF16) on eight H100",
        new CostModel(
            PerStep: 0.3e-3 + (160 * 10e-6),
            WeightRead: 141.2e9 / 21.44e12,
            PerToken: (2 * 70.6e9 / 3957.6e12) + (160 * 28_672 / 450e9),
            PerKVToken: 327_680 / 21.44e12,
            PerAttentionPair: 2_621_440 / 3957.6e12),
        KVCacheConfiguration.ForMemory(418_800_000_000, 327_680),
        MaxBatchSize: 256,
        new ServiceObjectives(TimeSpan.FromSeconds(2), TimeSpan.FromMilliseconds(100)));

    /// <summary>All presets.</summary>
    public static IReadOnlyList<ModelPreset> All { get; } = [Cpu, Llama8BOnH100, Llama70BOn8H100];

    /// <summary>Requests per second at which the arithmetic alone would keep the machine busy: no schedule can serve more for long.</summary>
    /// <param name="prompts">Lengths of prompts.</param>
    /// <param name="outputs">Lengths of answers.</param>
    /// <exception cref="ArgumentNullException">An argument is null.</exception>
    public double PeakRate(LengthDistribution prompts, LengthDistribution outputs)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentNullException.ThrowIfNull(outputs);
        return 1 / ((prompts.Mean + outputs.Mean) * Cost.PerToken);
    }
}
