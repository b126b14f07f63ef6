using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace MLFramework.Cpu;

/// <summary>What is done to single rows of activations. Lengths are padded to 32 with zeros.</summary>
internal abstract unsafe class RowKernels
{
    private const int Lanes = 8;

    /// <summary>Adds a row to another.</summary>
    public abstract void Add(float* sum, float* addend, int length);

    /// <summary>Multiplies a row by a number.</summary>
    public abstract void Scale(float* x, float factor, int length);

    /// <summary>Root mean square normalization (Zhang and Sennrich, 2019): x × weight / √(mean of x² + ε).</summary>
    /// <param name="x">The row.</param>
    /// <param name="weight">A weight per element.</param>
    /// <param name="result">Takes the normalized row.</param>
    /// <param name="length">Elements that count.</param>
    /// <param name="epsilon">Keeps a row of zeros finite.</param>
    /// <returns>False if the row holds something that is not a finite number, or is too large to be squared.</returns>
    public abstract bool RmsNorm(float* x, float* weight, float* result, int length, float epsilon);

    /// <summary>The gated activation of a feed-forward layer (Shazeer, "GLU Variants Improve Transformer", 2020), for a part of some rows: f(gate) × up.</summary>
    /// <param name="activation">What f is.</param>
    /// <param name="gate">The first row's gates.</param>
    /// <param name="up">What they are multiplied with.</param>
    /// <param name="stride">Floats from one row of either to the next.</param>
    /// <param name="result">Takes the first row's products.</param>
    /// <param name="resultStride">Floats from one row of products to the next.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="length">Elements of a row.</param>
    public abstract void Gate(GateActivation activation, float* gate, float* up, int stride, float* result, int resultStride, int rows, int length);

    /// <summary>Bounds a row: x becomes cap × tanh(x / cap) (Gemma Team, "Gemma 2", 2024).</summary>
    public abstract void SoftCap(float* x, float cap, int length);

    /// <summary>Quantizes a row to 16 bits: x ≈ code × scale, a scale per 32 elements. Of elements that are not all finite the scale is not either.</summary>
    public abstract void Quantize(float* x, short* codes, float* scales, int length);

    /// <summary>Rotates pairs (i, i + width/2) of a head by the angles of its position (Su et al., "RoFormer", 2021).</summary>
    /// <param name="head">The head's elements.</param>
    /// <param name="cosines">width/2 cosines, then as many sines.</param>
    /// <param name="width">Elements that are rotated, an even number.</param>
    public abstract void Rotate(float* head, float* cosines, int width);

    /// <summary>Normalizes the heads of a row, each by itself and in place, as <see cref="RmsNorm"/> does.</summary>
    /// <param name="heads">The heads, side by side.</param>
    /// <param name="weight">A weight per element of a head.</param>
    /// <param name="count">Number of heads.</param>
    /// <param name="length">Elements of a head, a multiple of 8.</param>
    /// <param name="epsilon">Keeps a head of zeros finite.</param>
    /// <returns>False if a head holds something that is not a finite number, or is too large to be squared.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static bool NormalizeHeads(float* heads, float* weight, int count, int length, float epsilon)
    {
        bool isFinite = true;
        for (float* end = heads + (long)count * length; heads < end; heads += length)
        {
            Vector256<float> sums = Vector256<float>.Zero;
            for (int i = 0; i < length; i += Lanes)
            {
                Vector256<float> x = Vector256.Load(heads + i);
                sums = Vector256.FusedMultiplyAdd(x, x, sums);
            }
            float squares = VectorMath.Sum(sums);
            Vector256<float> scale = Vector256.Create(1 / MathF.Sqrt(squares / length + epsilon));
            for (int i = 0; i < length; i += Lanes) (Vector256.Load(heads + i) * scale * Vector256.Load(weight + i)).Store(heads + i);
            isFinite &= float.IsFinite(squares);
        }
        return isFinite;
    }

    /// <summary>Whether all elements are finite numbers.</summary>
    /// <param name="x">The elements.</param>
    /// <param name="length">How many.</param>
    public static bool IsFinite(float* x, int length)
    {
        // Zero times a finite number is zero; times anything else it is NaN. Four sums, so that none waits for the one before.
        Vector256<float> a = Vector256<float>.Zero, b = a, c = a, d = a;
        int i = 0;
        for (; i + 4 * Lanes <= length; i += 4 * Lanes)
        {
            a += Vector256.Load(x + i) * Vector256<float>.Zero;
            b += Vector256.Load(x + i + Lanes) * Vector256<float>.Zero;
            c += Vector256.Load(x + i + 2 * Lanes) * Vector256<float>.Zero;
            d += Vector256.Load(x + i + 3 * Lanes) * Vector256<float>.Zero;
        }
        float rest = 0;
        for (; i < length; i++) rest += x[i] * 0;
        return VectorMath.Sum(a + b + c + d) + rest == 0;
    }
}

/// <inheritdoc/>
[SkipLocalsInit]
internal sealed unsafe class RowKernels<TSimd, TFloats, TInts, TShorts> : RowKernels
    where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
    where TFloats : struct
    where TInts : struct
    where TShorts : struct
{
    private const int BlockLength = Padding.Unit, SumLanes = 16;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Add(float* sum, float* addend, int length)
    {
        for (int i = 0; i < length; i += TSimd.Lanes) TSimd.Store(TSimd.Add(TSimd.Load(sum + i), TSimd.Load(addend + i)), sum + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Scale(float* x, float factor, int length)
    {
        for (int i = 0; i < length; i += TSimd.Lanes) TSimd.Store(TSimd.Multiply(TSimd.Load(x + i), TSimd.Create(factor)), x + i);
    }

    /// <inheritdoc/>
    /// <remarks>Squares are summed in 16 lanes, whatever the width.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override bool RmsNorm(float* x, float* weight, float* result, int length, float epsilon)
    {
        int padded = Padding.Pad(length);
        TFloats a = default, b = default, c = default, d = default;
        for (int i = 0; i < padded; i += SumLanes)
        {
            a = AddSquare(a, x + i);
            if (TSimd.Lanes < SumLanes) b = AddSquare(b, x + i + TSimd.Lanes);
            if (TSimd.Lanes < SumLanes / 2) (c, d) = (AddSquare(c, x + i + 2 * TSimd.Lanes), AddSquare(d, x + i + 3 * TSimd.Lanes));
        }
        float* lanes = stackalloc float[SumLanes];
        TSimd.Store(a, lanes);
        if (TSimd.Lanes < SumLanes) TSimd.Store(b, lanes + TSimd.Lanes);
        if (TSimd.Lanes < SumLanes / 2)
        {
            TSimd.Store(c, lanes + 2 * TSimd.Lanes);
            TSimd.Store(d, lanes + 3 * TSimd.Lanes);
        }
        float squares = VectorMath.Sum(Vector256.Load(lanes) + Vector256.Load(lanes + SumLanes / 2));
        TFloats scale = TSimd.Create(1 / MathF.Sqrt(squares / length + epsilon));
        for (int i = 0; i < padded; i += TSimd.Lanes) TSimd.Store(TSimd.Multiply(TSimd.Multiply(TSimd.Load(x + i), scale), TSimd.Load(weight + i)), result + i);
        return float.IsFinite(squares);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Gate(GateActivation activation, float* gate, float* up, int stride, float* result, int resultStride, int rows, int length)
    {
        bool isSilu = activation == GateActivation.Silu;
        for (; rows > 0; rows--, gate += stride, up += stride, result += resultStride)
            for (int i = 0; i < length; i += TSimd.Lanes)
            {
                TFloats x = TSimd.Load(gate + i), activated = isSilu ? VectorMath.Silu<TSimd, TFloats, TInts, TShorts>(x) : VectorMath.Gelu<TSimd, TFloats, TInts, TShorts>(x);
                TSimd.Store(TSimd.Multiply(activated, TSimd.Load(up + i)), result + i);
            }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void SoftCap(float* x, float cap, int length)
    {
        TFloats bound = TSimd.Create(cap), inverse = TSimd.Create(1 / cap);
        for (int i = 0; i < length; i += TSimd.Lanes)
            TSimd.Store(TSimd.Multiply(VectorMath.Tanh<TSimd, TFloats, TInts, TShorts>(TSimd.Multiply(TSimd.Load(x + i), inverse)), bound), x + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Quantize(float* x, short* codes, float* scales, int length)
    {
        const float Largest = short.MaxValue;
        for (int block = 0; block < length; block += BlockLength)
        {
            TFloats magnitudes = default;
            for (int i = 0; i < BlockLength; i += TSimd.Lanes) magnitudes = TSimd.LargerMagnitude(magnitudes, TSimd.Magnitudes(TSimd.Load(x + block + i)));
            float largest = TSimd.LargestMagnitude(magnitudes);
            // A scale that is no normal number has no finite inverse; values that small are as good as zero.
            bool isZero = largest / Largest < 1.1754944e-38f;
            TFloats inverse = TSimd.Create(isZero ? 0 : Largest / largest);
            scales[block / BlockLength] = isZero ? 0 : largest / Largest;
            for (int i = 0; i < BlockLength; i += 2 * TSimd.Lanes)
                TSimd.StoreRounded(TSimd.Multiply(TSimd.Load(x + block + i), inverse), TSimd.Multiply(TSimd.Load(x + block + i + TSimd.Lanes), inverse), codes + block + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Rotate(float* head, float* cosines, int width)
    {
        int half = width / 2, i = 0;
        float* upper = head + half, sines = cosines + half;
        for (; i + TSimd.Lanes <= half; i += TSimd.Lanes)
        {
            TFloats a = TSimd.Load(head + i), b = TSimd.Load(upper + i), cos = TSimd.Load(cosines + i), sin = TSimd.Load(sines + i);
            TSimd.Store(TSimd.MultiplySubtract(a, cos, TSimd.Multiply(b, sin)), head + i);
            TSimd.Store(TSimd.MultiplyAdd(a, sin, TSimd.Multiply(b, cos)), upper + i);
        }
        for (; i < half; i++)
        {
            (float a, float b) = (head[i], upper[i]);
            head[i] = MathF.FusedMultiplyAdd(a, cosines[i], -(b * sines[i]));
            upper[i] = MathF.FusedMultiplyAdd(a, sines[i], b * cosines[i]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TFloats AddSquare(TFloats sum, float* x) => TSimd.MultiplyAdd(TSimd.Load(x), TSimd.Load(x), sum);
}
