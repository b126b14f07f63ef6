using System.Runtime.CompilerServices;

namespace MLFramework.Cpu;

/// <summary>
/// Products of some vectors of rows of float weights with some activations: every element is one chain of fused multiply-adds over the columns, in a
/// register of its own. A tile has 1, 2 or 4 vectors of rows and 1 to 6 activations, with 4 vectors at most 2.
/// </summary>
internal static unsafe class FloatWeightTile<TWeights, TSimd, TFloats, TInts, TShorts, TGroups, TTokens>
    where TWeights : struct, IFloatWeights
    where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
    where TFloats : struct
    where TInts : struct
    where TShorts : struct
    where TGroups : struct, ITileSize
    where TTokens : struct, ITileSize
{
    private const int CacheLine = 64;

    /// <summary>Multiplies.</summary>
    /// <param name="w">The weights of the first vector of rows in column 0; those of the next follow.</param>
    /// <param name="columnBytes">Bytes from one column to the next.</param>
    /// <param name="x">The first activation.</param>
    /// <param name="stride">Floats from one activation to the next.</param>
    /// <param name="columns">Number of columns.</param>
    /// <param name="y">Takes the products of the first activation.</param>
    /// <param name="outputStride">Floats from the products of one activation to those of the next.</param>
    /// <param name="ahead">Weights that will be read soon.</param>
    /// <param name="aheadStep">Bytes of them to ask for in every column.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(byte* w, int columnBytes, float* x, long stride, int columns, float* y, long outputStride, byte* ahead, int aheadStep)
    {
        TFloats a0 = default, a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default;
        TFloats c0 = default, c1 = default, d0 = default, d1 = default, e0 = default, e1 = default, f0 = default, f1 = default;
        float* xb = x + stride, xc = xb + stride, xd = xc + stride, xe = xd + stride, xf = xe + stride;
        for (int k = 0; k < columns; k++, w += columnBytes)
        {
            for (byte* end = ahead + aheadStep; ahead < end; ahead += CacheLine) TSimd.Prefetch(ahead);
            TFloats w0 = Load(w, 0), w1 = default, w2 = default, w3 = default;
            if (TGroups.Value > 1) w1 = Load(w, 1);
            if (TGroups.Value > 2) (w2, w3) = (Load(w, 2), Load(w, 3));

            TFloats v = TSimd.Create(x[k]);
            a0 = TSimd.MultiplyAdd(w0, v, a0);
            if (TGroups.Value > 1) a1 = TSimd.MultiplyAdd(w1, v, a1);
            if (TGroups.Value > 2) (a2, a3) = (TSimd.MultiplyAdd(w2, v, a2), TSimd.MultiplyAdd(w3, v, a3));
            if (TTokens.Value > 1)
            {
                v = TSimd.Create(xb[k]);
                b0 = TSimd.MultiplyAdd(w0, v, b0);
                if (TGroups.Value > 1) b1 = TSimd.MultiplyAdd(w1, v, b1);
                if (TGroups.Value > 2) (b2, b3) = (TSimd.MultiplyAdd(w2, v, b2), TSimd.MultiplyAdd(w3, v, b3));
            }
            if (TTokens.Value > 2)
            {
                v = TSimd.Create(xc[k]);
                c0 = TSimd.MultiplyAdd(w0, v, c0);
                if (TGroups.Value > 1) c1 = TSimd.MultiplyAdd(w1, v, c1);
            }
            if (TTokens.Value > 3)
            {
                v = TSimd.Create(xd[k]);
                d0 = TSimd.MultiplyAdd(w0, v, d0);
                if (TGroups.Value > 1) d1 = TSimd.MultiplyAdd(w1, v, d1);
            }
            if (TTokens.Value > 4)
            {
                v = TSimd.Create(xe[k]);
                e0 = TSimd.MultiplyAdd(w0, v, e0);
                if (TGroups.Value > 1) e1 = TSimd.MultiplyAdd(w1, v, e1);
            }
            if (TTokens.Value > 5)
            {
                v = TSimd.Create(xf[k]);
                f0 = TSimd.MultiplyAdd(w0, v, f0);
                if (TGroups.Value > 1) f1 = TSimd.MultiplyAdd(w1, v, f1);
            }
        }

        Store(a0, a1, a2, a3, y);
        if (TTokens.Value > 1) Store(b0, b1, b2, b3, y + outputStride);
        if (TTokens.Value > 2) Store(c0, c1, default, default, y + 2 * outputStride);
        if (TTokens.Value > 3) Store(d0, d1, default, default, y + 3 * outputStride);
        if (TTokens.Value > 4) Store(e0, e1, default, default, y + 4 * outputStride);
        if (TTokens.Value > 5) Store(f0, f1, default, default, y + 5 * outputStride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TFloats Load(byte* column, int group) => TWeights.Load<TSimd, TFloats, TInts, TShorts>(column + group * TSimd.Lanes * TWeights.Size);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(TFloats sum0, TFloats sum1, TFloats sum2, TFloats sum3, float* y)
    {
        TSimd.Store(sum0, y);
        if (TGroups.Value > 1) TSimd.Store(sum1, y + TSimd.Lanes);
        if (TGroups.Value > 2)
        {
            TSimd.Store(sum2, y + 2 * TSimd.Lanes);
            TSimd.Store(sum3, y + 3 * TSimd.Lanes);
        }
    }
}
