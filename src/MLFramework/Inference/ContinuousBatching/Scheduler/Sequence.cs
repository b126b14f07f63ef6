namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Where a sequence is. It is in one place at a time.</summary>
internal enum SequenceState
{
    /// <summary>Nowhere: made and not yet enqueued, or taken out of the queue.</summary>
    New,

    /// <summary>In the queue, holding no blocks.</summary>
    Waiting,

    /// <summary>A further sample of a prompt, taken out of the queue, until the first sample has computed that prompt. Holds no blocks.</summary>
    AwaitingPrompt,

    /// <summary>In the batch manager's running set, holding blocks.</summary>
    Running,

    /// <summary>Ended; holds nothing.</summary>
    Ended,
}

/// <summary>
/// The scheduler's side of a request: its tokens, how many of them are computed, its blocks, its rank and its times.
/// </summary>
/// <remarks>
/// Written by the owner thread; the members of its place in the queue under the queue's lock; the ending by whoever decides it first.
/// </remarks>
internal sealed class Sequence
{
    private const int Live = 0;
    private const int CancelRequested = 1;
    private const int Closed = 2;

    private int[] _tokens;
    private CancellationTokenRegistration _registration;
    private bool _isAdmitted;
    private int _ending;

    /// <summary>Makes the sequence of a request whose prompt is <paramref name="promptTokens"/>.</summary>
    public Sequence(Request request, ReadOnlySpan<int> promptTokens)
    {
        Request = request;
        _tokens = promptTokens.ToArray();
        PromptLength = TokenCount = promptTokens.Length;
        Salt = request.Options?.CacheSalt ?? request.TenantName;
    }

    public Request Request { get; }

    public SequenceState State { get; set; }

    /// <summary>It is in the queue or past it. Until then nobody else may end it: its caller is still inside the call that admits it.</summary>
    public bool IsAdmitted
    {
        get => Volatile.Read(ref _isAdmitted);
        set => Volatile.Write(ref _isAdmitted, value);
    }

    // ---- Tokens ----

    /// <summary>Tokens of the prompt.</summary>
    public int PromptLength { get; }

    /// <summary>Tokens of the prompt and generated so far.</summary>
    public int TokenCount { get; private set; }

    /// <summary>Leading positions whose keys and values are in the cache.</summary>
    public int ComputedTokens { get; set; }

    /// <summary>Positions not yet computed; at least one while it is alive.</summary>
    public int RemainingTokens => TokenCount - ComputedTokens;

    /// <summary>All tokens but the last generated one are computed: a step costs one token and yields one.</summary>
    public bool IsDecoding => RemainingTokens == 1 && TokenCount > PromptLength;

    // ---- Memory ----

    public BlockTable Blocks { get; } = new();

    /// <summary>Bytes of KV cache held, as told by an opaque cache manager.</summary>
    public long OpaqueBytes { get; set; }

    /// <summary>Tokens for which an opaque cache manager has made room.</summary>
    public int OpaqueTokens { get; set; }

    /// <summary>Which prefixes it may share.</summary>
    public string Salt { get; }

    /// <summary>Prompt positions that came from the prefix cache when it first ran.</summary>
    public int CachedPromptTokens { get; set; }

    /// <summary>Number of the isolation group in which it is retried after a failed run; 0 for none.</summary>
    public int IsolationGroup { get; set; }

    // ---- Place in the queue ----

    public Rank Rank { get; set; }

    public TenantAccount? Account { get; set; }

    public Sequence? Previous { get; set; }

    public Sequence? Next { get; set; }

    /// <summary>It ran before and was preempted: it goes to the front of its class.</summary>
    public bool WasPreempted { get; set; }

    // ---- Times, as timestamps of the scheduler's clock; null for not yet ----

    public long EnqueuedTimestamp { get; set; }

    public long? StartedTimestamp { get; set; }

    public long? FirstTokenTimestamp { get; set; }

    /// <summary>When it ends by <see cref="CompletionReason.Timeout"/>; <see cref="long.MaxValue"/> for never.</summary>
    public long LimitTimestamp { get; set; } = long.MaxValue;

    public int Preemptions { get; set; }

    // ---- Observation ----

    /// <summary>Log-probabilities of the generated tokens, for a request that asked for them.</summary>
    public List<TokenLogProbs>? LogProbs { get; set; }

    public RequestTrace? Trace { get; set; }

    // ---- Ending ----

    /// <summary>Whether the caller's cancellation was taken and the owner thread has yet to end the sequence.</summary>
    public bool IsCancelRequested => Volatile.Read(ref _ending) == CancelRequested;

    /// <summary>Asks for cancellation, from any thread.</summary>
    /// <returns>True for the one call that decides that the sequence ends as cancelled.</returns>
    public bool TryRequestCancel() => Interlocked.CompareExchange(ref _ending, CancelRequested, Live) == Live;

    /// <summary>Claims the right to end the sequence by itself. Owner thread only.</summary>
    /// <returns>False when a caller's cancellation came first: it then ends as cancelled.</returns>
    public bool TryClose() => Interlocked.CompareExchange(ref _ending, Closed, Live) == Live;

    /// <summary>
    /// Keeps the caller's registration on its cancellation token until the sequence ends; if it has ended meanwhile, lets go of it at once.
    /// </summary>
    public void Keep(CancellationTokenRegistration registration)
    {
        lock (Blocks)
        {
            if (State != SequenceState.Ended)
            {
                _registration = registration;
                return;
            }
        }

        registration.Unregister();
    }

    /// <summary>The sequence has ended and holds nothing.</summary>
    public void MarkEnded()
    {
        CancellationTokenRegistration registration;
        lock (Blocks)
        {
            State = SequenceState.Ended;
            registration = _registration;
            _registration = default;
        }

        registration.Unregister();
    }

    public ReadOnlySpan<int> Tokens(int start, int count) => _tokens.AsSpan(start, count);

    public void AppendToken(int tokenId)
    {
        EnsureTokenCapacity(TokenCount + 1);
        _tokens[TokenCount++] = tokenId;
    }

    /// <summary>Reserves room for tokens to come, so that a steady decode allocates nothing.</summary>
    public void EnsureTokenCapacity(int tokens)
    {
        if (_tokens.Length < tokens)
        {
            Array.Resize(ref _tokens, Math.Max(tokens, Math.Min(_tokens.Length * 2, Array.MaxLength)));
        }
    }
}
