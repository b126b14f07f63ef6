using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace MLFramework.Compare;

/// <summary><c>llama_model_params</c> of llama.cpp v0.5.0, passed by value: 80 bytes, of which only the defaults are wanted.</summary>
[InlineArray(Length)]
internal struct PeerModelParameters
{
    /// <summary>Size in bytes.</summary>
    public const int Length = 80;

    private byte _first;
}

/// <summary>
/// <c>llama_context_params</c> of llama.cpp v0.5.0, passed by value: 160 bytes, of which the members below are known by their offsets. Which offset is which
/// is checked twice: the defaults must be those of that version, and a context must say afterwards what it was asked for.
/// </summary>
[InlineArray(Length)]
internal struct PeerContextParameters
{
    /// <summary>Size in bytes.</summary>
    public const int Length = 160;

    private const int ContextOffset = 0, BatchOffset = 4, MicroBatchOffset = 8, SequencesOffset = 12, ThreadsOffset = 28, BatchThreadsOffset = 32, FlashAttentionOffset = 52,
        KeyTypeOffset = 104, ValueTypeOffset = 108, NoTimingsOffset = 130, UnifiedOffset = 133;

    private const int TypeF32 = 0, TypeF16 = 1, Auto = -1;

    private byte _first;

    /// <summary>Positions of all sequences together.</summary>
    public int ContextLength { readonly get => Get(ContextOffset); set => Set(ContextOffset, value); }

    /// <summary>Most tokens of one call.</summary>
    public int BatchLength { readonly get => Get(BatchOffset); set => Set(BatchOffset, value); }

    /// <summary>Tokens computed at once within a call.</summary>
    public int MicroBatchLength { readonly get => Get(MicroBatchOffset); set => Set(MicroBatchOffset, value); }

    /// <summary>Sequences.</summary>
    public int Sequences { readonly get => Get(SequencesOffset); set => Set(SequencesOffset, value); }

    /// <summary>Threads, for one token and for many.</summary>
    public int Threads
    {
        readonly get => Get(ThreadsOffset);
        set
        {
            Set(ThreadsOffset, value);
            Set(BatchThreadsOffset, value);
        }
    }

    /// <summary>Whether attention is computed block by block with an online softmax.</summary>
    public bool FlashAttention { readonly get => Get(FlashAttentionOffset) == 1; set => Set(FlashAttentionOffset, value ? 1 : 0); }

    /// <summary>Whether keys and values are stored as F32, rather than F16.</summary>
    public bool CacheInSingles
    {
        readonly get => Get(KeyTypeOffset) == TypeF32;
        set
        {
            Set(KeyTypeOffset, value ? TypeF32 : TypeF16);
            Set(ValueTypeOffset, value ? TypeF32 : TypeF16);
        }
    }

    /// <summary>Whether it keeps no timings of its own.</summary>
    public bool NoTimings { readonly get => this[NoTimingsOffset] != 0; set => this[NoTimingsOffset] = value ? (byte)1 : (byte)0; }

    /// <summary>Whether all sequences share one buffer; if not, each has a stream of its own.</summary>
    public bool Unified { readonly get => this[UnifiedOffset] != 0; set => this[UnifiedOffset] = value ? (byte)1 : (byte)0; }

    /// <summary>Whether these are the defaults of the version whose layout is known here.</summary>
    public readonly bool AreKnownDefaults =>
        (ContextLength, BatchLength, MicroBatchLength, Sequences) == (512, 2048, 512, 1) && (Threads, Get(BatchThreadsOffset)) == (4, 4)
        && Get(FlashAttentionOffset) == Auto && (Get(KeyTypeOffset), Get(ValueTypeOffset)) == (TypeF16, TypeF16) && !Unified;

    private readonly int Get(int offset) => MemoryMarshal.Read<int>(((ReadOnlySpan<byte>)this)[offset..]);

    private void Set(int offset, int value) => MemoryMarshal.Write(((Span<byte>)this)[offset..], value);
}

/// <summary><c>llama_batch</c>: positions to compute, as columns. Some room behind it, for members that newer versions append.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct PeerBatch
{
    public int Count;
    public int* Tokens;
    public float* Embeddings;
    public int* Positions;
    public int* SequenceCounts;
    public int** Sequences;
    public sbyte* WantsLogits;
    public nint Spare1, Spare2, Spare3, Spare4;
}
