using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;
using MLFramework.Tests.Scenarios;

namespace MLFramework.Cpu.Tests;

/// <summary>
/// The scenarios with the embedded model and the engine that users run. Steps are computed for real and take virtual time, so that a run can be repeated
/// and what is measured in it is known.
/// </summary>
public sealed class EmbeddedModelIntegrationTests : IntegrationScenarios
{
    private const int CacheTokens = 4096, MostIdleSteps = 100_000;

    private readonly VirtualTimeProvider _clock = new();
    private readonly SimulationContext _simulation;

    public EmbeddedModelIntegrationTests() => _simulation = new SimulationContext(_clock);

    private protected override TimeProvider Clock => _clock;

    private protected override SchedulerLoopHost LoopHost => new SimulationLoopHost(_simulation);

    private protected override double LeastShareOfThroughput => 0.99;

    private protected override Action AfterIteration => () => SchedulerInvariants.Check(Scheduler);

    private protected override ScenarioModel CreateModel()
    {
        CpuModel model = CpuModel.Load(TestModels.Demo("q8_0"));
        var executor = new CpuModelExecutor(model, new CpuExecutorOptions { Threads = 1, KVCacheTokens = CacheTokens });
        GreedyReference capital = TestModels.GreedyReferences().Single(reference => reference.Prompt == CapitalPrompt);
        Vocabulary vocabulary = model.Tokenizer.Vocabulary;
        return new ScenarioModel
        {
            Executor = new TimedExecutor(executor, _clock),
            Tokenizer = model.Tokenizer,
            Completion = new CompletionConfiguration(vocabulary.EosId!.Value) { AdditionalEosTokenIds = vocabulary.EndOfGenerationIds },
            Cache = executor.KVCache,
            ContextLength = model.HyperParameters.ContextLength,
            CapitalAnswer = model.Tokenizer.Decode(capital.GreedyIds[..10]),
            Ending = (CapitalPrompt, " Paris. France is a country in Europe.", Array.FindIndex(capital.GreedyIds, id => vocabulary.EndOfGenerationIds.Contains(id)) + 1),
            SharedPrompt = "Once upon a time there was a little fox who lived near the sea, and every day the fox went down to the beach to look at the ships.",
            LargePrompt = static i => $"Story {i}: " + string.Concat(Enumerable.Repeat("The fox went to the sea and saw a ship. ", 36)),
            Close = () =>
            {
                executor.Dispose();
                model.Dispose();
            },
        };
    }

    /// <summary>Runs the loop until nothing is alive; the client's own continuations are the thread pool's and are awaited outside.</summary>
    private protected override Task<T> EndOfAsync<T>(Task<T> task)
    {
        for (int steps = 0; Scheduler.Registry.Count > 0; steps++)
        {
            Assert.That(steps, Is.LessThan(MostIdleSteps), "Requests that never end.");
            Assert.That(_simulation.Step(), "Requests are alive, and nothing will ever happen.");
        }

        return task;
    }

    private protected override Task StopAsync()
    {
        _simulation.Run(() => Scheduler.StopAsync(Timeout.InfiniteTimeSpan));
        return Task.CompletedTask;
    }

    /// <summary>Makes a step take virtual time: a millisecond, and a hundredth for each position.</summary>
    private sealed class TimedExecutor(CpuModelExecutor inner, TimeProvider clock) : IModelExecutor
    {
        public string? ModelName => inner.ModelName;

        public async Task<BatchOutput> ExecuteBatchAsync(Batch batch, CancellationToken cancellationToken = default)
        {
            await Task.Delay(TimeSpan.FromMicroseconds(1000 + 10 * batch.Schedule.Sum(scheduled => scheduled.Count)), clock, cancellationToken);
            return await inner.ExecuteBatchAsync(batch, cancellationToken);
        }
    }
}
