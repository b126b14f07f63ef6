using System.Collections.Concurrent;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Support;

/// <summary>
/// A model made of a hash: the next token depends on all tokens before it and on nothing else, as a real model's does, so that whatever a scheduler
/// loses, repeats or mixes up changes the text. It keeps keys and values for real: a store of token ids by block and offset, which
/// it reads back at every step, so a wrong block table, a missing copy or a stale block is an exception.
/// </summary>
internal sealed class MockModelExecutor(int blockSize = 16, TimeProvider? time = null) : IModelExecutor, IDisposable
{
    private readonly Dictionary<(int Block, int Offset), int> _cache = [];
    private readonly List<int> _sequence = [];
    private bool _disposed;

    /// <summary>How long a step takes on the executor's clock; computed from the batch.</summary>
    public Func<Batch, TimeSpan> StepTime { get; set; } = static _ => TimeSpan.Zero;

    /// <summary>The chance that a token is the end of the sequence: one in so many. 0 for never.</summary>
    public int EosOneIn { get; set; }

    /// <summary>Answers by prompt: token ids given in this order before the hash takes over.</summary>
    public Dictionary<string, int[]> Script { get; } = [];

    /// <summary>Called before each step is computed; may throw.</summary>
    public Action<Batch>? BeforeStep { get; set; }

    /// <summary>Sizes of all batches computed.</summary>
    public ConcurrentQueue<int> BatchSizes { get; } = new();

    /// <summary>Positions computed in total: what caching saves.</summary>
    public long TokensComputed { get; private set; }

    public bool GiveLogits { get; set; }

    public async Task<BatchOutput> ExecuteBatchAsync(Batch batch, CancellationToken cancellationToken = default)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        TimeSpan step = StepTime(batch);
        if (step > TimeSpan.Zero)
        {
            await Task.Delay(step, time ?? TimeProvider.System, cancellationToken);
        }

        BeforeStep?.Invoke(batch);
        BatchSizes.Enqueue(batch.Size);
        foreach (BlockCopy copy in batch.BlockCopies)
        {
            for (int offset = 0; offset < blockSize; offset++)
            {
                if (_cache.TryGetValue((copy.Source, offset), out int token))
                {
                    _cache[(copy.Destination, offset)] = token;
                }
            }
        }

        var tokens = new Dictionary<RequestId, int>();
        var logits = new Dictionary<RequestId, float[]>();
        bool[] eos = new bool[batch.Size];
        for (int i = 0; i < batch.Size; i++)
        {
            ScheduledTokens scheduled = batch.Schedule[i];
            TokensComputed += scheduled.Count;
            Write(scheduled);
            if (!scheduled.ProducesToken)
            {
                continue;
            }

            int token = NextToken(scheduled);
            tokens[scheduled.Request.Id] = token;
            eos[i] = token == WordTokenizer.Eos;
            if (GiveLogits)
            {
                logits[scheduled.Request.Id] = LogitsFor(token);
            }
        }

        return new BatchOutput(tokens, logits, eos);
    }

    public void Dispose() => _disposed = true;

    /// <summary>What follows a sequence when nobody else is there.</summary>
    public int NextTokenAlone(List<int> sequence, int sampleIndex)
    {
        uint hash = 2166136261;
        foreach (int token in sequence)
        {
            hash = (hash ^ (uint)token) * 16777619;
        }

        hash ^= (uint)sampleIndex * 2654435761;
        hash ^= hash >> 15;
        return EosOneIn > 0 && hash % (uint)EosOneIn == 0 ? WordTokenizer.Eos : 'a' + (int)(hash / 64 % 26);
    }

    private static float[] LogitsFor(int token)
    {
        float[] logits = new float[WordTokenizer.VocabularySize];
        logits[token] = 5;
        return logits;
    }

    private void Write(in ScheduledTokens scheduled)
    {
        ReadOnlySpan<int> blocks = scheduled.BlockIds;
        for (int i = 0; i < scheduled.Count && !blocks.IsEmpty; i++)
        {
            int position = scheduled.Start + i;
            _cache[(blocks[position / blockSize], position % blockSize)] = scheduled.TokenIds[i];
        }
    }

    private int NextToken(in ScheduledTokens scheduled)
    {
        ReadOnlySpan<int> blocks = scheduled.BlockIds;
        Request request = scheduled.Request;
        int promptLength = scheduled.End - request.GeneratedTokenIds.Count;
        _sequence.Clear();
        for (int position = 0; position < scheduled.End; position++)
        {
            int expected = TokenAt(request, position, promptLength);
            int token = blocks.IsEmpty ? expected : _cache[(blocks[position / blockSize], position % blockSize)];
            if (token != expected)
            {
                throw new InvalidDataException($"Request {request.Id}: position {position} holds token {token} instead of {expected}.");
            }

            _sequence.Add(token);
        }

        int generated = request.GeneratedTokenIds.Count;
        return Script.TryGetValue(request.Prompt, out int[]? answer) && generated < answer.Length
            ? answer[generated]
            : NextTokenAlone(_sequence, request.SampleIndex);
    }

    /// <summary>The token that a position must hold.</summary>
    private static int TokenAt(Request request, int position, int promptLength)
    {
        if (position >= promptLength)
        {
            return request.GeneratedTokenIds[position - promptLength];
        }

        return request.PromptTokenIds is { } ids ? ids.Span[position] : request.Prompt[position] < 1000 ? request.Prompt[position] : '?';
    }
}
