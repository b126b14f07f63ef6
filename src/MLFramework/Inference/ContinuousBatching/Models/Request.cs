namespace MLFramework.Inference.ContinuousBatching;

/// <summary>One request for generation: what to generate, for whom, and how far it has come.</summary>
/// <remarks>
/// The caller makes it and reads it from any thread; once it is enqueued only the scheduler's owner thread writes it.
/// <see cref="GeneratedTokenIds"/> is safe to read after <see cref="CompletionSource"/> has completed.
/// </remarks>
public class Request
{
    private int _generatedTokens;
    private bool _isCompleted;

    /// <summary>Makes a request.</summary>
    /// <param name="id">Unique among the requests that are alive; <see cref="RequestId.New"/> makes one.</param>
    /// <param name="prompt">The text to continue; not empty unless <see cref="PromptTokenIds"/> is given.</param>
    /// <param name="maxTokens">Most tokens to generate, at least 1; checked when the request is enqueued.</param>
    /// <param name="token">Cancels the request wherever it is.</param>
    /// <param name="priority">Class of service.</param>
    /// <param name="timeProvider">Where <see cref="EnqueuedTime"/> is read from; null for the system's clock.</param>
    /// <exception cref="ArgumentNullException"><paramref name="prompt"/> is null.</exception>
    public Request(
        RequestId id,
        string prompt,
        int maxTokens,
        CancellationToken token,
        Priority priority = Priority.Normal,
        TimeProvider? timeProvider = null)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        Id = id;
        Prompt = prompt;
        MaxTokens = maxTokens;
        CancellationToken = token;
        Priority = priority;
        EnqueuedTime = (timeProvider ?? TimeProvider.System).GetUtcNow().UtcDateTime;
    }

    /// <summary>Identifies the request.</summary>
    public RequestId Id { get; }

    /// <summary>The text to continue.</summary>
    public string Prompt { get; }

    /// <summary>The prompt as token ids, for callers that tokenize themselves; when given, <see cref="Prompt"/> is only echoed.</summary>
    public ReadOnlyMemory<int>? PromptTokenIds { get; init; }

    /// <summary>Most tokens to generate.</summary>
    public int MaxTokens { get; }

    /// <summary>Cancels the request wherever it is: in the queue, between prefill chunks, between tokens.</summary>
    public CancellationToken CancellationToken { get; }

    /// <summary>
    /// Completes with the generated text; faults with the request's own error; is cancelled when the request is.
    /// Continuations never run on the engine thread.
    /// </summary>
    public TaskCompletionSource<string> CompletionSource { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>When the request was made, then when it was accepted by a queue (UTC).</summary>
    public DateTime EnqueuedTime { get; internal set; }

    /// <summary>Class of service; a higher one given at enqueueing prevails.</summary>
    public Priority Priority { get; }

    /// <summary>After this moment (UTC) the answer is worthless: the request ends with <see cref="CompletionReason.Timeout"/>. Null for none.</summary>
    public DateTimeOffset? Deadline { get; init; }

    /// <summary>How to generate; null for <see cref="GenerationOptions.Default"/>.</summary>
    public GenerationOptions? Options { get; set; }

    /// <summary>
    /// The caller's own data, carried along. The key <c>"tenant"</c> names the tenant for fairness and cache isolation when
    /// <see cref="GenerationOptions.Tenant"/> does not.
    /// </summary>
    public Dictionary<string, object>? Metadata { get; set; }

    /// <summary>
    /// Which sample of its prompt this is, from 0: with a seed in <see cref="Options"/>, samples of one prompt differ by it.
    /// </summary>
    public int SampleIndex { get; init; }

    /// <summary>
    /// The first sample of the same prompt, whose KV blocks this one shares instead of computing the prompt again; null for a request of its own.
    /// </summary>
    public Request? FirstSample { get; init; }

    /// <summary>Tokens generated so far.</summary>
    public int GeneratedTokens
    {
        get => Volatile.Read(ref _generatedTokens);
        set => Volatile.Write(ref _generatedTokens, value);
    }

    /// <summary>Whether the request has ended, for whatever reason.</summary>
    public bool IsCompleted
    {
        get => Volatile.Read(ref _isCompleted);
        set => Volatile.Write(ref _isCompleted, value);
    }

    /// <summary>Ids of the tokens generated so far, in order.</summary>
    public List<int> GeneratedTokenIds { get; } = [];

    /// <summary>How the request ended; null while it is alive. Set before <see cref="CompletionSource"/> completes.</summary>
    public RequestResult? Result { get; internal set; }

    /// <summary>The scheduler's side of the request, from the moment that it is accepted.</summary>
    internal Sequence? Sequence { get; set; }

    /// <summary>The client's limit on its time, where the caller gave neither a deadline nor a limit.</summary>
    internal TimeSpan? DefaultTimeLimit { get; set; }

    /// <summary>Where its tokens are streamed to; null when nobody listens. Set before the request is enqueued.</summary>
    internal TokenStream? Stream { get; set; }

    /// <summary>Its text as it grows, where that is needed before the end.</summary>
    internal ResponseText? Text { get; set; }

    /// <summary>Whose request it is; the empty string for nobody in particular.</summary>
    internal string TenantName =>
        Options?.Tenant ?? TenantIn(Metadata) ?? TenantIn(Options?.Metadata) ?? string.Empty;

    private static string? TenantIn(Dictionary<string, object>? metadata) =>
        metadata is not null && metadata.TryGetValue("tenant", out object? tenant) ? tenant as string : null;
}
