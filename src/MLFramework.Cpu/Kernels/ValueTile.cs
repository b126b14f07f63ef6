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
        TFloats a0 = default, a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default;
        TFloats c0 = default, c1 = default, c2 = default, c3 = default, d0 = default, d1 = default, e0 = default, e1 = default, f0 = default, f1 = default;
        Rescale(sums, factors[0], ref a0, ref a1, ref a2, ref a3);
        if (TRows.Value > 1) Rescale(sums + length, factors[1], ref b0, ref b1, ref b2, ref b3);
        if (TRows.Value > 2) Rescale(sums + 2 * length, factors[2], ref c0, ref c1, ref c2, ref c3);
        if (TRows.Value > 3) Rescale(sums + 3 * length, factors[3], ref d0, ref d1);
        if (TRows.Value > 4) Rescale(sums + 4 * length, factors[4], ref e0, ref e1);
        if (TRows.Value > 5) Rescale(sums + 5 * length, factors[5], ref f0, ref f1);

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
                    TFloats s = First(w0), t = TVectors.Value > 1 ? First(w1) : default;
                    Add(s, t, w[0], ref a0, ref a1);
                    if (TRows.Value > 1) Add(s, t, w[Stride], ref b0, ref b1);
                    if (TRows.Value > 2) Add(s, t, w[2 * Stride], ref c0, ref c1);
                    if (TRows.Value > 3) Add(s, t, w[3 * Stride], ref d0, ref d1);
                    if (TRows.Value > 4) Add(s, t, w[4 * Stride], ref e0, ref e1);
                    if (TRows.Value > 5) Add(s, t, w[5 * Stride], ref f0, ref f1);
                    if (w == last) break;
                    s = Second(w0, length);
                    if (TVectors.Value > 1) t = Second(w1, length);
                    Add(s, t, w[1], ref a0, ref a1);
                    if (TRows.Value > 1) Add(s, t, w[Stride + 1], ref b0, ref b1);
                    if (TRows.Value > 2) Add(s, t, w[2 * Stride + 1], ref c0, ref c1);
                    if (TRows.Value > 3) Add(s, t, w[3 * Stride + 1], ref d0, ref d1);
                    if (TRows.Value > 4) Add(s, t, w[4 * Stride + 1], ref e0, ref e1);
                    if (TRows.Value > 5) Add(s, t, w[5 * Stride + 1], ref f0, ref f1);
                }
                else
                {
                    // One vector of values at a time: twelve sums, three weights and it must fit the registers.
                    TFloats p = TSimd.Create(w[0]), q = TRows.Value > 1 ? TSimd.Create(w[Stride]) : default, r = TRows.Value > 2 ? TSimd.Create(w[2 * Stride]) : default;
                    Add(First(w0), p, q, r, ref a0, ref b0, ref c0);
                    Add(First(w1), p, q, r, ref a1, ref b1, ref c1);
                    Add(First(w2), p, q, r, ref a2, ref b2, ref c2);
                    Add(First(w3), p, q, r, ref a3, ref b3, ref c3);
                    if (w == last) break;
                    p = TSimd.Create(w[1]);
                    if (TRows.Value > 1) q = TSimd.Create(w[Stride + 1]);
                    if (TRows.Value > 2) r = TSimd.Create(w[2 * Stride + 1]);
                    Add(Second(w0, length), p, q, r, ref a0, ref b0, ref c0);
                    Add(Second(w1, length), p, q, r, ref a1, ref b1, ref c1);
                    Add(Second(w2, length), p, q, r, ref a2, ref b2, ref c2);
                    Add(Second(w3, length), p, q, r, ref a3, ref b3, ref c3);
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

    /// <summary>Adds an element of a row of weights times two vectors of values.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(TFloats value0, TFloats value1, float element, ref TFloats sum0, ref TFloats sum1)
    {
        TFloats weight = TSimd.Create(element);
        sum0 = TSimd.MultiplyAdd(value0, weight, sum0);
        if (TVectors.Value > 1) sum1 = TSimd.MultiplyAdd(value1, weight, sum1);
    }

    /// <summary>Adds an element of up to three rows of weights times a vector of values.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(TFloats value, TFloats weightA, TFloats weightB, TFloats weightC, ref TFloats sumA, ref TFloats sumB, ref TFloats sumC)
    {
        sumA = TSimd.MultiplyAdd(value, weightA, sumA);
        if (TRows.Value > 1) sumB = TSimd.MultiplyAdd(value, weightB, sumB);
        if (TRows.Value > 2) sumC = TSimd.MultiplyAdd(value, weightC, sumC);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Rescale(float* sums, float factor, ref TFloats sum0, ref TFloats sum1, ref TFloats sum2, ref TFloats sum3)
    {
        Rescale(sums, factor, ref sum0, ref sum1);
        if (TVectors.Value > 2) Rescale(sums + 2 * TSimd.Lanes, factor, ref sum2, ref sum3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Rescale(float* sums, float factor, ref TFloats sum0, ref TFloats sum1)
    {
        TFloats rescale = TSimd.Create(factor);
        sum0 = TSimd.Multiply(TSimd.Load(sums), rescale);
        if (TVectors.Value > 1) sum1 = TSimd.Multiply(TSimd.Load(sums + TSimd.Lanes), rescale);
    }

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
