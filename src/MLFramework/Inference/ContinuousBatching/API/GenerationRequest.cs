namespace MLFramework.Inference.ContinuousBatching;

/// <summary>One request of a batch of them.</summary>
/// <param name="Prompt">The text to continue; not empty.</param>
/// <param name="MaxTokens">Most tokens to generate, at least 1.</param>
/// <param name="Priority">Class of service.</param>
/// <param name="Options">How to generate; null for the defaults.</param>
/// <param name="CancellationToken">Cancels this request.</param>
/// <param name="Metadata">The caller's own data, returned with the result; the key <c>"tenant"</c> names the tenant.</param>
public record class GenerationRequest(
    string Prompt,
    int MaxTokens = 256,
    Priority Priority = Priority.Normal,
    GenerationOptions? Options = null,
    CancellationToken CancellationToken = default,
    Dictionary<string, object>? Metadata = null);
