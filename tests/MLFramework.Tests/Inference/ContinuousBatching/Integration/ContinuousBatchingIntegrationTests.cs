using MLFramework.Inference.ContinuousBatching;
using MLFramework.Tests.Inference.ContinuousBatching.Support;
using MLFramework.Tests.Scenarios;

namespace MLFramework.Tests.Inference.ContinuousBatching.Integration;

/// <summary>The scheduler as its users run it: the system's clock, the loop on its own thread, a model that takes time and keeps its keys and values.</summary>
public class ContinuousBatchingIntegrationTests : IntegrationScenarios
{
    private const string EndingPrompt = "Complete this sentence with";

    private protected override TimeProvider Clock => TimeProvider.System;

    private protected override ScenarioModel CreateModel()
    {
        var executor = new MockModelExecutor
        {
            StepTime = static _ => TimeSpan.FromMilliseconds(1),
            EosOneIn = 10,
            Script =
            {
                [CapitalPrompt] = [WordTokenizer.Word(" Paris"), WordTokenizer.Word("."), WordTokenizer.Eos],
                [EndingPrompt] = [WordTokenizer.Word(" blue"), WordTokenizer.Word("."), WordTokenizer.Eos],
            },
        };
        return new ScenarioModel
        {
            Executor = executor,
            Tokenizer = new WordTokenizer(),
            Completion = CompletionConfiguration.Default,
            Cache = new KVCacheConfiguration(2048),
            ContextLength = 16_384,
            CapitalAnswer = " Paris.",
            Ending = (EndingPrompt, " blue.", 3),
            SharedPrompt = "Shared prompt for caching",
            LargePrompt = static i => new string((char)('A' + i), 10_000),
            Close = executor.Dispose,
        };
    }
}
