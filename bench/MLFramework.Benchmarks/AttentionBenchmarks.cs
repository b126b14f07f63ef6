using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using MLFramework.Cpu;
using Perfolizer.Horology;

namespace MLFramework.Benchmarks;

/// <summary>
/// Attention of one layer over a shuffled cache, on all cores, as a forward pass carries it out: decoding at several contexts and batch sizes, and a prompt
/// whose positions all attend. Layers follow each other, so that keys and values come from memory where a model's would.
/// </summary>
[Config(typeof(Config))]
[MemoryDiagnoser]
public class AttentionBenchmarks
{
    /// <summary>Bytes of keys and values that layers go round: more than the caches hold.</summary>
    private const long CacheBytes = 256 << 20;

    private AttentionLoad _load = null!;
    private int _layer;

    /// <summary>Query heads/heads of keys and values × elements: SmolLM2 135M, Qwen2.5 0.5B, Llama 3.2 1B.</summary>
    [Params("9/3x64", "14/2x64", "32/8x64")]
    public string Heads { get; set; } = "";

    /// <summary>Sequences that decode × positions of each, or positions of a prompt.</summary>
    [Params("1x256", "1x2048", "1x8192", "8x256", "8x2048", "8x8192", "32x256", "32x2048", "32x8192", "512")]
    public string Load { get; set; } = "";

    [Params(KVElementType.F16, KVElementType.Q8_0)]
    public KVElementType Type { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        int[] heads = Numbers(Heads);
        (int batch, int context) = Sizes(Load);
        var one = new AttentionShape(1, heads[0], heads[1], heads[2]);
        long layerBytes = PagedAttention.BytesPerToken(one, Type) * context * Math.Max(1, batch);
        _load = new AttentionLoad(one with { Layers = (int)Math.Clamp(CacheBytes / layerBytes, 1, 30) }, Type, batch, context);
    }

    [GlobalCleanup]
    public void Cleanup() => _load.Dispose();

    [Benchmark]
    public void OneLayer() => _load.Attend(_layer = (_layer + 1) % _load.Layers);

    /// <summary>Operations of one layer: a multiplication and an addition per element, for the scores and for the values.</summary>
    private static double Operations(BenchmarkCase benchmark)
    {
        int[] heads = Numbers((string)benchmark.Parameters[nameof(Heads)]);
        (int batch, int context) = Sizes((string)benchmark.Parameters[nameof(Load)]);
        return 4.0 * heads[0] * heads[2] * (batch == 0 ? context * (context + 1.0) / 2 : (double)batch * context);
    }

    /// <summary>Batch, 0 for a prompt, and context.</summary>
    private static (int Batch, int Context) Sizes(string load) => Numbers(load) is [int batch, int context] ? (batch, context) : (0, Numbers(load)[0]);

    private static int[] Numbers(string text) => [.. text.Split('/', 'x').Select(int.Parse)];

    private sealed class Config : ManualConfig
    {
        public Config()
        {
            AddJob(Job.Default.WithToolchain(InProcessEmitToolchain.Instance).WithWarmupCount(3).WithIterationCount(10).WithIterationTime(TimeInterval.FromMilliseconds(100)));
            AddColumn(new BillionsPerSecond());
        }
    }

    private sealed class BillionsPerSecond : IColumn
    {
        public string Id => ColumnName;

        public string ColumnName => "GFLOP/s";

        public bool AlwaysShow => true;

        public ColumnCategory Category => ColumnCategory.Custom;

        public int PriorityInCategory => 0;

        public bool IsNumeric => true;

        public UnitType UnitType => UnitType.Dimensionless;

        public string Legend => "Billions of multiplications and additions per second, of the best iteration.";

        public string GetValue(Summary summary, BenchmarkCase benchmarkCase) =>
            summary[benchmarkCase]?.ResultStatistics is { } times ? $"{Operations(benchmarkCase) / times.Min:F1}" : "-";

        public string GetValue(Summary summary, BenchmarkCase benchmarkCase, SummaryStyle style) => GetValue(summary, benchmarkCase);

        public bool IsAvailable(Summary summary) => true;

        public bool IsDefault(Summary summary, BenchmarkCase benchmarkCase) => false;
    }
}
