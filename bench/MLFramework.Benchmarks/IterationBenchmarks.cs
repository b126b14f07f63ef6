using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using MLFramework.Inference.ContinuousBatching;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;

namespace MLFramework.Benchmarks;

/// <summary>The scheduler's own time in one steady decode iteration: drain, plan, commit, metrics; the model's part is zero.</summary>
[Config(typeof(Config))]
[MemoryDiagnoser]
public class IterationBenchmarks
{
    private const int Context = 4096;
    private const int PromptTokens = 100;

    private SchedulerUnderTest _test = null!;

    [Params(64, 256, 4096)]
    public int Running { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _test = new SchedulerUnderTest(Running, Context);
        var requests = new List<Request>(Running);
        var random = new Random(1);
        for (int i = 0; i < Running; i++)
        {
            // Lengths differ, so that block borders fall into different iterations, as they do in life.
            int[] prompt = new int[PromptTokens + random.Next(16)];
            for (int t = 0; t < prompt.Length; t++)
            {
                prompt[t] = random.Next(32_000);
            }

            Request request = SchedulerUnderTest.NewRequest(prompt, Context);
            requests.Add(request);
            _ = _test.Scheduler.EnqueueAsync(request);
        }

        _test.Model.Answer(requests);
        while (requests.Exists(r => r.GeneratedTokens == 0))
        {
            DecodeIteration();
        }
    }

    [GlobalCleanup]
    public void Cleanup() => _test.Dispose();

    [Benchmark]
    public int DecodeIteration() => _test.Scheduler.IterateOnce().TokensGenerated;

    private sealed class Config : ManualConfig
    {
        /// <summary>Few invocations on purpose: each adds a token to every sequence, and none may reach the end of its context.</summary>
        public Config() => AddJob(Job.Default.WithToolchain(InProcessEmitToolchain.Instance)
            .WithInvocationCount(64).WithUnrollFactor(1).WithWarmupCount(25).WithIterationCount(15));
    }
}
