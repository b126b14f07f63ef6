namespace MLFramework.Cpu.Tests;

public sealed class EngineBenchmarkTests : IDisposable
{
    private readonly CpuModel _model = TinyModels.Load(TinyModels.Write());

    [Test]
    public void Each_step_of_a_load_decodes_one_token_of_every_request_until_the_sequences_are_full([Values(1, 2, 7)] int batch)
    {
        using EngineBenchmark benchmark = New(maxBatchSize: 8, maxLength: 50);
        using DecodeLoad load = benchmark.StartDecoding(batch, 40);
        Assert.That(load.BatchSize, Is.EqualTo(batch));
        for (int step = 0; step < 10; step++) Assert.That(load.Step(), Is.EqualTo(Ticking.Tick), "The executor runs once, and nothing else is timed.");
        Assert.That(load.Step, Throws.InvalidOperationException);
    }

    [Test]
    public void Loads_of_growing_batches_start_at_the_same_context_one_after_another()
    {
        using EngineBenchmark benchmark = New(maxBatchSize: 8, maxLength: 60);
        foreach (int batch in (int[])[1, 4, 8, 2])
        {
            using DecodeLoad load = benchmark.StartDecoding(batch, 48);
            for (int step = 0; step < 12; step++) load.Step();
        }
    }

    [TestCase(1)]
    [TestCase(16)]
    [TestCase(59)]
    public void A_prompt_is_computed_anew_each_time(int tokens)
    {
        using EngineBenchmark benchmark = New(maxBatchSize: 1, maxLength: 60);
        for (int i = 0; i < 3; i++) Assert.That(benchmark.Prefill(tokens), Is.EqualTo(Ticking.Tick));
        Assert.That(benchmark.CachedTokens, Is.Zero);
    }

    [Test]
    public void A_prompt_of_several_chunks_takes_the_time_of_all()
    {
        using CpuModel model = TinyModels.Load(TinyModels.Write(change: metadata => metadata["llama.context_length"] = 2048));
        using var benchmark = new EngineBenchmark(model, 1, 2, 1100, new CpuExecutorOptions { Threads = 1 }, new Ticking());
        Assert.That(benchmark.Prefill(1025), Is.EqualTo(3 * Ticking.Tick));
    }

    [Test]
    public void Steady_steps_allocate_nothing()
    {
        using EngineBenchmark benchmark = New(maxBatchSize: 4, maxLength: 60);
        using DecodeLoad load = benchmark.StartDecoding(4, 20);
        load.Step();
        long before = load.AllocatedBytes;
        for (int step = 0; step < 30; step++) load.Step();
        Assert.That(load.AllocatedBytes, Is.EqualTo(before));
    }

    [Test]
    public void What_does_not_fit_is_refused()
    {
        Assert.That(() => New(0, 50), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => New(1, _model.HyperParameters.ContextLength + 1), Throws.InstanceOf<ArgumentOutOfRangeException>().With.Message.Contains($"at most {_model.HyperParameters.ContextLength} tokens"));
        Assert.That(() => New(1, 50, 64), Throws.InstanceOf<ArgumentOutOfRangeException>().With.Message.Contains("one of them behind the prompt"));
        using EngineBenchmark benchmark = New(2, 50);
        Assert.That(() => benchmark.Prefill(60), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => benchmark.StartDecoding(3, 10), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => benchmark.StartDecoding(1, 50), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => benchmark.Prefill(0), Throws.InstanceOf<ArgumentOutOfRangeException>());
        using DecodeLoad load = benchmark.StartDecoding(1, 10);
        Assert.That(() => benchmark.Prefill(10), Throws.InvalidOperationException);
    }

    public void Dispose() => _model.Dispose();

    private EngineBenchmark New(int maxBatchSize, int maxLength, int maxPrompt = 59) => new(_model, maxBatchSize, maxLength, maxPrompt, new CpuExecutorOptions { Threads = 1 }, new Ticking());

    /// <summary>A clock that goes on by one tick whenever somebody looks.</summary>
    private sealed class Ticking : TimeProvider
    {
        public static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(1);

        private long _now;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _now += Tick.Ticks;
    }
}
