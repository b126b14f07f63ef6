using System.Runtime.CompilerServices;

namespace MLFramework.Cpu;

/// <summary>
/// Products of some vectors of rows of 4-, 5- or 6-bit weights with some activations of 8 bits. Of a block of 32 each row has two 16-bit sums, one of each
/// half of the activations (see <see cref="ActivationBlock"/>), which become one 32-bit integer when they are multiplied with the activations' scales; all
/// that is exact. The sum over the blocks is one chain of fused multiply-adds, and what the activations' row is scaled with comes last.
/// </summary>
/// <remarks>
/// An offset that is subtracted from all weights costs nothing: the 16-bit sums begin with it. They may wrap on the way, as long as the last one fits: at
/// most 16 products of 15 × 127 without an offset, 16 of 16 × 127 with one, and 8 of 32 × 127. A tile has 1, 2 or 4 vectors of rows and 1 to 6 activations,
/// with 4 vectors only one.
/// </remarks>
internal static unsafe class NarrowTile<TBlocks, TSimd, TFloats, TInts, TShorts, TGroups, TTokens>
    where TBlocks : struct, INarrowBlocks
    where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
    where TFloats : struct
    where TInts : struct
    where TShorts : struct
    where TGroups : struct, ITileSize
    where TTokens : struct, ITileSize
{
    private const int CacheLine = 64, MostSums = 12;

    /// <summary>An <see cref="ActivationBlock"/>, of which the quads come first.</summary>
    private static int BlockInts => sizeof(ActivationBlock) / sizeof(int);

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
        stride *= BlockInts;
        int vectorBytes = TSimd.Lanes * NarrowLayout<TBlocks>.QuadLength, groupBytes = TSimd.Lanes * NarrowLayout<TBlocks>.CodeBytes;
        int headerBytes = NarrowLayout<TBlocks>.HeaderBytes, blockBytes = NarrowLayout<TBlocks>.BlockBytes, superBytes = NarrowLayout<TBlocks>.SuperBytes;
        int quadsPerPart = 2 * NarrowLayout<TBlocks>.StepsPerPart;
        int* x = (int*)input, xb = x + stride, xc = xb + stride, xd = xc + stride, xe = xd + stride, xf = xe + stride;
        // In memory of their own, aligned: beside the 16-bit sums they do not fit 16 registers, and where the compiler would put them half straddle cache lines.
        byte* memory = stackalloc byte[(MostSums + 1) * CacheLine];
        float* sums = (float*)(((nint)memory + CacheLine - 1) / CacheLine * CacheLine);
        new Span<float>(sums, MostSums * TSimd.Lanes).Clear();
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
                    TShorts a0 = Start(x, part), b0 = default, c0 = default, d0 = default, e0 = default, f0 = default;
                    if (TTokens.Value > 1) b0 = Start(xb, part);
                    if (TTokens.Value > 2) c0 = Start(xc, part);
                    if (TTokens.Value > 3) d0 = Start(xd, part);
                    if (TTokens.Value > 4) e0 = Start(xe, part);
                    if (TTokens.Value > 5) f0 = Start(xf, part);
                    TShorts a1 = a0, a2 = a0, a3 = a0, b1 = b0, c1 = c0, d1 = d0, e1 = e0, f1 = f0;

                    TShorts high0 = default, high1 = default, high2 = default, high3 = default;
                    if (TBlocks.HighBits > 0)
                    {
                        high0 = TSimd.LoadBits(nibbles);
                        if (TGroups.Value > 1) high1 = TSimd.LoadBits(nibbles + groupBytes);
                        if (TGroups.Value > 2) (high2, high3) = (TSimd.LoadBits(nibbles + 2 * groupBytes), TSimd.LoadBits(nibbles + 3 * groupBytes));
                        nibbles += vectorBytes;
                    }
                    for (int quad = part * quadsPerPart, end = quad + quadsPerPart; quad < end; quad += 2, nibbles += vectorBytes)
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
                        v = TSimd.CreatePairs(x[quad]);
                        a0 = TSimd.AddBytePairProducts(a0, w0, v);
                        if (TGroups.Value > 1) a1 = TSimd.AddBytePairProducts(a1, w1, v);
                        if (TGroups.Value > 2) (a2, a3) = (TSimd.AddBytePairProducts(a2, w2, v), TSimd.AddBytePairProducts(a3, w3, v));
                        if (TTokens.Value > 1)
                        {
                            v = TSimd.CreatePairs(xb[quad]);
                            b0 = TSimd.AddBytePairProducts(b0, w0, v);
                            if (TGroups.Value > 1) b1 = TSimd.AddBytePairProducts(b1, w1, v);
                        }
                        if (TTokens.Value > 2)
                        {
                            v = TSimd.CreatePairs(xc[quad]);
                            c0 = TSimd.AddBytePairProducts(c0, w0, v);
                            if (TGroups.Value > 1) c1 = TSimd.AddBytePairProducts(c1, w1, v);
                        }
                        if (TTokens.Value > 3)
                        {
                            v = TSimd.CreatePairs(xd[quad]);
                            d0 = TSimd.AddBytePairProducts(d0, w0, v);
                            if (TGroups.Value > 1) d1 = TSimd.AddBytePairProducts(d1, w1, v);
                        }
                        if (TTokens.Value > 4)
                        {
                            v = TSimd.CreatePairs(xe[quad]);
                            e0 = TSimd.AddBytePairProducts(e0, w0, v);
                            if (TGroups.Value > 1) e1 = TSimd.AddBytePairProducts(e1, w1, v);
                        }
                        if (TTokens.Value > 5)
                        {
                            v = TSimd.CreatePairs(xf[quad]);
                            f0 = TSimd.AddBytePairProducts(f0, w0, v);
                            if (TGroups.Value > 1) f1 = TSimd.AddBytePairProducts(f1, w1, v);
                        }

                        w0 = Upper(nibbles, high0, mask, highMask);
                        if (TGroups.Value > 1) w1 = Upper(nibbles + groupBytes, high1, mask, highMask);
                        if (TGroups.Value > 2) (w2, w3) = (Upper(nibbles + 2 * groupBytes, high2, mask, highMask), Upper(nibbles + 3 * groupBytes, high3, mask, highMask));
                        v = TSimd.CreatePairs(x[quad + 1]);
                        a0 = TSimd.AddBytePairProducts(a0, w0, v);
                        if (TGroups.Value > 1) a1 = TSimd.AddBytePairProducts(a1, w1, v);
                        if (TGroups.Value > 2) (a2, a3) = (TSimd.AddBytePairProducts(a2, w2, v), TSimd.AddBytePairProducts(a3, w3, v));
                        if (TTokens.Value > 1)
                        {
                            v = TSimd.CreatePairs(xb[quad + 1]);
                            b0 = TSimd.AddBytePairProducts(b0, w0, v);
                            if (TGroups.Value > 1) b1 = TSimd.AddBytePairProducts(b1, w1, v);
                        }
                        if (TTokens.Value > 2)
                        {
                            v = TSimd.CreatePairs(xc[quad + 1]);
                            c0 = TSimd.AddBytePairProducts(c0, w0, v);
                            if (TGroups.Value > 1) c1 = TSimd.AddBytePairProducts(c1, w1, v);
                        }
                        if (TTokens.Value > 3)
                        {
                            v = TSimd.CreatePairs(xd[quad + 1]);
                            d0 = TSimd.AddBytePairProducts(d0, w0, v);
                            if (TGroups.Value > 1) d1 = TSimd.AddBytePairProducts(d1, w1, v);
                        }
                        if (TTokens.Value > 4)
                        {
                            v = TSimd.CreatePairs(xe[quad + 1]);
                            e0 = TSimd.AddBytePairProducts(e0, w0, v);
                            if (TGroups.Value > 1) e1 = TSimd.AddBytePairProducts(e1, w1, v);
                        }
                        if (TTokens.Value > 5)
                        {
                            v = TSimd.CreatePairs(xf[quad + 1]);
                            f0 = TSimd.AddBytePairProducts(f0, w0, v);
                            if (TGroups.Value > 1) f1 = TSimd.AddBytePairProducts(f1, w1, v);
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
                    AddScaled(a0, x, s0, m0, sums);
                    if (TGroups.Value > 1) AddScaled(a1, x, s1, m1, sums + TSimd.Lanes);
                    if (TGroups.Value > 2) AddScaled(a2, x, s2, m2, sums + 2 * TSimd.Lanes);
                    if (TGroups.Value > 2) AddScaled(a3, x, s3, m3, sums + 3 * TSimd.Lanes);
                    if (TTokens.Value > 1)
                    {
                        AddScaled(b0, xb, s0, m0, sums + 2 * TSimd.Lanes);
                        if (TGroups.Value > 1) AddScaled(b1, xb, s1, m1, sums + 3 * TSimd.Lanes);
                    }
                    if (TTokens.Value > 2)
                    {
                        AddScaled(c0, xc, s0, m0, sums + 4 * TSimd.Lanes);
                        if (TGroups.Value > 1) AddScaled(c1, xc, s1, m1, sums + 5 * TSimd.Lanes);
                    }
                    if (TTokens.Value > 3)
                    {
                        AddScaled(d0, xd, s0, m0, sums + 6 * TSimd.Lanes);
                        if (TGroups.Value > 1) AddScaled(d1, xd, s1, m1, sums + 7 * TSimd.Lanes);
                    }
                    if (TTokens.Value > 4)
                    {
                        AddScaled(e0, xe, s0, m0, sums + 8 * TSimd.Lanes);
                        if (TGroups.Value > 1) AddScaled(e1, xe, s1, m1, sums + 9 * TSimd.Lanes);
                    }
                    if (TTokens.Value > 5)
                    {
                        AddScaled(f0, xf, s0, m0, sums + 10 * TSimd.Lanes);
                        if (TGroups.Value > 1) AddScaled(f1, xf, s1, m1, sums + 11 * TSimd.Lanes);
                    }
                }
                codes += blockBytes;
                factors += blockBytes;
                x += BlockInts;
                xb += BlockInts;
                xc += BlockInts;
                xd += BlockInts;
                xe += BlockInts;
                xf += BlockInts;
            }
            codes += headerBytes;
            factors += headerBytes;
            halves = (ushort*)((byte*)halves + superBytes);
        }

        Store(sums, x, factor, y);
        if (TTokens.Value > 1) Store(sums + 2 * TSimd.Lanes, xb, factor, y + outputStride);
        if (TTokens.Value > 2) Store(sums + 4 * TSimd.Lanes, xc, factor, y + 2 * outputStride);
        if (TTokens.Value > 3) Store(sums + 6 * TSimd.Lanes, xd, factor, y + 3 * outputStride);
        if (TTokens.Value > 4) Store(sums + 8 * TSimd.Lanes, xe, factor, y + 4 * outputStride);
        if (TTokens.Value > 5) Store(sums + 10 * TSimd.Lanes, xf, factor, y + 5 * outputStride);
    }

    /// <summary>What the sums begin with: minus the offset times the activations.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TShorts Start(int* x, int part)
    {
        if (TBlocks.Offset == 0) return default;
        return TSimd.CreatePairs(TBlocks.Offset == 8 ? ((ActivationBlock*)x)->MinusEight : TBlocks.Offset == 16 ? ((ActivationBlock*)x)->MinusSixteen : x[ActivationBlock.MinusThirtyTwoIndex + part]);
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

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddScaled(TShorts dots, int* x, TFloats scale, TFloats minimum, float* sum)
    {
        TFloats result = TSimd.MultiplyAdd(TSimd.ToFloats(TSimd.PairProducts(dots, TSimd.CreatePairs(((ActivationBlock*)x)->Scales))), scale, TSimd.Load(sum));
        if (TBlocks.HasMinima) result = TSimd.MultiplyAdd(minimum, TSimd.Create(((ActivationBlock*)x)->Sum), result);
        TSimd.Store(result, sum);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* sums, int* end, float factor, float* y)
    {
        TFloats scale = TSimd.Create(((ActivationBlock*)end - 1)->RowScale * factor);
        for (int i = 0; i < TGroups.Value * TSimd.Lanes; i += TSimd.Lanes) TSimd.Store(TSimd.Multiply(TSimd.Load(sums + i), scale), y + i);
    }
}
