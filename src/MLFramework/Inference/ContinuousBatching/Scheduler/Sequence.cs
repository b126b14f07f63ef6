namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Where a sequence is. It is in one place at a time.</summary>
internal enum SequenceState
{
    /// <summary>Made, not yet in a queue.</summary>
    New,

    /// <summary>In the queue, holding no blocks.</summary>
    Waiting,

    /// <summary>In the batch manager's running set, holding blocks.</summary>
    Running,

    /// <summary>Ended; holds nothing.</summary>
    Ended,
}

/// <summary>
/// The scheduler's side of a request: its tokens, how many of them are computed, its blocks, its rank and its times.
/// Written by the owner thread, except where a member says otherwise.
/// </summary>
internal sealed class Sequence
{
    private int[] _tokens;

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

    /// <summary>Tokens of the prompt.</summary>
    public int PromptLength { get; }

    /// <summary>Tokens of the prompt and generated so far.</summary>
    public int TokenCount { get; private set; }

    /// <summary>Leading positions whose keys and values are in the cache.</summary>
    public int ComputedTokens { get; set; }

    /// <summary>Positions that the current plan computes; 0 outside an iteration.</summary>
    public int ScheduledTokens { get; set; }

    /// <summary>All tokens but one are computed: the next step is one token and yields one token.</summary>
    public bool IsDecoding => ComputedTokens == TokenCount - 1 && TokenCount > PromptLength;

    public BlockTable Blocks { get; } = new();

    /// <summary>Which prefixes it may share.</summary>
    public string Salt { get; }

    public ReadOnlySpan<int> Tokens(int start, int count) => _tokens.AsSpan(start, count);

    public void AppendToken(int tokenId)
    {
        if (TokenCount == _tokens.Length)
        {
            Array.Resize(ref _tokens, Math.Max(16, _tokens.Length * 2));
        }

        _tokens[TokenCount++] = tokenId;
    }

    /// <summary>Reserves room for tokens to come, so that a steady decode allocates nothing.</summary>
    public void EnsureTokenCapacity(int tokens)
    {
        if (_tokens.Length < tokens)
        {
            Array.Resize(ref _tokens, tokens);
        }
    }
}
