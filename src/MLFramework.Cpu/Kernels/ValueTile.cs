using System.Runtime.CompilerServices;

namespace MLFramework.Cpu;

/// <summary>
/// Weighted sums of some vectors of values for some rows of weights: every element is one chain of fused multiply-adds over the positions, in a register
/// lane of its own. A tile has 1, 2 or 4 vectors and 1 to 6 rows, with 4 vectors at most 3.
/// </summary>
internal static unsafe class ValueTile<TElement, TSimd, TFloats, TInts, TShorts, TVectors, TRows>
    where TElement : struct, IKVElement
    where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
    where TFloats : struct
    where TInts : struct
    where TShorts : struct
    where TVectors : struct, ITileSize
    where TRows : struct, ITileSize
{
    private const int Stride = TiledAttention.RowStride, CacheLine = 64;

    /// <summary>Continues the sums, rescaled, over the positions of a chunk.</summary>
    /// <param name="panels">Panels of values, from the chunk's first on.</param>
    /// <param name="ahead">For each panel the distance of what will be read next.</param>
    /// <param name="element">The first vector's first element.</param>
    /// <param name="length">Elements of a column.</param>
    /// <param name="start">The first position's index in the chunk, a multiple of 16.</param>
    /// <param name="end">One past the last position's index; nothing there is read.</param>
    /// <param name="x">The first row of weights, one for each position of the chunk.</param>
    /// <param name="factors">What the sums so far are multiplied by.</param>
    /// <param name="y">The first row's sums.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Accumulate(byte** panels, long* ahead, int element, int length, int start, int end, float* x, float* factors, float* y)
    {
        int pairBytes = TElement.PairBytes(length), vectorBytes = TSimd.Lanes * TElement.LaneBytes;
        float* sums = y + element;
        TFloats a0 = Rescaled(sums, factors, 0), a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default;
        TFloats c0 = default, c1 = default, c2 = default, c3 = default, d0 = default, d1 = default, e0 = default, e1 = default, f0 = default, f1 = default;
        if (TVectors.Value > 1) a1 = Rescaled(sums, factors, 1);
        if (TVectors.Value > 2) (a2, a3) = (Rescaled(sums, factors, 2), Rescaled(sums, factors, 3));
        if (TRows.Value > 1) b0 = Rescaled(sums + length, factors + 1, 0);
        if (TRows.Value > 1 && TVectors.Value > 1) b1 = Rescaled(sums + length, factors + 1, 1);
        if (TRows.Value > 1 && TVectors.Value > 2) (b2, b3) = (Rescaled(sums + length, factors + 1, 2), Rescaled(sums + length, factors + 1, 3));
        if (TRows.Value > 2) c0 = Rescaled(sums + 2 * length, factors + 2, 0);
        if (TRows.Value > 2 && TVectors.Value > 1) c1 = Rescaled(sums + 2 * length, factors + 2, 1);
        if (TRows.Value > 2 && TVectors.Value > 2) (c2, c3) = (Rescaled(sums + 2 * length, factors + 2, 2), Rescaled(sums + 2 * length, factors + 2, 3));
        if (TRows.Value > 3) d0 = Rescaled(sums + 3 * length, factors + 3, 0);
        if (TRows.Value > 3 && TVectors.Value > 1) d1 = Rescaled(sums + 3 * length, factors + 3, 1);
        if (TRows.Value > 4) e0 = Rescaled(sums + 4 * length, factors + 4, 0);
        if (TRows.Value > 4 && TVectors.Value > 1) e1 = Rescaled(sums + 4 * length, factors + 4, 1);
        if (TRows.Value > 5) f0 = Rescaled(sums + 5 * length, factors + 5, 0);
        if (TRows.Value > 5 && TVectors.Value > 1) f1 = Rescaled(sums + 5 * length, factors + 5, 1);

        for (int blockStart = start; blockStart < end; blockStart += PagedAttention.BlockLength)
        {
            byte* w0 = panels[blockStart / PagedAttention.BlockLength] + element * TElement.LaneBytes;
            long prefetch = ahead[blockStart / PagedAttention.BlockLength];
            int blockEnd = Math.Min(blockStart + PagedAttention.BlockLength, end);
            float* w = x + blockStart, last = x + blockEnd - 1;
            for (; w <= last; w += 2, w0 += pairBytes)
            {
                byte* w1 = w0 + vectorBytes, w2 = w1 + vectorBytes, w3 = w2 + vectorBytes;
                TSimd.Prefetch(w0 + prefetch);
                if (TVectors.Value * TSimd.Lanes * TElement.LaneBytes > CacheLine) TSimd.Prefetch(w0 + prefetch + CacheLine);
                if (TVectors.Value * TSimd.Lanes * TElement.LaneBytes > 2 * CacheLine) TSimd.Prefetch(w0 + prefetch + 2 * CacheLine);
                if (TVectors.Value * TSimd.Lanes * TElement.LaneBytes > 3 * CacheLine) TSimd.Prefetch(w0 + prefetch + 3 * CacheLine);
                if (TVectors.Value <= 2)
                {
                    TFloats s = First(w0), t = TVectors.Value > 1 ? First(w1) : default, v = TSimd.Create(w[0]);
                    a0 = TSimd.MultiplyAdd(s, v, a0);
                    if (TVectors.Value > 1) a1 = TSimd.MultiplyAdd(t, v, a1);
                    if (TRows.Value > 1) v = TSimd.Create(w[Stride]);
                    if (TRows.Value > 1) b0 = TSimd.MultiplyAdd(s, v, b0);
                    if (TRows.Value > 1 && TVectors.Value > 1) b1 = TSimd.MultiplyAdd(t, v, b1);
                    if (TRows.Value > 2) v = TSimd.Create(w[2 * Stride]);
                    if (TRows.Value > 2) c0 = TSimd.MultiplyAdd(s, v, c0);
                    if (TRows.Value > 2 && TVectors.Value > 1) c1 = TSimd.MultiplyAdd(t, v, c1);
                    if (TRows.Value > 3) v = TSimd.Create(w[3 * Stride]);
                    if (TRows.Value > 3) d0 = TSimd.MultiplyAdd(s, v, d0);
                    if (TRows.Value > 3 && TVectors.Value > 1) d1 = TSimd.MultiplyAdd(t, v, d1);
                    if (TRows.Value > 4) v = TSimd.Create(w[4 * Stride]);
                    if (TRows.Value > 4) e0 = TSimd.MultiplyAdd(s, v, e0);
                    if (TRows.Value > 4 && TVectors.Value > 1) e1 = TSimd.MultiplyAdd(t, v, e1);
                    if (TRows.Value > 5) v = TSimd.Create(w[5 * Stride]);
                    if (TRows.Value > 5) f0 = TSimd.MultiplyAdd(s, v, f0);
                    if (TRows.Value > 5 && TVectors.Value > 1) f1 = TSimd.MultiplyAdd(t, v, f1);
                    if (w == last) break;

                    s = Second(w0, length);
                    if (TVectors.Value > 1) t = Second(w1, length);
                    v = TSimd.Create(w[1]);
                    a0 = TSimd.MultiplyAdd(s, v, a0);
                    if (TVectors.Value > 1) a1 = TSimd.MultiplyAdd(t, v, a1);
                    if (TRows.Value > 1) v = TSimd.Create(w[Stride + 1]);
                    if (TRows.Value > 1) b0 = TSimd.MultiplyAdd(s, v, b0);
                    if (TRows.Value > 1 && TVectors.Value > 1) b1 = TSimd.MultiplyAdd(t, v, b1);
                    if (TRows.Value > 2) v = TSimd.Create(w[2 * Stride + 1]);
                    if (TRows.Value > 2) c0 = TSimd.MultiplyAdd(s, v, c0);
                    if (TRows.Value > 2 && TVectors.Value > 1) c1 = TSimd.MultiplyAdd(t, v, c1);
                    if (TRows.Value > 3) v = TSimd.Create(w[3 * Stride + 1]);
                    if (TRows.Value > 3) d0 = TSimd.MultiplyAdd(s, v, d0);
                    if (TRows.Value > 3 && TVectors.Value > 1) d1 = TSimd.MultiplyAdd(t, v, d1);
                    if (TRows.Value > 4) v = TSimd.Create(w[4 * Stride + 1]);
                    if (TRows.Value > 4) e0 = TSimd.MultiplyAdd(s, v, e0);
                    if (TRows.Value > 4 && TVectors.Value > 1) e1 = TSimd.MultiplyAdd(t, v, e1);
                    if (TRows.Value > 5) v = TSimd.Create(w[5 * Stride + 1]);
                    if (TRows.Value > 5) f0 = TSimd.MultiplyAdd(s, v, f0);
                    if (TRows.Value > 5 && TVectors.Value > 1) f1 = TSimd.MultiplyAdd(t, v, f1);
                }
                else
                {
                    // One vector of values at a time, so that twelve sums, three weights and it fit into 16 registers.
                    TFloats p = TSimd.Create(w[0]), q = TRows.Value > 1 ? TSimd.Create(w[Stride]) : default, r = TRows.Value > 2 ? TSimd.Create(w[2 * Stride]) : default;
                    TFloats s = First(w0);
                    a0 = TSimd.MultiplyAdd(s, p, a0);
                    if (TRows.Value > 1) b0 = TSimd.MultiplyAdd(s, q, b0);
                    if (TRows.Value > 2) c0 = TSimd.MultiplyAdd(s, r, c0);
                    s = First(w1);
                    a1 = TSimd.MultiplyAdd(s, p, a1);
                    if (TRows.Value > 1) b1 = TSimd.MultiplyAdd(s, q, b1);
                    if (TRows.Value > 2) c1 = TSimd.MultiplyAdd(s, r, c1);
                    s = First(w2);
                    a2 = TSimd.MultiplyAdd(s, p, a2);
                    if (TRows.Value > 1) b2 = TSimd.MultiplyAdd(s, q, b2);
                    if (TRows.Value > 2) c2 = TSimd.MultiplyAdd(s, r, c2);
                    s = First(w3);
                    a3 = TSimd.MultiplyAdd(s, p, a3);
                    if (TRows.Value > 1) b3 = TSimd.MultiplyAdd(s, q, b3);
                    if (TRows.Value > 2) c3 = TSimd.MultiplyAdd(s, r, c3);
                    if (w == last) break;

                    p = TSimd.Create(w[1]);
                    if (TRows.Value > 1) q = TSimd.Create(w[Stride + 1]);
                    if (TRows.Value > 2) r = TSimd.Create(w[2 * Stride + 1]);
                    s = Second(w0, length);
                    a0 = TSimd.MultiplyAdd(s, p, a0);
                    if (TRows.Value > 1) b0 = TSimd.MultiplyAdd(s, q, b0);
                    if (TRows.Value > 2) c0 = TSimd.MultiplyAdd(s, r, c0);
                    s = Second(w1, length);
                    a1 = TSimd.MultiplyAdd(s, p, a1);
                    if (TRows.Value > 1) b1 = TSimd.MultiplyAdd(s, q, b1);
                    if (TRows.Value > 2) c1 = TSimd.MultiplyAdd(s, r, c1);
                    s = Second(w2, length);
                    a2 = TSimd.MultiplyAdd(s, p, a2);
                    if (TRows.Value > 1) b2 = TSimd.MultiplyAdd(s, q, b2);
                    if (TRows.Value > 2) c2 = TSimd.MultiplyAdd(s, r, c2);
                    s = Second(w3, length);
                    a3 = TSimd.MultiplyAdd(s, p, a3);
                    if (TRows.Value > 1) b3 = TSimd.MultiplyAdd(s, q, b3);
                    if (TRows.Value > 2) c3 = TSimd.MultiplyAdd(s, r, c3);
                }
            }
        }

        Store(a0, a1, a2, a3, sums);
        if (TRows.Value > 1) Store(b0, b1, b2, b3, sums + length);
        if (TRows.Value > 2) Store(c0, c1, c2, c3, sums + 2 * length);
        if (TRows.Value > 3) Store(d0, d1, default, default, sums + 3 * length);
        if (TRows.Value > 4) Store(e0, e1, default, default, sums + 4 * length);
        if (TRows.Value > 5) Store(f0, f1, default, default, sums + 5 * length);
    }

    private static TFloats First(byte* pair) => TElement.LoadFirst<TSimd, TFloats, TInts, TShorts>(pair);

    private static TFloats Second(byte* pair, int length) => TElement.LoadSecond<TSimd, TFloats, TInts, TShorts>(pair, length);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TFloats Rescaled(float* sums, float* factor, int vector) => TSimd.Multiply(TSimd.Load(sums + vector * TSimd.Lanes), TSimd.Create(*factor));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(TFloats sum0, TFloats sum1, TFloats sum2, TFloats sum3, float* y)
    {
        TSimd.Store(sum0, y);
        if (TVectors.Value > 1) TSimd.Store(sum1, y + TSimd.Lanes);
        if (TVectors.Value > 2)
        {
            TSimd.Store(sum2, y + 2 * TSimd.Lanes);
            TSimd.Store(sum3, y + 3 * TSimd.Lanes);
        }
    }
}
