using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Says in which bucket of the <see cref="PrefixIndex"/> a block is looked for. Only speed depends on it: keys are compared in full.</summary>
/// <param name="parent">What the block hangs under.</param>
/// <param name="tokens">The block's tokens.</param>
internal delegate ulong PrefixHash(PrefixNode parent, ReadOnlySpan<int> tokens);

/// <summary>The hash in use: folded multiplications, as in wyhash.</summary>
internal static class FoldedPrefixHash
{
    private const ulong Multiplier = 0x9E37_79B9_7F4A_7C15;

    // Secret and new in each process, so that nobody can craft prompts that all fall into one bucket.
    private static readonly ulong Secret = NewSecret();

    /// <inheritdoc cref="PrefixHash"/>
    public static ulong Compute(PrefixNode parent, ReadOnlySpan<int> tokens)
    {
        ulong hash = Fold((ulong)parent.Root ^ Secret, (uint)parent.Block ^ Multiplier);
        ReadOnlySpan<ulong> pairs = MemoryMarshal.Cast<int, ulong>(tokens);
        foreach (ulong pair in pairs)
        {
            hash = Fold(hash ^ pair, Secret);
        }

        return (tokens.Length & 1) == 0 ? hash : Fold(hash ^ (uint)tokens[^1], Secret);
    }

    private static ulong Fold(ulong a, ulong b) => Math.BigMul(a, b, out ulong low) ^ low;

    private static ulong NewSecret()
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        RandomNumberGenerator.Fill(bytes);
        return MemoryMarshal.Read<ulong>(bytes) | 1;
    }
}
