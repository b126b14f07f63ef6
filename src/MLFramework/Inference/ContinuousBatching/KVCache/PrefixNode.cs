using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// A node of the prefix tree: a registered block, which stands for all tokens from the beginning of the sequence to its end, or
/// the root of a salt.
/// </summary>
/// <param name="Root">The salt's root: trees of different salts never meet.</param>
/// <param name="Block">The block, or <see cref="NoBlock"/> for the root itself. A block keeps its place while anything hangs under it.</param>
internal readonly record struct PrefixNode(UInt128 Root, int Block)
{
    /// <summary>Stands for no block.</summary>
    public const int NoBlock = -1;

    /// <summary>
    /// The root of a salt: half of its SHA-256, over the UTF-16 code units so that no two strings are encoded alike. Finding a second
    /// salt with the same root takes 2^128 tries.
    /// </summary>
    public static PrefixNode RootOf(string salt)
    {
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(MemoryMarshal.AsBytes(salt.AsSpan()), digest);
        return new PrefixNode(MemoryMarshal.Read<UInt128>(digest), NoBlock);
    }
}
