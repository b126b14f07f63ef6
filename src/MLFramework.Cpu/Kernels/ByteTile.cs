using System.Runtime.CompilerServices;

namespace MLFramework.Cpu;

/// <summary>
/// Products of some vectors of rows of 8-bit weights with some activations of 16 bits. Every element has its own accumulators in registers: the dot
/// product of a block of 32 as an exact integer (at most 32 × 128 × 32767, which fits 32 bits), and the sum over the blocks as one chain of fused
/// multiply-adds.
/// </summary>
/// <remarks>
/// Activations of 16 bits rather than 8: without dot-product instructions they cost the same, cannot saturate, and leave an error near that of floats.
/// A tile has 1, 2 or 4 vectors of rows and 1 to 6 activations, with 4 vectors at most 2.
/// </remarks>
internal static unsafe class ByteTile<TWeights, TSimd, TFloats, TInts, TShorts, TGroups, TTokens>
    where TWeights : struct, IByteWeights
    where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
    where TFloats : struct
    where TInts : struct
    where TShorts : struct
    where TGroups : struct, ITileSize
    where TTokens : struct, ITileSize
{
    private const int BlockLength = Padding.Unit, PairsPerBlock = BlockLength / 2, CacheLine = 64;

    /// <summary>Multiplies.</summary>
    /// <param name="w">The first block of the first vector of rows: its weights as [pair of columns][row][2].</param>
    /// <param name="groupBytes">Bytes from a vector of rows to the next, within a block.</param>
    /// <param name="halves">The scales of the first block's rows.</param>
    /// <param name="blockBytes">Bytes from a block's weights to the next's.</param>
    /// <param name="scaleBytes">Bytes from a block's scales to the next's.</param>
    /// <param name="x">The first activation's codes.</param>
    /// <param name="stride">Codes from one activation to the next.</param>
    /// <param name="scales">The first activation's scales.</param>
    /// <param name="blocks">Number of blocks.</param>
    /// <param name="factor">What products are multiplied with, a power of two.</param>
    /// <param name="y">Takes the products of the first activation.</param>
    /// <param name="outputStride">Floats from the products of one activation to those of the next.</param>
    /// <param name="ahead">Weights that will be read soon.</param>
    /// <param name="aheadStep">Bytes of them to ask for in every block.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(byte* w, long groupBytes, ushort* halves, long blockBytes, long scaleBytes, short* x, long stride, float* scales, int blocks, float factor, float* y, long outputStride, byte* ahead, int aheadStep)
    {
        long scaleStride = stride / BlockLength;
        short* xb = x + stride, xc = xb + stride, xd = xc + stride, xe = xd + stride, xf = xe + stride;
        TFloats suma0 = default, suma1 = default, suma2 = default, suma3 = default, sumb0 = default, sumb1 = default, sumb2 = default, sumb3 = default;
        TFloats sumc0 = default, sumc1 = default, sumd0 = default, sumd1 = default, sume0 = default, sume1 = default, sumf0 = default, sumf1 = default;
        for (int block = 0; block < blocks; block++)
        {
            for (byte* end = ahead + aheadStep; ahead < end; ahead += CacheLine) TSimd.Prefetch(ahead);
            TInts a0 = default, a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default;
            TInts c0 = default, c1 = default, d0 = default, d1 = default, e0 = default, e1 = default, f0 = default, f1 = default;
            byte* pairs = w;
            for (int pair = 0; pair < BlockLength; pair += 2, pairs += 2 * TSimd.Lanes * TWeights.Size)
            {
                TShorts w0 = Load(pairs), w1 = default, w2 = default, w3 = default;
                if (TGroups.Value > 1) w1 = Load(pairs + groupBytes);
                if (TGroups.Value > 2) (w2, w3) = (Load(pairs + 2 * groupBytes), Load(pairs + 3 * groupBytes));

                TShorts v = TSimd.CreatePairs(*(int*)(x + pair));
                a0 = TSimd.AddPairProducts(a0, w0, v);
                if (TGroups.Value > 1) a1 = TSimd.AddPairProducts(a1, w1, v);
                if (TGroups.Value > 2) (a2, a3) = (TSimd.AddPairProducts(a2, w2, v), TSimd.AddPairProducts(a3, w3, v));
                if (TTokens.Value > 1)
                {
                    v = TSimd.CreatePairs(*(int*)(xb + pair));
                    b0 = TSimd.AddPairProducts(b0, w0, v);
                    if (TGroups.Value > 1) b1 = TSimd.AddPairProducts(b1, w1, v);
                    if (TGroups.Value > 2) (b2, b3) = (TSimd.AddPairProducts(b2, w2, v), TSimd.AddPairProducts(b3, w3, v));
                }
                if (TTokens.Value > 2)
                {
                    v = TSimd.CreatePairs(*(int*)(xc + pair));
                    c0 = TSimd.AddPairProducts(c0, w0, v);
                    if (TGroups.Value > 1) c1 = TSimd.AddPairProducts(c1, w1, v);
                }
                if (TTokens.Value > 3)
                {
                    v = TSimd.CreatePairs(*(int*)(xd + pair));
                    d0 = TSimd.AddPairProducts(d0, w0, v);
                    if (TGroups.Value > 1) d1 = TSimd.AddPairProducts(d1, w1, v);
                }
                if (TTokens.Value > 4)
                {
                    v = TSimd.CreatePairs(*(int*)(xe + pair));
                    e0 = TSimd.AddPairProducts(e0, w0, v);
                    if (TGroups.Value > 1) e1 = TSimd.AddPairProducts(e1, w1, v);
                }
                if (TTokens.Value > 5)
                {
                    v = TSimd.CreatePairs(*(int*)(xf + pair));
                    f0 = TSimd.AddPairProducts(f0, w0, v);
                    if (TGroups.Value > 1) f1 = TSimd.AddPairProducts(f1, w1, v);
                }
            }

            TFloats s0 = TSimd.LoadHalves(halves), s1 = default, s2 = default, s3 = default;
            if (TGroups.Value > 1) s1 = TSimd.LoadHalves(halves + TSimd.Lanes);
            if (TGroups.Value > 2) (s2, s3) = (TSimd.LoadHalves(halves + 2 * TSimd.Lanes), TSimd.LoadHalves(halves + 3 * TSimd.Lanes));
            float* blockScales = scales + block;
            TFloats scale = TSimd.Create(blockScales[0]);
            suma0 = Scaled(a0, s0, scale, suma0);
            if (TGroups.Value > 1) suma1 = Scaled(a1, s1, scale, suma1);
            if (TGroups.Value > 2) (suma2, suma3) = (Scaled(a2, s2, scale, suma2), Scaled(a3, s3, scale, suma3));
            if (TTokens.Value > 1)
            {
                scale = TSimd.Create(blockScales[scaleStride]);
                sumb0 = Scaled(b0, s0, scale, sumb0);
                if (TGroups.Value > 1) sumb1 = Scaled(b1, s1, scale, sumb1);
                if (TGroups.Value > 2) (sumb2, sumb3) = (Scaled(b2, s2, scale, sumb2), Scaled(b3, s3, scale, sumb3));
            }
            if (TTokens.Value > 2)
            {
                scale = TSimd.Create(blockScales[2 * scaleStride]);
                sumc0 = Scaled(c0, s0, scale, sumc0);
                if (TGroups.Value > 1) sumc1 = Scaled(c1, s1, scale, sumc1);
            }
            if (TTokens.Value > 3)
            {
                scale = TSimd.Create(blockScales[3 * scaleStride]);
                sumd0 = Scaled(d0, s0, scale, sumd0);
                if (TGroups.Value > 1) sumd1 = Scaled(d1, s1, scale, sumd1);
            }
            if (TTokens.Value > 4)
            {
                scale = TSimd.Create(blockScales[4 * scaleStride]);
                sume0 = Scaled(e0, s0, scale, sume0);
                if (TGroups.Value > 1) sume1 = Scaled(e1, s1, scale, sume1);
            }
            if (TTokens.Value > 5)
            {
                scale = TSimd.Create(blockScales[5 * scaleStride]);
                sumf0 = Scaled(f0, s0, scale, sumf0);
                if (TGroups.Value > 1) sumf1 = Scaled(f1, s1, scale, sumf1);
            }
            w += blockBytes;
            halves = (ushort*)((byte*)halves + scaleBytes);
            x += BlockLength;
            xb += BlockLength;
            xc += BlockLength;
            xd += BlockLength;
            xe += BlockLength;
            xf += BlockLength;
        }

        TFloats lowered = TSimd.Create(factor);
        Store(suma0, suma1, suma2, suma3, lowered, y);
        if (TTokens.Value > 1) Store(sumb0, sumb1, sumb2, sumb3, lowered, y + outputStride);
        if (TTokens.Value > 2) Store(sumc0, sumc1, default, default, lowered, y + 2 * outputStride);
        if (TTokens.Value > 3) Store(sumd0, sumd1, default, default, lowered, y + 3 * outputStride);
        if (TTokens.Value > 4) Store(sume0, sume1, default, default, lowered, y + 4 * outputStride);
        if (TTokens.Value > 5) Store(sumf0, sumf1, default, default, lowered, y + 5 * outputStride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TShorts Load(byte* pairs) => TWeights.Load<TSimd, TFloats, TInts, TShorts>(pairs);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TFloats Scaled(TInts dot, TFloats weightScale, TFloats activationScale, TFloats sum) =>
        TSimd.MultiplyAdd(TSimd.ToFloats(dot), TSimd.Multiply(weightScale, activationScale), sum);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(TFloats sum0, TFloats sum1, TFloats sum2, TFloats sum3, TFloats factor, float* y)
    {
        TSimd.Store(TSimd.Multiply(sum0, factor), y);
        if (TGroups.Value > 1) TSimd.Store(TSimd.Multiply(sum1, factor), y + TSimd.Lanes);
        if (TGroups.Value > 2)
        {
            TSimd.Store(TSimd.Multiply(sum2, factor), y + 2 * TSimd.Lanes);
            TSimd.Store(TSimd.Multiply(sum3, factor), y + 3 * TSimd.Lanes);
        }
    }
}
