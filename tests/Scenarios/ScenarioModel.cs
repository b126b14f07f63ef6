using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Scenarios;

/// <summary>A model, and what the scenarios must know of it.</summary>
internal sealed record ScenarioModel : IDisposable
{
    /// <summary>Runs the model.</summary>
    public required IModelExecutor Executor { get; init; }

    /// <summary>The model's tokens.</summary>
    public required ITokenizer Tokenizer { get; init; }

    /// <summary>The model's end tokens.</summary>
    public required CompletionConfiguration Completion { get; init; }

    /// <summary>The KV cache that the executor computes in.</summary>
    public required KVCacheConfiguration Cache { get; init; }

    /// <summary>Most tokens of a sequence.</summary>
    public required int ContextLength { get; init; }

    /// <summary>What ten greedy tokens make of <see cref="IntegrationScenarios.CapitalPrompt"/>.</summary>
    public required string CapitalAnswer { get; init; }

    /// <summary>A prompt whose greedy answer ends with an end token; the answer, and its tokens including that one.</summary>
    public required (string Prompt, string Answer, int Tokens) Ending { get; init; }

    /// <summary>A prompt of more than one KV block, and not of whole blocks.</summary>
    public required string SharedPrompt { get; init; }

    /// <summary>Prompts near the largest that the model takes, each different; ten do not fit into the cache together.</summary>
    public required Func<int, string> LargePrompt { get; init; }

    /// <summary>Called at the end of a scenario.</summary>
    public required Action Close { get; init; }

    public void Dispose() => Close();
}
