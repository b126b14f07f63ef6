using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace MLFramework.Cpu;

/// <summary>What is done to single rows of activations. Lengths are padded to 32 with zeros.</summary>
internal static unsafe class RowKernels
{
    private const int Lanes = 8, BlockLength = Padding.Unit;

    /// <summary>Adds a row to another.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Add(float* sum, float* addend, int length)
    {
        for (int i = 0; i < length; i += Lanes) (Vector256.Load(sum + i) + Vector256.Load(addend + i)).Store(sum + i);
    }

    /// <summary>Multiplies a row by a number.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Scale(float* x, float factor, int length)
    {
        for (int i = 0; i < length; i += Lanes) (Vector256.Load(x + i) * Vector256.Create(factor)).Store(x + i);
    }

    /// <summary>Root mean square normalization (Zhang and Sennrich, 2019): x × weight / √(mean of x² + ε).</summary>
    /// <param name="x">The row.</param>
    /// <param name="weight">A weight per element.</param>
    /// <param name="result">Takes the normalized row.</param>
    /// <param name="length">Elements that count.</param>
    /// <param name="epsilon">Keeps a row of zeros finite.</param>
    /// <returns>False if the row holds something that is not a finite number, or is too large to be squared.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static bool RmsNorm(float* x, float* weight, float* result, int length, float epsilon)
    {
        int padded = Padding.Pad(length);
        Vector256<float> even = Vector256<float>.Zero, odd = Vector256<float>.Zero;
        for (int i = 0; i < padded; i += 2 * Lanes)
        {
            Vector256<float> a = Vector256.Load(x + i), b = Vector256.Load(x + i + Lanes);
            even = Vector256.FusedMultiplyAdd(a, a, even);
            odd = Vector256.FusedMultiplyAdd(b, b, odd);
        }
        float squares = VectorMath.Sum(even + odd);
        Vector256<float> scale = Vector256.Create(1 / MathF.Sqrt(squares / length + epsilon));
        for (int i = 0; i < padded; i += Lanes) (Vector256.Load(x + i) * scale * Vector256.Load(weight + i)).Store(result + i);
        return float.IsFinite(squares);
    }

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

    /// <summary>The gated activation of a feed-forward layer (Shazeer, "GLU Variants Improve Transformer", 2020): silu(gate) × up.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void SwiGlu(float* gate, float* up, float* result, int length)
    {
        for (int i = 0; i < length; i += Lanes) (VectorMath.Silu(Vector256.Load(gate + i)) * Vector256.Load(up + i)).Store(result + i);
    }

    /// <summary>The gated activation of the same source with another function: gelu(gate) × up.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void GeGlu(float* gate, float* up, float* result, int length)
    {
        for (int i = 0; i < length; i += Lanes) (VectorMath.Gelu(Vector256.Load(gate + i)) * Vector256.Load(up + i)).Store(result + i);
    }

    /// <summary>Bounds a row: x becomes cap × tanh(x / cap) (Gemma Team, "Gemma 2", 2024).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void SoftCap(float* x, float cap, int length)
    {
        Vector256<float> inverse = Vector256.Create(1 / cap);
        for (int i = 0; i < length; i += Lanes) (VectorMath.Tanh(Vector256.Load(x + i) * inverse) * Vector256.Create(cap)).Store(x + i);
    }

    /// <summary>Quantizes a row to 16 bits: x ≈ code × scale, a scale per 32 elements.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Quantize(float* x, short* codes, float* scales, int length)
    {
        const float Largest = short.MaxValue;
        for (int block = 0; block < length; block += BlockLength)
        {
            Vector256<float> a = Vector256.Load(x + block), b = Vector256.Load(x + block + 8), c = Vector256.Load(x + block + 16), d = Vector256.Load(x + block + 24);
            float largest = VectorMath.Max(Vector256.Max(Vector256.Max(Vector256.Abs(a), Vector256.Abs(b)), Vector256.Max(Vector256.Abs(c), Vector256.Abs(d))));
            // A scale that is no normal number has no finite inverse; values that small are as good as zero.
            bool isZero = largest / Largest < 1.1754944e-38f;
            Vector256<float> inverse = Vector256.Create(isZero ? 0 : Largest / largest);
            scales[block / BlockLength] = isZero ? 0 : largest / Largest;
            Narrow(a * inverse, b * inverse).Store(codes + block);
            Narrow(c * inverse, d * inverse).Store(codes + block + 16);
        }
    }

    /// <summary>Rotates pairs (i, i + width/2) of a head by the angles of its position (Su et al., "RoFormer", 2021).</summary>
    /// <param name="head">The head's elements.</param>
    /// <param name="cosines">width/2 cosines, then as many sines.</param>
    /// <param name="width">Elements that are rotated, an even number.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Rotate(float* head, float* cosines, int width)
    {
        int half = width / 2, i = 0;
        float* upper = head + half, sines = cosines + half;
        for (; i + Lanes <= half; i += Lanes)
        {
            Vector256<float> a = Vector256.Load(head + i), b = Vector256.Load(upper + i), cos = Vector256.Load(cosines + i), sin = Vector256.Load(sines + i);
            Vector256.FusedMultiplyAdd(a, cos, -(b * sin)).Store(head + i);
            Vector256.FusedMultiplyAdd(a, sin, b * cos).Store(upper + i);
        }
        for (; i < half; i++)
        {
            (float a, float b) = (head[i], upper[i]);
            head[i] = MathF.FusedMultiplyAdd(a, cosines[i], -(b * sines[i]));
            upper[i] = MathF.FusedMultiplyAdd(a, sines[i], b * cosines[i]);
        }
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

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<short> Narrow(Vector256<float> a, Vector256<float> b) => Vector256.Narrow(VectorMath.ToInt32(a), VectorMath.ToInt32(b));
}
