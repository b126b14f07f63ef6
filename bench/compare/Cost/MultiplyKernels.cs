using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace MLFramework.Compare;

/// <summary>A way to multiply and add vectors.</summary>
/// <typeparam name="T">A vector.</typeparam>
internal unsafe interface IMultiplyKernel<T> where T : struct
{
    /// <summary>Multiplications and additions of one step.</summary>
    static abstract int Operations { get; }

    /// <summary>Reads an operand.</summary>
    static abstract T Load(byte* source);

    /// <summary>Adds products to sums.</summary>
    static abstract T MultiplyAdd(T sums, T left, T right);
}

/// <summary>Bytes, in pairs to 16 bits, in pairs to 32 (vpmaddubsw, vpmaddwd, vpaddd).</summary>
internal readonly unsafe struct Bytes256 : IMultiplyKernel<Vector256<int>>
{
    public static int Operations => 64;

    public static Vector256<int> Load(byte* source) => Vector256.Load((int*)source);

    public static Vector256<int> MultiplyAdd(Vector256<int> sums, Vector256<int> left, Vector256<int> right) =>
        sums + Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(left.AsByte(), right.AsSByte()), Vector256<short>.One);
}

/// <summary>16-bit integers, in pairs to 32 (vpmaddwd, vpaddd).</summary>
internal readonly unsafe struct Shorts256 : IMultiplyKernel<Vector256<int>>
{
    public static int Operations => 32;

    public static Vector256<int> Load(byte* source) => Vector256.Load((int*)source);

    public static Vector256<int> MultiplyAdd(Vector256<int> sums, Vector256<int> left, Vector256<int> right) => sums + Avx2.MultiplyAddAdjacent(left.AsInt16(), right.AsInt16());
}

/// <summary>Floats (vfmadd).</summary>
internal readonly unsafe struct Floats256 : IMultiplyKernel<Vector256<float>>
{
    public static int Operations => 16;

    public static Vector256<float> Load(byte* source) => Vector256.Load((float*)source);

    public static Vector256<float> MultiplyAdd(Vector256<float> sums, Vector256<float> left, Vector256<float> right) => Fma.MultiplyAdd(left, right, sums);
}

/// <summary>As <see cref="Bytes256"/>, twice as wide.</summary>
internal readonly unsafe struct Bytes512 : IMultiplyKernel<Vector512<int>>
{
    public static int Operations => 128;

    public static Vector512<int> Load(byte* source) => Vector512.Load((int*)source);

    public static Vector512<int> MultiplyAdd(Vector512<int> sums, Vector512<int> left, Vector512<int> right) =>
        sums + Avx512BW.MultiplyAddAdjacent(Avx512BW.MultiplyAddAdjacent(left.AsByte(), right.AsSByte()), Vector512<short>.One);
}

/// <summary>As <see cref="Shorts256"/>, twice as wide.</summary>
internal readonly unsafe struct Shorts512 : IMultiplyKernel<Vector512<int>>
{
    public static int Operations => 64;

    public static Vector512<int> Load(byte* source) => Vector512.Load((int*)source);

    public static Vector512<int> MultiplyAdd(Vector512<int> sums, Vector512<int> left, Vector512<int> right) => sums + Avx512BW.MultiplyAddAdjacent(left.AsInt16(), right.AsInt16());
}

/// <summary>As <see cref="Floats256"/>, twice as wide.</summary>
internal readonly unsafe struct Floats512 : IMultiplyKernel<Vector512<float>>
{
    public static int Operations => 32;

    public static Vector512<float> Load(byte* source) => Vector512.Load((float*)source);

    public static Vector512<float> MultiplyAdd(Vector512<float> sums, Vector512<float> left, Vector512<float> right) => Avx512F.FusedMultiplyAdd(left, right, sums);
}
