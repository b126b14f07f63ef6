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
/// with 4 vectors at most 2.
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
    private const int CacheLine = 64, PrefetchedBytes = 2304;

    /// <summary>Bytes of a vector of quads.</summary>
    private static int VectorBytes => TSimd.Lanes * NarrowLayout<TBlocks>.QuadLength;

    /// <summary>Bytes from a vector of rows to the next.</summary>
    private static int GroupBytes => TSimd.Lanes * NarrowLayout<TBlocks>.CodeBytes;

    /// <summary>Multiplies.</summary>
    /// <param name="panel">The panel.</param>
    /// <param name="row">First row, of those of the panel.</param>
    /// <param name="supers">Number of super-blocks.</param>
    /// <param name="x">The first activation.</param>
    /// <param name="stride">Blocks from one activation to the next.</param>
    /// <param name="y">Takes the products of the first activation.</param>
    /// <param name="outputStride">Floats from the products of one activation to those of the next.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(byte* panel, int row, int supers, ActivationBlock* x, long stride, float* y, long outputStride)
    {
        ActivationBlock* xb = x + stride, xc = xb + stride, xd = xc + stride, xe = xd + stride, xf = xe + stride;
        TFloats suma0 = default, suma1 = default, suma2 = default, suma3 = default, sumb0 = default, sumb1 = default, sumb2 = default, sumb3 = default;
        TFloats sumc0 = default, sumc1 = default, sumd0 = default, sumd1 = default, sume0 = default, sume1 = default, sumf0 = default, sumf1 = default;
        byte* codes = panel + NarrowLayout<TBlocks>.HeaderBytes + row * NarrowLayout<TBlocks>.CodeBytes;
        ushort* halves = (ushort*)panel + row;
        for (int super = 0; super < supers; super++)
        {
            for (int block = 0; block < TBlocks.BlocksPerSuper; block++)
            {
                if (TTokens.Value <= 2)
                    for (int line = 0; line < TGroups.Value * GroupBytes; line += CacheLine) TSimd.Prefetch(codes + PrefetchedBytes + line);
                sbyte* factors = (sbyte*)codes - row * NarrowLayout<TBlocks>.CodeBytes + NarrowLayout<TBlocks>.BlockCodeBytes + row;
                for (int part = 0; part < TBlocks.Parts; part++)
                {
                    TShorts a0 = Start(x, part), a1 = a0, a2 = a0, a3 = a0, b0 = default, b1, b2, b3, c0 = default, c1, d0 = default, d1, e0 = default, e1, f0 = default, f1;
                    if (TTokens.Value > 1) b0 = Start(xb, part);
                    b1 = b2 = b3 = b0;
                    if (TTokens.Value > 2) c0 = Start(xc, part);
                    c1 = c0;
                    if (TTokens.Value > 3) d0 = Start(xd, part);
                    d1 = d0;
                    if (TTokens.Value > 4) e0 = Start(xe, part);
                    e1 = e0;
                    if (TTokens.Value > 5) f0 = Start(xf, part);
                    f1 = f0;

                    TShorts high0 = default, high1 = default, high2 = default, high3 = default;
                    byte* nibbles = codes + part * NarrowLayout<TBlocks>.VectorsPerPart * VectorBytes;
                    if (TBlocks.HighBits > 0)
                    {
                        high0 = TSimd.LoadBits(nibbles);
                        if (TGroups.Value > 1) high1 = TSimd.LoadBits(nibbles + GroupBytes);
                        if (TGroups.Value > 2) (high2, high3) = (TSimd.LoadBits(nibbles + 2 * GroupBytes), TSimd.LoadBits(nibbles + 3 * GroupBytes));
                        nibbles += VectorBytes;
                    }
                    int quad = part * (NarrowLayout<TBlocks>.Quads / 2) * NarrowLayout<TBlocks>.QuadLength, end = quad + 2 * NarrowLayout<TBlocks>.StepsPerPart * NarrowLayout<TBlocks>.QuadLength;
                    for (; quad < end; quad += 2 * NarrowLayout<TBlocks>.QuadLength, nibbles += VectorBytes)
                    {
                        TShorts w0 = Lower(nibbles, high0), w1 = default, w2 = default, w3 = default;
                        if (TGroups.Value > 1) w1 = Lower(nibbles + GroupBytes, high1);
                        if (TGroups.Value > 2) (w2, w3) = (Lower(nibbles + 2 * GroupBytes, high2), Lower(nibbles + 3 * GroupBytes, high3));
                        AddTo(ref a0, ref a1, ref a2, ref a3, w0, w1, w2, w3, x->Codes + quad);
                        if (TTokens.Value > 1) AddTo(ref b0, ref b1, ref b2, ref b3, w0, w1, w2, w3, xb->Codes + quad);
                        if (TTokens.Value > 2) AddTo(ref c0, ref c1, w0, w1, xc->Codes + quad);
                        if (TTokens.Value > 3) AddTo(ref d0, ref d1, w0, w1, xd->Codes + quad);
                        if (TTokens.Value > 4) AddTo(ref e0, ref e1, w0, w1, xe->Codes + quad);
                        if (TTokens.Value > 5) AddTo(ref f0, ref f1, w0, w1, xf->Codes + quad);

                        w0 = Upper(nibbles, high0);
                        if (TGroups.Value > 1) w1 = Upper(nibbles + GroupBytes, high1);
                        if (TGroups.Value > 2) (w2, w3) = (Upper(nibbles + 2 * GroupBytes, high2), Upper(nibbles + 3 * GroupBytes, high3));
                        AddTo(ref a0, ref a1, ref a2, ref a3, w0, w1, w2, w3, x->Codes + NarrowLayout<TBlocks>.QuadLength + quad);
                        if (TTokens.Value > 1) AddTo(ref b0, ref b1, ref b2, ref b3, w0, w1, w2, w3, xb->Codes + NarrowLayout<TBlocks>.QuadLength + quad);
                        if (TTokens.Value > 2) AddTo(ref c0, ref c1, w0, w1, xc->Codes + NarrowLayout<TBlocks>.QuadLength + quad);
                        if (TTokens.Value > 3) AddTo(ref d0, ref d1, w0, w1, xd->Codes + NarrowLayout<TBlocks>.QuadLength + quad);
                        if (TTokens.Value > 4) AddTo(ref e0, ref e1, w0, w1, xe->Codes + NarrowLayout<TBlocks>.QuadLength + quad);
                        if (TTokens.Value > 5) AddTo(ref f0, ref f1, w0, w1, xf->Codes + NarrowLayout<TBlocks>.QuadLength + quad);

                        if (TBlocks.HighBits > 0)
                        {
                            high0 = TSimd.ShiftRight(high0, TBlocks.HighBits);
                            if (TGroups.Value > 1) high1 = TSimd.ShiftRight(high1, TBlocks.HighBits);
                            if (TGroups.Value > 2) (high2, high3) = (TSimd.ShiftRight(high2, TBlocks.HighBits), TSimd.ShiftRight(high3, TBlocks.HighBits));
                        }
                    }

                    TFloats s0 = Scale(halves, factors, part), m0 = Minimum(halves, factors, s0), s1 = default, s2 = default, s3 = default, m1 = default, m2 = default, m3 = default;
                    if (TGroups.Value > 1)
                    {
                        s1 = Scale(halves + TSimd.Lanes, factors + TSimd.Lanes, part);
                        m1 = Minimum(halves + TSimd.Lanes, factors + TSimd.Lanes, s1);
                    }
                    if (TGroups.Value > 2)
                    {
                        s2 = Scale(halves + 2 * TSimd.Lanes, factors + 2 * TSimd.Lanes, part);
                        m2 = Minimum(halves + 2 * TSimd.Lanes, factors + 2 * TSimd.Lanes, s2);
                        s3 = Scale(halves + 3 * TSimd.Lanes, factors + 3 * TSimd.Lanes, part);
                        m3 = Minimum(halves + 3 * TSimd.Lanes, factors + 3 * TSimd.Lanes, s3);
                    }
                    suma0 = Scaled(a0, x, s0, m0, suma0);
                    if (TGroups.Value > 1) suma1 = Scaled(a1, x, s1, m1, suma1);
                    if (TGroups.Value > 2) (suma2, suma3) = (Scaled(a2, x, s2, m2, suma2), Scaled(a3, x, s3, m3, suma3));
                    if (TTokens.Value > 1)
                    {
                        sumb0 = Scaled(b0, xb, s0, m0, sumb0);
                        if (TGroups.Value > 1) sumb1 = Scaled(b1, xb, s1, m1, sumb1);
                        if (TGroups.Value > 2) (sumb2, sumb3) = (Scaled(b2, xb, s2, m2, sumb2), Scaled(b3, xb, s3, m3, sumb3));
                    }
                    if (TTokens.Value > 2)
                    {
                        sumc0 = Scaled(c0, xc, s0, m0, sumc0);
                        if (TGroups.Value > 1) sumc1 = Scaled(c1, xc, s1, m1, sumc1);
                    }
                    if (TTokens.Value > 3)
                    {
                        sumd0 = Scaled(d0, xd, s0, m0, sumd0);
                        if (TGroups.Value > 1) sumd1 = Scaled(d1, xd, s1, m1, sumd1);
                    }
                    if (TTokens.Value > 4)
                    {
                        sume0 = Scaled(e0, xe, s0, m0, sume0);
                        if (TGroups.Value > 1) sume1 = Scaled(e1, xe, s1, m1, sume1);
                    }
                    if (TTokens.Value > 5)
                    {
                        sumf0 = Scaled(f0, xf, s0, m0, sumf0);
                        if (TGroups.Value > 1) sumf1 = Scaled(f1, xf, s1, m1, sumf1);
                    }
                }
                codes += NarrowLayout<TBlocks>.BlockBytes;
                x++;
                xb++;
                xc++;
                xd++;
                xe++;
                xf++;
            }
            codes += NarrowLayout<TBlocks>.HeaderBytes;
            halves = (ushort*)((byte*)halves + NarrowLayout<TBlocks>.SuperBytes);
        }

        Store(suma0, suma1, suma2, suma3, x - 1, y);
        if (TTokens.Value > 1) Store(sumb0, sumb1, sumb2, sumb3, xb - 1, y + outputStride);
        if (TTokens.Value > 2) Store(sumc0, sumc1, default, default, xc - 1, y + 2 * outputStride);
        if (TTokens.Value > 3) Store(sumd0, sumd1, default, default, xd - 1, y + 3 * outputStride);
        if (TTokens.Value > 4) Store(sume0, sume1, default, default, xe - 1, y + 4 * outputStride);
        if (TTokens.Value > 5) Store(sumf0, sumf1, default, default, xf - 1, y + 5 * outputStride);
    }

    /// <summary>What the sums begin with: minus the offset times the activations.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TShorts Start(ActivationBlock* x, int part) => TBlocks.Offset switch
    {
        8 => TSimd.CreatePairs(x->MinusEight),
        16 => TSimd.CreatePairs(x->MinusSixteen),
        32 => TSimd.CreatePairs(x->MinusThirtyTwo[part]),
        _ => default,
    };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TShorts Lower(byte* nibbles, TShorts high)
    {
        TShorts codes = TSimd.And(TSimd.LoadBits(nibbles), TSimd.CreatePairs(0x0F0F0F0F));
        return TBlocks.HighBits > 0 ? TSimd.Or(codes, TSimd.And(high, HighMask)) : codes;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TShorts Upper(byte* nibbles, TShorts high)
    {
        TShorts codes = TSimd.And(TSimd.ShiftRight(TSimd.LoadBits(nibbles), 4), TSimd.CreatePairs(0x0F0F0F0F));
        return TBlocks.HighBits > 0 ? TSimd.Or(codes, TSimd.And(TSimd.ShiftLeft(high, 4), HighMask)) : codes;
    }

    private static TShorts HighMask
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TSimd.CreatePairs(TBlocks.HighBits == 1 ? 0x10101010 : 0x30303030);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddTo(ref TShorts sum0, ref TShorts sum1, ref TShorts sum2, ref TShorts sum3, TShorts w0, TShorts w1, TShorts w2, TShorts w3, sbyte* quad)
    {
        TShorts v = TSimd.CreatePairs(*(int*)quad);
        sum0 = TSimd.Add(sum0, TSimd.BytePairProducts(w0, v));
        if (TGroups.Value > 1) sum1 = TSimd.Add(sum1, TSimd.BytePairProducts(w1, v));
        if (TGroups.Value > 2) sum2 = TSimd.Add(sum2, TSimd.BytePairProducts(w2, v));
        if (TGroups.Value > 2) sum3 = TSimd.Add(sum3, TSimd.BytePairProducts(w3, v));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddTo(ref TShorts sum0, ref TShorts sum1, TShorts w0, TShorts w1, sbyte* quad)
    {
        TShorts v = TSimd.CreatePairs(*(int*)quad);
        sum0 = TSimd.Add(sum0, TSimd.BytePairProducts(w0, v));
        if (TGroups.Value > 1) sum1 = TSimd.Add(sum1, TSimd.BytePairProducts(w1, v));
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
        if (!TBlocks.HasMinima) return default;
        TFloats minimum = TSimd.LoadHalves(halves + PackedMatrix.PanelRows);
        if (TBlocks.BlocksPerSuper > 1) minimum = TSimd.Multiply(minimum, TSimd.LoadBytes(factors + PackedMatrix.PanelRows));
        return TBlocks.Offset == 0 ? minimum : TSimd.MultiplyAdd(TSimd.Create(TBlocks.Offset), scale, minimum);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TFloats Scaled(TShorts dots, ActivationBlock* x, TFloats scale, TFloats minimum, TFloats sum)
    {
        sum = TSimd.MultiplyAdd(TSimd.ToFloats(TSimd.PairProducts(dots, TSimd.CreatePairs(x->Scales))), scale, sum);
        return TBlocks.HasMinima ? TSimd.MultiplyAdd(minimum, TSimd.Create(x->Sum), sum) : sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(TFloats sum0, TFloats sum1, TFloats sum2, TFloats sum3, ActivationBlock* last, float* y)
    {
        TFloats scale = TSimd.Create(last->RowScale);
        TSimd.Store(TSimd.Multiply(sum0, scale), y);
        if (TGroups.Value > 1) TSimd.Store(TSimd.Multiply(sum1, scale), y + TSimd.Lanes);
        if (TGroups.Value > 2)
        {
            TSimd.Store(TSimd.Multiply(sum2, scale), y + 2 * TSimd.Lanes);
            TSimd.Store(TSimd.Multiply(sum3, scale), y + 3 * TSimd.Lanes);
        }
    }
}
