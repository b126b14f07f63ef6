using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace MLFramework.Cpu;

/// <summary>256-bit vectors of AVX2 with fused multiply-add.</summary>
internal readonly unsafe struct Vectors256 : ISimdVectors<Vector256<float>, Vector256<int>, Vector256<short>>
{
    public static bool IsSupported => Avx2.IsSupported && Fma.IsSupported;

    public static int Lanes => Vector256<float>.Count;

    public static int Registers => 16;

    public static Vector256<float> Load(float* source) => Vector256.Load(source);

    public static Vector256<float> LoadHalves(ushort* source) => VectorMath.FromHalf(Avx2.ConvertToVector256Int32((short*)source));

    public static Vector256<float> LoadBrains(ushort* source) => (Avx2.ConvertToVector256Int32(source) << 16).AsSingle();

    public static Vector256<float> LoadLowHalves(int* pairs) => ((Vector256.Load(pairs) << 16 >> 3) & Vector256.Create(VectorMath.HalfMask)).AsSingle();

    public static Vector256<float> LoadHighHalves(int* pairs) => ((Vector256.Load(pairs) >> 3) & Vector256.Create(VectorMath.HalfMask)).AsSingle();

    public static Vector256<float> LoadBytes(sbyte* source) => ToFloats(Avx2.ConvertToVector256Int32(source));

    public static void Store(Vector256<float> values, float* destination) => values.Store(destination);

    public static Vector256<float> Create(float value) => Vector256.Create(value);

    public static float First(Vector256<float> values) => values.ToScalar();

    public static Vector256<float> Add(Vector256<float> a, Vector256<float> b) => a + b;

    public static Vector256<float> Subtract(Vector256<float> a, Vector256<float> b) => a - b;

    public static Vector256<float> Larger(Vector256<float> a, Vector256<float> b) => Avx.Max(a, b);

    public static Vector256<float> Smaller(Vector256<float> a, Vector256<float> b) => Avx.Min(a, b);

    public static Vector256<float> Magnitudes(Vector256<float> x) => Vector256.Abs(x);

    public static Vector256<float> CopySign(Vector256<float> magnitudes, Vector256<float> signs) => magnitudes | (signs & Vector256.Create(-0f));

    public static Vector256<float> LargerMagnitude(Vector256<float> a, Vector256<float> b) => Vector256.Max(a.AsInt32(), b.AsInt32()).AsSingle();

    public static float LargestMagnitude(Vector256<float> magnitudes) => Vectors128.LargestMagnitude(Vectors128.LargerMagnitude(magnitudes.GetLower(), magnitudes.GetUpper()));

    public static Vector256<float> ScaleByPower(Vector256<float> x, Vector256<float> exponents) => (x.AsInt32() + (exponents.AsInt32() << 23)).AsSingle();

    public static Vector256<float> ZeroIfLess(Vector256<float> x, Vector256<float> bound, Vector256<float> value) => Vector256.AndNot(value, Vector256.LessThan(x, bound));

    public static Vector256<float> Multiply(Vector256<float> a, Vector256<float> b) => a * b;

    public static Vector256<float> Divide(Vector256<float> a, Vector256<float> b) => a / b;

    public static Vector256<float> MultiplyAdd(Vector256<float> a, Vector256<float> b, Vector256<float> c) => Fma.MultiplyAdd(a, b, c);

    public static Vector256<float> MultiplySubtract(Vector256<float> a, Vector256<float> b, Vector256<float> c) => Fma.MultiplySubtract(a, b, c);

    public static Vector256<float> ToFloats(Vector256<int> values) => Avx.ConvertToVector256Single(values);

    public static void StoreRounded(Vector256<float> a, Vector256<float> b, short* destination) => Avx2.Permute4x64(Avx2.PackSignedSaturate(Avx.ConvertToVector256Int32(a), Avx.ConvertToVector256Int32(b)).AsInt64(), 0b11_01_10_00).AsInt16().Store(destination);

    public static Vector256<short> Widen(sbyte* source) => Avx2.ConvertToVector256Int16(source);

    public static Vector256<short> CreatePairs(int pair) => Vector256.Create(pair).AsInt16();

    public static Vector256<int> AddPairProducts(Vector256<int> sums, Vector256<short> left, Vector256<short> right) => sums + Avx2.MultiplyAddAdjacent(left, right);

    public static Vector256<int> PairProducts(Vector256<short> left, Vector256<short> right) => Avx2.MultiplyAddAdjacent(left, right);

    public static Vector256<short> LoadBits(byte* source) => Vector256.Load((short*)source);

    public static void Store(Vector256<short> values, short* destination) => values.Store(destination);

    public static Vector256<short> And(Vector256<short> a, Vector256<short> b) => a & b;

    public static Vector256<short> Or(Vector256<short> a, Vector256<short> b) => a | b;

    public static Vector256<short> ShiftLeft(Vector256<short> bits, int count) => bits << count;

    public static Vector256<short> ShiftRight(Vector256<short> bits, int count) => bits >>> count;

    public static Vector256<short> AddBytePairProducts(Vector256<short> sums, Vector256<short> left, Vector256<short> right) =>
        sums + Avx2.MultiplyAddAdjacent(left.AsByte(), right.AsSByte());

    public static void Prefetch(byte* address) => Sse.Prefetch0(address);
}
