using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Engines;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Benchmarks;

/// <summary>Admission from two threads at once, the prompt already tokenized: checks, registry, queue order, bounds. Time per request of all threads.</summary>
[Config(typeof(Config))]
[MemoryDiagnoser]
public class EnqueueBenchmarks
{
    private const int PerThread = 50_000;
    private const int Threads = 2;

    private readonly Request[][] _requests = new Request[Threads][];
    private SchedulerUnderTest _test = null!;

    [IterationSetup]
    public void Setup()
    {
        _test = new SchedulerUnderTest(64, 2048);
        int[] prompt = [.. Enumerable.Range(0, 128)];
        for (int t = 0; t < Threads; t++)
        {
            _requests[t] = [.. Enumerable.Range(0, PerThread).Select(_ => SchedulerUnderTest.NewRequest(prompt, 16))];
        }
    }

    [IterationCleanup]
    public void Cleanup() => _test.Dispose();

    [Benchmark(OperationsPerInvoke = PerThread * Threads)]
    public int Enqueue()
    {
        var threads = new Thread[Threads];
        for (int t = 0; t < Threads; t++)
        {
            Request[] mine = _requests[t];
            threads[t] = new Thread(() =>
            {
                foreach (Request request in mine)
                {
                    _ = _test.Scheduler.EnqueueAsync(request);
                }
            });
            threads[t].Start();
        }

        foreach (Thread thread in threads)
        {
            thread.Join();
        }

        return _test.Scheduler.QueuedRequestCount;
    }

    private sealed class Config : ManualConfig
    {
        public Config() => AddJob(Job.Default.WithToolchain(InProcessEmitToolchain.Instance)
            .WithStrategy(RunStrategy.Monitoring).WithInvocationCount(1).WithUnrollFactor(1).WithWarmupCount(3).WithIterationCount(12));
    }
}
