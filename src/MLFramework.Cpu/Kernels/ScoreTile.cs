using System.Runtime.CompilerServices;

namespace MLFramework.Cpu;

/// <summary>
/// Products of some vectors of keys with some queries: every score is one chain of fused multiply-adds over the elements, in a register lane of its own.
/// A tile has 1, 2 or 4 vectors and 1 to 6 queries, with 4 vectors at most 3.
/// </summary>
internal static unsafe class ScoreTile<TElement, TSimd, TFloats, TInts, TShorts, TVectors, TRows>
    where TElement : struct, IKVElement
    where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
    where TFloats : struct
    where TInts : struct
    where TShorts : struct
    where TVectors : struct, ITileSize
    where TRows : struct, ITileSize
{
    private static int VectorsPerBlock => PagedAttention.BlockLength / TSimd.Lanes;

    /// <summary>Multiplies all elements, or those of one group, whose scaled products are added to the others'.</summary>
    /// <param name="panels">Panels of keys, from that of the first vector's block on.</param>
    /// <param name="vector">The first vector's number in its block.</param>
    /// <param name="offset">Where the first element stands in a panel.</param>
    /// <param name="x">The first query's first element.</param>
    /// <param name="stride">Floats from one query to the next.</param>
    /// <param name="columns">Number of elements, even.</param>
    /// <param name="isFirst">Whether no other group came before.</param>
    /// <param name="y">Takes the scores of the first query.</param>
    /// <param name="prefetch">Distance of cache lines that will soon be read.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(byte** panels, int vector, int offset, float* x, long stride, int columns, bool isFirst, float* y, long prefetch)
    {
        byte* w0 = Start(panels, vector, offset), w1 = null, w2 = null, w3 = null;
        if (TVectors.Value > 1) w1 = Start(panels, vector + 1, offset);
        if (TVectors.Value > 2) w2 = Start(panels, vector + 2, offset);
        if (TVectors.Value > 2) w3 = Start(panels, vector + 3, offset);
        float* xb = x + stride, xc = xb + stride, xd = xc + stride, xe = xd + stride, xf = xe + stride;
        TFloats a0 = default, a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default;
        TFloats c0 = default, c1 = default, c2 = default, c3 = default, d0 = default, d1 = default, e0 = default, e1 = default, f0 = default, f1 = default;
        int pairBytes = TElement.PairBytes(PagedAttention.BlockLength);
        for (int k = 0; k < columns; k += 2)
        {
            TSimd.Prefetch(w0 + prefetch);
            if (TVectors.Value > 1 && VectorsPerBlock == 1) TSimd.Prefetch(w1 + prefetch);
            if (TVectors.Value > 2 && VectorsPerBlock <= 2) TSimd.Prefetch(w2 + prefetch);
            if (TVectors.Value > 2 && VectorsPerBlock == 1) TSimd.Prefetch(w3 + prefetch);
            if (TVectors.Value <= 2)
            {
                TFloats s = First(w0), t = TVectors.Value > 1 ? First(w1) : default;
                Add(s, t, x[k], ref a0, ref a1);
                if (TRows.Value > 1) Add(s, t, xb[k], ref b0, ref b1);
                if (TRows.Value > 2) Add(s, t, xc[k], ref c0, ref c1);
                if (TRows.Value > 3) Add(s, t, xd[k], ref d0, ref d1);
                if (TRows.Value > 4) Add(s, t, xe[k], ref e0, ref e1);
                if (TRows.Value > 5) Add(s, t, xf[k], ref f0, ref f1);
                s = Second(w0);
                if (TVectors.Value > 1) t = Second(w1);
                Add(s, t, x[k + 1], ref a0, ref a1);
                if (TRows.Value > 1) Add(s, t, xb[k + 1], ref b0, ref b1);
                if (TRows.Value > 2) Add(s, t, xc[k + 1], ref c0, ref c1);
                if (TRows.Value > 3) Add(s, t, xd[k + 1], ref d0, ref d1);
                if (TRows.Value > 4) Add(s, t, xe[k + 1], ref e0, ref e1);
                if (TRows.Value > 5) Add(s, t, xf[k + 1], ref f0, ref f1);
            }
            else
            {
                // One vector of keys at a time: twelve sums, three queries and it must fit the registers.
                TFloats u = TSimd.Create(x[k]), v = TRows.Value > 1 ? TSimd.Create(xb[k]) : default, w = TRows.Value > 2 ? TSimd.Create(xc[k]) : default;
                Add(First(w0), u, v, w, ref a0, ref b0, ref c0);
                Add(First(w1), u, v, w, ref a1, ref b1, ref c1);
                Add(First(w2), u, v, w, ref a2, ref b2, ref c2);
                Add(First(w3), u, v, w, ref a3, ref b3, ref c3);
                u = TSimd.Create(x[k + 1]);
                if (TRows.Value > 1) v = TSimd.Create(xb[k + 1]);
                if (TRows.Value > 2) w = TSimd.Create(xc[k + 1]);
                Add(Second(w0), u, v, w, ref a0, ref b0, ref c0);
                Add(Second(w1), u, v, w, ref a1, ref b1, ref c1);
                Add(Second(w2), u, v, w, ref a2, ref b2, ref c2);
                Add(Second(w3), u, v, w, ref a3, ref b3, ref c3);
            }
            w0 += pairBytes;
            if (TVectors.Value > 1) w1 += pairBytes;
            if (TVectors.Value > 2) w2 += pairBytes;
            if (TVectors.Value > 2) w3 += pairBytes;
        }

        Store(a0, a1, a2, a3, panels, vector, offset, columns, isFirst, y);
        if (TRows.Value > 1) Store(b0, b1, b2, b3, panels, vector, offset, columns, isFirst, y + TiledAttention.RowStride);
        if (TRows.Value > 2) Store(c0, c1, c2, c3, panels, vector, offset, columns, isFirst, y + 2 * TiledAttention.RowStride);
        if (TRows.Value > 3) Store(d0, d1, default, default, panels, vector, offset, columns, isFirst, y + 3 * TiledAttention.RowStride);
        if (TRows.Value > 4) Store(e0, e1, default, default, panels, vector, offset, columns, isFirst, y + 4 * TiledAttention.RowStride);
        if (TRows.Value > 5) Store(f0, f1, default, default, panels, vector, offset, columns, isFirst, y + 5 * TiledAttention.RowStride);
    }

    /// <summary>Adds the products of two vectors of keys with an element of a query.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(TFloats key0, TFloats key1, float element, ref TFloats sum0, ref TFloats sum1)
    {
        TFloats query = TSimd.Create(element);
        sum0 = TSimd.MultiplyAdd(key0, query, sum0);
        if (TVectors.Value > 1) sum1 = TSimd.MultiplyAdd(key1, query, sum1);
    }

    /// <summary>Adds the products of a vector of keys with an element of up to three queries.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(TFloats key, TFloats queryA, TFloats queryB, TFloats queryC, ref TFloats sumA, ref TFloats sumB, ref TFloats sumC)
    {
        sumA = TSimd.MultiplyAdd(key, queryA, sumA);
        if (TRows.Value > 1) sumB = TSimd.MultiplyAdd(key, queryB, sumB);
        if (TRows.Value > 2) sumC = TSimd.MultiplyAdd(key, queryC, sumC);
    }

    private static byte* Start(byte** panels, int vector, int offset) => panels[vector / VectorsPerBlock] + offset + vector % VectorsPerBlock * TSimd.Lanes * TElement.LaneBytes;

    private static TFloats First(byte* pair) => TElement.LoadFirst<TSimd, TFloats, TInts, TShorts>(pair);

    private static TFloats Second(byte* pair) => TElement.LoadSecond<TSimd, TFloats, TInts, TShorts>(pair, PagedAttention.BlockLength);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(TFloats sum0, TFloats sum1, TFloats sum2, TFloats sum3, byte** panels, int vector, int offset, int columns, bool isFirst, float* y)
    {
        Store(sum0, panels, vector, offset, columns, isFirst, y);
        if (TVectors.Value > 1) Store(sum1, panels, vector + 1, offset, columns, isFirst, y + TSimd.Lanes);
        if (TVectors.Value > 2)
        {
            Store(sum2, panels, vector + 2, offset, columns, isFirst, y + 2 * TSimd.Lanes);
            Store(sum3, panels, vector + 3, offset, columns, isFirst, y + 3 * TSimd.Lanes);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(TFloats sum, byte** panels, int vector, int offset, int columns, bool isFirst, float* y)
    {
        if (TElement.HasScales)
        {
            float* scales = ScaledByteKV.KeyScales(panels[vector / VectorsPerBlock] + offset, columns);
            sum = TSimd.MultiplyAdd(sum, TSimd.Load(scales + vector % VectorsPerBlock * TSimd.Lanes), isFirst ? default : TSimd.Load(y));
        }
        TSimd.Store(sum, y);
    }
}
