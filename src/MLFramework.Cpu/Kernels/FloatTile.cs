using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace MLFramework.Cpu;

/// <summary>How floats are stored: weights of a matrix, or keys and values.</summary>
internal unsafe interface IStoredFloat
{
    /// <summary>Bytes of a float.</summary>
    static abstract int Size { get; }

    /// <summary>Reads eight floats.</summary>
    static abstract Vector256<float> Load<TSimd>(byte* source) where TSimd : struct, ISimd;
}

/// <summary>
/// Products of 16 rows of stored floats with four vectors, each one chain of fused multiply-adds over the columns: eight chains of eight lanes keep two
/// multiply-add units busy.
/// </summary>
internal static unsafe class FloatTile<TStored, TSimd>
    where TStored : struct, IStoredFloat
    where TSimd : struct, ISimd
{
    private const int Lanes = 8;

    /// <summary>Multiplies.</summary>
    /// <param name="w">16 stored floats of column 0.</param>
    /// <param name="columnBytes">Bytes from one column to the next.</param>
    /// <param name="x">The first of four vectors.</param>
    /// <param name="stride">Floats from one vector to the next.</param>
    /// <param name="columns">Number of columns: elements of a vector.</param>
    /// <param name="y">Takes 16 products for each vector.</param>
    /// <param name="outputStride">Floats from the products of one vector to those of the next.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(byte* w, int columnBytes, float* x, long stride, int columns, float* y, long outputStride)
    {
        Vector256<float> a0 = Vector256<float>.Zero, a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
        float* xb = x + stride, xc = xb + stride, xd = xc + stride;
        for (int k = 0; k < columns; k++, w += columnBytes)
        {
            Vector256<float> w0 = TStored.Load<TSimd>(w), w1 = TStored.Load<TSimd>(w + Lanes * TStored.Size);
            Vector256<float> v = Vector256.Create(x[k]);
            a0 = Vector256.FusedMultiplyAdd(w0, v, a0);
            a1 = Vector256.FusedMultiplyAdd(w1, v, a1);
            v = Vector256.Create(xb[k]);
            b0 = Vector256.FusedMultiplyAdd(w0, v, b0);
            b1 = Vector256.FusedMultiplyAdd(w1, v, b1);
            v = Vector256.Create(xc[k]);
            c0 = Vector256.FusedMultiplyAdd(w0, v, c0);
            c1 = Vector256.FusedMultiplyAdd(w1, v, c1);
            v = Vector256.Create(xd[k]);
            d0 = Vector256.FusedMultiplyAdd(w0, v, d0);
            d1 = Vector256.FusedMultiplyAdd(w1, v, d1);
        }
        a0.Store(y);
        a1.Store(y + Lanes);
        b0.Store(y + outputStride);
        b1.Store(y + outputStride + Lanes);
        c0.Store(y + 2 * outputStride);
        c1.Store(y + 2 * outputStride + Lanes);
        d0.Store(y + 3 * outputStride);
        d1.Store(y + 3 * outputStride + Lanes);
    }
}
