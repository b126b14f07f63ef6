using System.Runtime.InteropServices;

namespace MLFramework.Compare;

/// <summary>
/// Sequences in llama.cpp, each with a buffer of its own (<c>kv_unified = false</c>, its best mode for batches), keys and values in F16 as it has them by
/// default, or in F32.
/// </summary>
internal sealed unsafe class PeerContext : IDisposable
{
    /// <summary>Positions computed at once, llama.cpp's default.</summary>
    private const int MicroBatchLength = 512;

    /// <summary>llama.cpp pads a sequence's buffer to this.</summary>
    private const int ContextPadding = 256;

    private readonly PeerLibrary _library;
    private readonly int _vocabularySize;
    private readonly int* _tokens, _positions, _sequenceCounts, _sequenceIds;
    private readonly int** _sequences;
    private readonly sbyte* _wantsLogits;
    private readonly int _capacity;
    private readonly delegate* unmanaged[Cdecl]<void*, PeerBatch, int> _decode;
    private readonly delegate* unmanaged[Cdecl]<void*, void> _synchronize;
    private readonly delegate* unmanaged[Cdecl]<void*, int, float*> _logits;
    private void* _context;
    private int _count;

    /// <summary>Makes a context.</summary>
    /// <param name="model">The model.</param>
    /// <param name="sequences">Number of sequences.</param>
    /// <param name="length">Most tokens of each.</param>
    /// <param name="threads">Threads that compute.</param>
    /// <param name="flashAttention">Whether attention is computed block by block with an online softmax.</param>
    /// <param name="cacheInSingles">Whether keys and values are stored as F32.</param>
    /// <exception cref="CompareException">llama.cpp refuses, or has made something else than what it was asked for.</exception>
    public PeerContext(PeerModel model, int sequences, int length, int threads, bool flashAttention, bool cacheInSingles = false)
    {
        (_library, _vocabularySize) = (model.Library, model.VocabularySize);
        int padded = (length + ContextPadding - 1) / ContextPadding * ContextPadding;
        _capacity = Math.Max(padded, sequences);
        PeerContextParameters parameters = _library.DefaultContext();
        parameters.ContextLength = padded * sequences;
        parameters.BatchLength = Math.Max(MicroBatchLength, _capacity);
        parameters.MicroBatchLength = Math.Min(MicroBatchLength, parameters.ContextLength);
        parameters.Sequences = sequences;
        parameters.Threads = threads;
        parameters.FlashAttention = flashAttention;
        parameters.CacheInSingles = cacheInSingles;
        parameters.NoTimings = true;
        parameters.Unified = false;
        PeerLog.Clear();
        _context = ((delegate* unmanaged[Cdecl]<void*, PeerContextParameters, void*>)_library.Function("llama_init_from_model"))(model.Handle, parameters);
        if (_context is null) throw new CompareException($"llama.cpp makes no context of {sequences} sequences of {padded} tokens:\n{PeerLog.Text}");
        try
        {
            Verify(parameters, padded);
        }
        catch
        {
            ((delegate* unmanaged[Cdecl]<void*, void>)_library.Function("llama_free"))(_context);
            throw;
        }

        _decode = (delegate* unmanaged[Cdecl]<void*, PeerBatch, int>)_library.Function("llama_decode");
        _synchronize = (delegate* unmanaged[Cdecl]<void*, void>)_library.Function("llama_synchronize");
        _logits = (delegate* unmanaged[Cdecl]<void*, int, float*>)_library.Function("llama_get_logits_ith");
        _tokens = Allocate<int>();
        _positions = Allocate<int>();
        _sequenceCounts = Allocate<int>();
        _sequenceIds = Allocate<int>();
        _sequences = (int**)Allocate<nint>();
        _wantsLogits = Allocate<sbyte>();
        for (int i = 0; i < _capacity; i++)
        {
            _sequenceCounts[i] = 1;
            _sequences[i] = _sequenceIds + i;
        }
    }

    /// <summary>Begins a new batch.</summary>
    public void Clear() => _count = 0;

    /// <summary>Adds a position to the batch.</summary>
    public void Add(int token, int position, int sequence, bool wantsLogits)
    {
        if (_count == _capacity) throw new InvalidOperationException($"A batch of this context holds {_capacity} positions.");
        (_tokens[_count], _positions[_count], _sequenceIds[_count], _wantsLogits[_count]) = (token, position, sequence, wantsLogits ? (sbyte)1 : (sbyte)0);
        _count++;
    }

    /// <summary>Computes the batch, to the end.</summary>
    /// <exception cref="CompareException">llama.cpp could not.</exception>
    public void Decode()
    {
        var batch = new PeerBatch { Count = _count, Tokens = _tokens, Positions = _positions, SequenceCounts = _sequenceCounts, Sequences = _sequences, WantsLogits = _wantsLogits };
        int status = _decode(_context, batch);
        if (status != 0) throw new CompareException($"llama_decode returned {status} for {_count} positions:\n{PeerLog.Text}");
        _synchronize(_context);
    }

    /// <summary>The logits after a position of the last batch that wanted them; valid until the next batch.</summary>
    /// <param name="index">The position's index in the batch.</param>
    public ReadOnlySpan<float> Logits(int index) => new(_logits(_context, index), _vocabularySize);

    /// <summary>Forgets all sequences.</summary>
    public void Reset() => ((delegate* unmanaged[Cdecl]<void*, byte, void>)_library.Function("llama_memory_clear"))(Memory, 0);

    /// <summary>Forgets a sequence from a position on.</summary>
    public void Truncate(int sequence, int length)
    {
        if (((delegate* unmanaged[Cdecl]<void*, int, int, int, byte>)_library.Function("llama_memory_seq_rm"))(Memory, sequence, length, -1) == 0)
            throw new CompareException($"llama.cpp cannot cut sequence {sequence} to {length} tokens.");
    }

    /// <summary>Gives other sequences, which are empty, copies of what a sequence holds, in their own buffers.</summary>
    public void Copy(int source, IEnumerable<int> destinations)
    {
        nuint size = ((delegate* unmanaged[Cdecl]<void*, int, nuint>)_library.Function("llama_state_seq_get_size"))(_context, source);
        byte* state = (byte*)NativeMemory.Alloc(size);
        try
        {
            size = ((delegate* unmanaged[Cdecl]<void*, byte*, nuint, int, nuint>)_library.Function("llama_state_seq_get_data"))(_context, state, size, source);
            foreach (int destination in destinations)
                if (((delegate* unmanaged[Cdecl]<void*, byte*, nuint, int, nuint>)_library.Function("llama_state_seq_set_data"))(_context, state, size, destination) == 0)
                    throw new CompareException($"llama.cpp cannot copy sequence {source} to {destination}.");
        }
        finally
        {
            NativeMemory.Free(state);
        }
    }

    /// <summary>Frees the context.</summary>
    public void Dispose()
    {
        if (_context is null) return;
        ((delegate* unmanaged[Cdecl]<void*, void>)_library.Function("llama_free"))(_context);
        _context = null;
        foreach (nint buffer in (ReadOnlySpan<nint>)[(nint)_tokens, (nint)_positions, (nint)_sequenceCounts, (nint)_sequenceIds, (nint)_sequences, (nint)_wantsLogits])
            NativeMemory.Free((void*)buffer);
    }

    private void* Memory => ((delegate* unmanaged[Cdecl]<void*, void*>)_library.Function("llama_get_memory"))(_context);

    /// <summary>The parameters went as bytes at offsets: what came of them is read back, from its functions where it has them, else from its log.</summary>
    private void Verify(in PeerContextParameters asked, int sequenceLength)
    {
        Expect("n_ctx_seq", Number("llama_n_ctx_seq"), sequenceLength);
        Expect("n_seq_max", Number("llama_n_seq_max"), asked.Sequences);
        Expect("n_ubatch", Number("llama_n_ubatch"), asked.MicroBatchLength);
        Expect("n_threads", Number("llama_n_threads"), asked.Threads);
        Expect("n_threads_batch", Number("llama_n_threads_batch"), asked.Threads);
        Expect("flash_attn", PeerLog.Find("llama_context: flash_attn "), asked.FlashAttention ? "enabled" : "disabled");
        Expect("kv_unified", PeerLog.Find("llama_context: kv_unified "), asked.Unified ? "true" : "false");
    }

    private int Number(string function) => ((delegate* unmanaged[Cdecl]<void*, int>)_library.Function(function))(_context);

    private static void Expect<T>(string name, T? actual, T expected)
    {
        if (!Equals(actual, expected)) throw new CompareException($"llama.cpp was asked for {name} = {expected}, but made a context with {actual}.");
    }

    private T* Allocate<T>() where T : unmanaged => (T*)NativeMemory.AllocZeroed((nuint)_capacity, (nuint)sizeof(T));
}
