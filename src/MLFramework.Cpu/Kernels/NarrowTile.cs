using System.Runtime.CompilerServices;

namespace MLFramework.Cpu;

/// <summary>
/// Products of some vectors of rows of 4-, 5- or 6-bit weights with some activations of 8 bits. Of a block of 32 each row has two 16-bit sums, one of each
/// half of the activations (see <see cref="ActivationBlock"/>), which become one 32-bit integer when they are multiplied with the activations' scales; all
/// that is exact. The sum over the blocks is one chain of fused multiply-adds, and what the activations' row is scaled with comes last.
/// </summary>
/// <remarks>
/// An offset that is subtracted from all weights costs nothing: the 16-bit sums begin with it. They may wrap on the way, as long as the last one fits: at
/// most 16 products of 15 × 127 without an offset, 16 of 16 × 127 with one, and 8 of 32 × 127. A tile has 1, 2 or 4 vectors of rows and 1 to 8 activations,
/// with 4 vectors only one.
/// </remarks>
[SkipLocalsInit]
internal static unsafe class NarrowTile<TBlocks, TSimd, TFloats, TInts, TShorts, TGroups, TTokens>
    where TBlocks : struct, INarrowBlocks
    where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
    where TFloats : struct
    where TInts : struct
    where TShorts : struct
    where TGroups : struct, ITileSize
    where TTokens : struct, ITileSize
{
    private const int CacheLine = 64, MostSums = 16;

    /// <summary>Multiplies.</summary>
    /// <param name="panel">The panel.</param>
    /// <param name="row">First row, of those of the panel.</param>
    /// <param name="supers">Number of super-blocks.</param>
    /// <param name="factor">What products are multiplied with, a power of two.</param>
    /// <param name="input">The first activation.</param>
    /// <param name="stride">Blocks from one activation to the next.</param>
    /// <param name="y">Takes the products of the first activation.</param>
    /// <param name="outputStride">Floats from the products of one activation to those of the next.</param>
    /// <param name="ahead">Weights that will be read soon.</param>
    /// <param name="aheadStep">Bytes of them to ask for in every block.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(byte* panel, int row, int supers, float factor, ActivationBlock* input, long stride, float* y, long outputStride, byte* ahead, int aheadStep)
    {
        int vectorBytes = TSimd.Lanes * NarrowLayout<TBlocks>.QuadLength, groupBytes = TSimd.Lanes * NarrowLayout<TBlocks>.CodeBytes;
        int headerBytes = NarrowLayout<TBlocks>.HeaderBytes, blockBytes = NarrowLayout<TBlocks>.BlockBytes, superBytes = NarrowLayout<TBlocks>.SuperBytes;
        int quadsPerPart = 2 * NarrowLayout<TBlocks>.StepsPerPart;
        // Two pointers, and distances that instructions add to them: a pointer per activation would not fit the registers.
        stride *= sizeof(ActivationBlock);
        long stride3 = 3 * stride;
        byte* x = (byte*)input, xe = x + 4 * stride;
        // In memory of their own, aligned: beside the 16-bit sums they do not fit 16 registers, and where the compiler would put them half straddle cache lines.
        byte* memory = stackalloc byte[(MostSums + 1) * CacheLine];
        float* sums = (float*)(((nint)memory + CacheLine - 1) / CacheLine * CacheLine);
        for (int i = 0; i < TGroups.Value * TTokens.Value * TSimd.Lanes; i += TSimd.Lanes) TSimd.Store(default, sums + i);
        TShorts mask = TSimd.CreatePairs(0x0F0F0F0F), highMask = TSimd.CreatePairs(TBlocks.HighBits == 1 ? 0x10101010 : 0x30303030);
        byte* codes = panel + headerBytes + row * NarrowLayout<TBlocks>.CodeBytes;
        sbyte* factors = (sbyte*)panel + headerBytes + NarrowLayout<TBlocks>.BlockCodeBytes + row;
        ushort* halves = (ushort*)panel + row;
        for (int super = 0; super < supers; super++)
        {
            for (int block = 0; block < TBlocks.BlocksPerSuper; block++)
            {
                for (byte* end = ahead + aheadStep; ahead < end; ahead += CacheLine) TSimd.Prefetch(ahead);
                byte* nibbles = codes;
                for (int part = 0; part < TBlocks.Parts; part++)
                {
                    TShorts a0 = Start(x, part), b0 = default, c0 = default, d0 = default, e0 = default, f0 = default, g0 = default, h0 = default;
                    if (TTokens.Value > 1) b0 = Start(x + stride, part);
                    if (TTokens.Value > 2) c0 = Start(x + 2 * stride, part);
                    if (TTokens.Value > 3) d0 = Start(x + stride3, part);
                    if (TTokens.Value > 4) e0 = Start(xe, part);
                    if (TTokens.Value > 5) f0 = Start(xe + stride, part);
                    if (TTokens.Value > 6) g0 = Start(xe + 2 * stride, part);
                    if (TTokens.Value > 7) h0 = Start(xe + stride3, part);
                    TShorts a1 = a0, a2 = a0, a3 = a0, b1 = b0, c1 = c0, d1 = d0, e1 = e0, f1 = f0, g1 = g0, h1 = h0;

                    TShorts high0 = default, high1 = default, high2 = default, high3 = default;
                    if (TBlocks.HighBits > 0)
                    {
                        high0 = TSimd.LoadBits(nibbles);
                        if (TGroups.Value > 1) high1 = TSimd.LoadBits(nibbles + groupBytes);
                        if (TGroups.Value > 2) (high2, high3) = (TSimd.LoadBits(nibbles + 2 * groupBytes), TSimd.LoadBits(nibbles + 3 * groupBytes));
                        nibbles += vectorBytes;
                    }
                    byte* q = x + part * quadsPerPart * sizeof(int), r = xe + part * quadsPerPart * sizeof(int);
                    for (int quad = 0; quad < quadsPerPart; quad += 2, q += 2 * sizeof(int), r += 2 * sizeof(int), nibbles += vectorBytes)
                    {
                        TShorts w0 = TSimd.And(TSimd.LoadBits(nibbles), mask), w1 = default, w2 = default, w3 = default, v;
                        if (TGroups.Value > 1) w1 = TSimd.And(TSimd.LoadBits(nibbles + groupBytes), mask);
                        if (TGroups.Value > 2) (w2, w3) = (TSimd.And(TSimd.LoadBits(nibbles + 2 * groupBytes), mask), TSimd.And(TSimd.LoadBits(nibbles + 3 * groupBytes), mask));
                        if (TBlocks.HighBits > 0)
                        {
                            w0 = TSimd.Or(w0, TSimd.And(high0, highMask));
                            if (TGroups.Value > 1) w1 = TSimd.Or(w1, TSimd.And(high1, highMask));
                            if (TGroups.Value > 2) (w2, w3) = (TSimd.Or(w2, TSimd.And(high2, highMask)), TSimd.Or(w3, TSimd.And(high3, highMask)));
                        }
                        v = TSimd.CreatePairs(*(int*)q);
                        a0 = TSimd.AddBytePairProducts(a0, w0, v);
                        if (TGroups.Value > 1) a1 = TSimd.AddBytePairProducts(a1, w1, v);
                        if (TGroups.Value > 2) (a2, a3) = (TSimd.AddBytePairProducts(a2, w2, v), TSimd.AddBytePairProducts(a3, w3, v));
                        if (TTokens.Value > 1)
                        {
                            v = TSimd.CreatePairs(*(int*)(q + stride));
                            b0 = TSimd.AddBytePairProducts(b0, w0, v);
                            if (TGroups.Value > 1) b1 = TSimd.AddBytePairProducts(b1, w1, v);
                        }
                        if (TTokens.Value > 2)
                        {
                            v = TSimd.CreatePairs(*(int*)(q + 2 * stride));
                            c0 = TSimd.AddBytePairProducts(c0, w0, v);
                            if (TGroups.Value > 1) c1 = TSimd.AddBytePairProducts(c1, w1, v);
                        }
                        if (TTokens.Value > 3)
                        {
                            v = TSimd.CreatePairs(*(int*)(q + stride3));
                            d0 = TSimd.AddBytePairProducts(d0, w0, v);
                            if (TGroups.Value > 1) d1 = TSimd.AddBytePairProducts(d1, w1, v);
                        }
                        if (TTokens.Value > 4)
                        {
                            v = TSimd.CreatePairs(*(int*)r);
                            e0 = TSimd.AddBytePairProducts(e0, w0, v);
                            if (TGroups.Value > 1) e1 = TSimd.AddBytePairProducts(e1, w1, v);
                        }
                        if (TTokens.Value > 5)
                        {
                            v = TSimd.CreatePairs(*(int*)(r + stride));
                            f0 = TSimd.AddBytePairProducts(f0, w0, v);
                            if (TGroups.Value > 1) f1 = TSimd.AddBytePairProducts(f1, w1, v);
                        }
                        if (TTokens.Value > 6)
                        {
                            v = TSimd.CreatePairs(*(int*)(r + 2 * stride));
                            g0 = TSimd.AddBytePairProducts(g0, w0, v);
                            if (TGroups.Value > 1) g1 = TSimd.AddBytePairProducts(g1, w1, v);
                        }
                        if (TTokens.Value > 7)
                        {
                            v = TSimd.CreatePairs(*(int*)(r + stride3));
                            h0 = TSimd.AddBytePairProducts(h0, w0, v);
                            if (TGroups.Value > 1) h1 = TSimd.AddBytePairProducts(h1, w1, v);
                        }

                        w0 = Upper(nibbles, high0, mask, highMask);
                        if (TGroups.Value > 1) w1 = Upper(nibbles + groupBytes, high1, mask, highMask);
                        if (TGroups.Value > 2) (w2, w3) = (Upper(nibbles + 2 * groupBytes, high2, mask, highMask), Upper(nibbles + 3 * groupBytes, high3, mask, highMask));
                        v = TSimd.CreatePairs(*(int*)(q + sizeof(int)));
                        a0 = TSimd.AddBytePairProducts(a0, w0, v);
                        if (TGroups.Value > 1) a1 = TSimd.AddBytePairProducts(a1, w1, v);
                        if (TGroups.Value > 2) (a2, a3) = (TSimd.AddBytePairProducts(a2, w2, v), TSimd.AddBytePairProducts(a3, w3, v));
                        if (TTokens.Value > 1)
                        {
                            v = TSimd.CreatePairs(*(int*)(q + stride + sizeof(int)));
                            b0 = TSimd.AddBytePairProducts(b0, w0, v);
                            if (TGroups.Value > 1) b1 = TSimd.AddBytePairProducts(b1, w1, v);
                        }
                        if (TTokens.Value > 2)
                        {
                            v = TSimd.CreatePairs(*(int*)(q + 2 * stride + sizeof(int)));
                            c0 = TSimd.AddBytePairProducts(c0, w0, v);
                            if (TGroups.Value > 1) c1 = TSimd.AddBytePairProducts(c1, w1, v);
                        }
                        if (TTokens.Value > 3)
                        {
                            v = TSimd.CreatePairs(*(int*)(q + stride3 + sizeof(int)));
                            d0 = TSimd.AddBytePairProducts(d0, w0, v);
                            if (TGroups.Value > 1) d1 = TSimd.AddBytePairProducts(d1, w1, v);
                        }
                        if (TTokens.Value > 4)
                        {
                            v = TSimd.CreatePairs(*(int*)(r + sizeof(int)));
                            e0 = TSimd.AddBytePairProducts(e0, w0, v);
                            if (TGroups.Value > 1) e1 = TSimd.AddBytePairProducts(e1, w1, v);
                        }
                        if (TTokens.Value > 5)
                        {
                            v = TSimd.CreatePairs(*(int*)(r + stride + sizeof(int)));
                            f0 = TSimd.AddBytePairProducts(f0, w0, v);
                            if (TGroups.Value > 1) f1 = TSimd.AddBytePairProducts(f1, w1, v);
                        }
                        if (TTokens.Value > 6)
                        {
                            v = TSimd.CreatePairs(*(int*)(r + 2 * stride + sizeof(int)));
                            g0 = TSimd.AddBytePairProducts(g0, w0, v);
                            if (TGroups.Value > 1) g1 = TSimd.AddBytePairProducts(g1, w1, v);
                        }
                        if (TTokens.Value > 7)
                        {
                            v = TSimd.CreatePairs(*(int*)(r + stride3 + sizeof(int)));
                            h0 = TSimd.AddBytePairProducts(h0, w0, v);
                            if (TGroups.Value > 1) h1 = TSimd.AddBytePairProducts(h1, w1, v);
                        }

                        if (TBlocks.HighBits > 0)
                        {
                            high0 = TSimd.ShiftRight(high0, TBlocks.HighBits);
                            if (TGroups.Value > 1) high1 = TSimd.ShiftRight(high1, TBlocks.HighBits);
                            if (TGroups.Value > 2) (high2, high3) = (TSimd.ShiftRight(high2, TBlocks.HighBits), TSimd.ShiftRight(high3, TBlocks.HighBits));
                        }
                    }

                    TFloats s0 = Scale(halves, factors, part), m0 = default, s1 = default, s2 = default, s3 = default, m1 = default, m2 = default, m3 = default;
                    if (TGroups.Value > 1) s1 = Scale(halves + TSimd.Lanes, factors + TSimd.Lanes, part);
                    if (TGroups.Value > 2)
                    {
                        s2 = Scale(halves + 2 * TSimd.Lanes, factors + 2 * TSimd.Lanes, part);
                        s3 = Scale(halves + 3 * TSimd.Lanes, factors + 3 * TSimd.Lanes, part);
                    }
                    if (TBlocks.HasMinima)
                    {
                        m0 = Minimum(halves, factors, s0);
                        if (TGroups.Value > 1) m1 = Minimum(halves + TSimd.Lanes, factors + TSimd.Lanes, s1);
                        if (TGroups.Value > 2)
                        {
                            m2 = Minimum(halves + 2 * TSimd.Lanes, factors + 2 * TSimd.Lanes, s2);
                            m3 = Minimum(halves + 3 * TSimd.Lanes, factors + 3 * TSimd.Lanes, s3);
                        }
                    }
                    AddScaled(a0, a1, x, s0, s1, m0, m1, sums);
                    if (TGroups.Value > 2) AddScaled(a2, a3, x, s2, s3, m2, m3, sums + 2 * TSimd.Lanes);
                    if (TTokens.Value > 1) AddScaled(b0, b1, x + stride, s0, s1, m0, m1, sums + 2 * TSimd.Lanes);
                    if (TTokens.Value > 2) AddScaled(c0, c1, x + 2 * stride, s0, s1, m0, m1, sums + 4 * TSimd.Lanes);
                    if (TTokens.Value > 3) AddScaled(d0, d1, x + stride3, s0, s1, m0, m1, sums + 6 * TSimd.Lanes);
                    if (TTokens.Value > 4) AddScaled(e0, e1, xe, s0, s1, m0, m1, sums + 8 * TSimd.Lanes);
                    if (TTokens.Value > 5) AddScaled(f0, f1, xe + stride, s0, s1, m0, m1, sums + 10 * TSimd.Lanes);
                    if (TTokens.Value > 6) AddScaled(g0, g1, xe + 2 * stride, s0, s1, m0, m1, sums + 12 * TSimd.Lanes);
                    if (TTokens.Value > 7) AddScaled(h0, h1, xe + stride3, s0, s1, m0, m1, sums + 14 * TSimd.Lanes);
                }
                codes += blockBytes;
                factors += blockBytes;
                x += sizeof(ActivationBlock);
                xe += sizeof(ActivationBlock);
            }
            codes += headerBytes;
            factors += headerBytes;
            halves = (ushort*)((byte*)halves + superBytes);
        }

        Store(sums, x, factor, y);
        if (TTokens.Value > 1) Store(sums + 2 * TSimd.Lanes, x + stride, factor, y + outputStride);
        if (TTokens.Value > 2) Store(sums + 4 * TSimd.Lanes, x + 2 * stride, factor, y + 2 * outputStride);
        if (TTokens.Value > 3) Store(sums + 6 * TSimd.Lanes, x + stride3, factor, y + 3 * outputStride);
        if (TTokens.Value > 4) Store(sums + 8 * TSimd.Lanes, xe, factor, y + 4 * outputStride);
        if (TTokens.Value > 5) Store(sums + 10 * TSimd.Lanes, xe + stride, factor, y + 5 * outputStride);
        if (TTokens.Value > 6) Store(sums + 12 * TSimd.Lanes, xe + 2 * stride, factor, y + 6 * outputStride);
        if (TTokens.Value > 7) Store(sums + 14 * TSimd.Lanes, xe + stride3, factor, y + 7 * outputStride);
    }

    /// <summary>What the sums begin with: minus the offset times the activations.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TShorts Start(byte* x, int part)
    {
        if (TBlocks.Offset == 0) return default;
        return TSimd.CreatePairs(TBlocks.Offset == 8 ? ((ActivationBlock*)x)->MinusEight : TBlocks.Offset == 16 ? ((ActivationBlock*)x)->MinusSixteen : ((int*)x)[ActivationBlock.MinusThirtyTwoIndex + part]);
    }

    /// <summary>The codes in the upper nibbles.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TShorts Upper(byte* nibbles, TShorts high, TShorts mask, TShorts highMask)
    {
        TShorts codes = TSimd.And(TSimd.ShiftRight(TSimd.LoadBits(nibbles), 4), mask);
        return TBlocks.HighBits > 0 ? TSimd.Or(codes, TSimd.And(TSimd.ShiftLeft(high, 4), highMask)) : codes;
    }

    /// <summary>Scales of a vector of rows in a block, or in a part of it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TFloats Scale(ushort* halves, sbyte* factors, int part)
    {
        TFloats scale = TSimd.LoadHalves(halves);
        return TBlocks.BlocksPerSuper == 1 ? scale : TSimd.Multiply(scale, TSimd.LoadBytes(factors + part * PackedMatrix.PanelRows));
    }

    /// <summary>Minima of a vector of rows in a block, with what makes up for an offset that the type does not have.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TFloats Minimum(ushort* halves, sbyte* factors, TFloats scale)
    {
        TFloats minimum = TSimd.LoadHalves(halves + PackedMatrix.PanelRows);
        if (TBlocks.BlocksPerSuper > 1) minimum = TSimd.Multiply(minimum, TSimd.LoadBytes(factors + PackedMatrix.PanelRows));
        return TBlocks.Offset == 0 ? minimum : TSimd.MultiplyAdd(TSimd.Create(TBlocks.Offset), scale, minimum);
    }

    /// <summary>Adds what an activation's block contributes to its sums of one or two vectors of rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddScaled(TShorts dots0, TShorts dots1, byte* x, TFloats scale0, TFloats scale1, TFloats minimum0, TFloats minimum1, float* sums)
    {
        TShorts factors = TSimd.CreatePairs(((ActivationBlock*)x)->Scales);
        TFloats size = TBlocks.HasMinima ? TSimd.Create(((ActivationBlock*)x)->Sum) : default;
        AddScaled(dots0, factors, size, scale0, minimum0, sums);
        if (TGroups.Value > 1) AddScaled(dots1, factors, size, scale1, minimum1, sums + TSimd.Lanes);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddScaled(TShorts dots, TShorts factors, TFloats size, TFloats scale, TFloats minimum, float* sum)
    {
        TFloats result = TSimd.MultiplyAdd(TSimd.ToFloats(TSimd.PairProducts(dots, factors)), scale, TSimd.Load(sum));
        if (TBlocks.HasMinima) result = TSimd.MultiplyAdd(minimum, size, result);
        TSimd.Store(result, sum);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* sums, byte* end, float factor, float* y)
    {
        TFloats scale = TSimd.Create(((ActivationBlock*)end - 1)->RowScale * factor);
        for (int i = 0; i < TGroups.Value * TSimd.Lanes; i += TSimd.Lanes) TSimd.Store(TSimd.Multiply(TSimd.Load(sums + i), scale), y + i);
    }
}
