using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace MLFramework.Cpu;

/// <summary>
/// The few operations that <see cref="Vector256"/> has no portable form of that compiles well. Everything else in the kernels is portable code, which the
/// runtime carries out with two 128-bit vectors where there are no 256-bit ones (Arm64). Both implementations give the same bits.
/// </summary>
internal unsafe interface ISimd
{
    /// <summary>16 signed bytes as 16-bit integers.</summary>
    static abstract Vector256<short> Widen(sbyte* source);

    /// <summary>16 unsigned bytes as 16-bit integers.</summary>
    static abstract Vector256<short> Widen(byte* source);

    /// <summary>8 signed 16-bit integers as 32-bit ones.</summary>
    static abstract Vector256<int> Widen(short* source);

    /// <summary>8 unsigned 16-bit integers as 32-bit ones.</summary>
    static abstract Vector256<int> Widen(ushort* source);

    /// <summary>Multiplies element by element and adds adjacent products to 8 sums.</summary>
    static abstract Vector256<int> AddPairProducts(Vector256<int> sums, Vector256<short> left, Vector256<short> right);

    /// <summary>Asks for a cache line that will soon be read; any address will do.</summary>
    static abstract void Prefetch(byte* address);
}

/// <summary>AVX2.</summary>
internal readonly unsafe struct Avx2Simd : ISimd
{
    public static bool IsSupported => Avx2.IsSupported && Fma.IsSupported;

    public static Vector256<short> Widen(sbyte* source) => Avx2.ConvertToVector256Int16(source);

    public static Vector256<short> Widen(byte* source) => Avx2.ConvertToVector256Int16(source);

    public static Vector256<int> Widen(short* source) => Avx2.ConvertToVector256Int32(source);

    public static Vector256<int> Widen(ushort* source) => Avx2.ConvertToVector256Int32(source);

    public static Vector256<int> AddPairProducts(Vector256<int> sums, Vector256<short> left, Vector256<short> right) => sums + Avx2.MultiplyAddAdjacent(left, right);

    public static void Prefetch(byte* address) => Sse.Prefetch0(address);
}

/// <summary>128-bit vectors of any machine.</summary>
internal readonly unsafe struct PortableSimd : ISimd
{
    public static Vector256<short> Widen(sbyte* source)
    {
        Vector128<sbyte> bytes = Vector128.Load(source);
        return Vector256.Create(Vector128.WidenLower(bytes), Vector128.WidenUpper(bytes));
    }

    public static Vector256<short> Widen(byte* source)
    {
        Vector128<byte> bytes = Vector128.Load(source);
        return Vector256.Create(Vector128.WidenLower(bytes), Vector128.WidenUpper(bytes)).AsInt16();
    }

    public static Vector256<int> Widen(short* source)
    {
        Vector128<short> words = Vector128.Load(source);
        return Vector256.Create(Vector128.WidenLower(words), Vector128.WidenUpper(words));
    }

    public static Vector256<int> Widen(ushort* source)
    {
        Vector128<ushort> words = Vector128.Load(source);
        return Vector256.Create(Vector128.WidenLower(words), Vector128.WidenUpper(words)).AsInt32();
    }

    public static Vector256<int> AddPairProducts(Vector256<int> sums, Vector256<short> left, Vector256<short> right)
    {
        Vector256<int> a = left.AsInt32(), b = right.AsInt32();
        return sums + (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16);
    }

    /// <summary>There is no portable prefetch; hardware does well without.</summary>
    public static void Prefetch(byte* address)
    {
    }
}
