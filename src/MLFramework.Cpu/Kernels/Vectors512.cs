using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace MLFramework.Cpu;

/// <summary>512-bit vectors of AVX-512 (F and BW).</summary>
internal readonly unsafe struct Vectors512 : ISimdVectors<Vector512<float>, Vector512<int>, Vector512<short>>
{
    public static bool IsSupported => Avx512F.IsSupported && Avx512BW.IsSupported;

    public static int Lanes => Vector512<float>.Count;

    public static int Registers => 32;

    public static Vector512<float> Load(float* source) => Vector512.Load(source);

    public static Vector512<float> LoadHalves(ushort* source) => VectorMath.FromHalf(Avx512F.ConvertToVector512Int32(Vector256.Load((short*)source)));

    public static Vector512<float> LoadBrains(ushort* source) => (Avx512F.ConvertToVector512Int32(Vector256.Load(source)) << 16).AsSingle();

    public static Vector512<float> LoadLowHalves(int* pairs) => ((Vector512.Load(pairs) << 16 >> 3) & Vector512.Create(VectorMath.HalfMask)).AsSingle();

    public static Vector512<float> LoadHighHalves(int* pairs) => ((Vector512.Load(pairs) >> 3) & Vector512.Create(VectorMath.HalfMask)).AsSingle();

    public static Vector512<float> LoadBytes(sbyte* source) => ToFloats(Avx512F.ConvertToVector512Int32(Vector128.Load(source)));

    public static void Store(Vector512<float> values, float* destination) => values.Store(destination);

    public static Vector512<float> Create(float value) => Vector512.Create(value);

    public static float First(Vector512<float> values) => values.ToScalar();

    public static Vector512<float> Add(Vector512<float> a, Vector512<float> b) => a + b;

    public static Vector512<float> Subtract(Vector512<float> a, Vector512<float> b) => a - b;

    public static Vector512<float> Larger(Vector512<float> a, Vector512<float> b) => Avx512F.Max(a, b);

    public static Vector512<float> Smaller(Vector512<float> a, Vector512<float> b) => Avx512F.Min(a, b);

    public static Vector512<float> Magnitudes(Vector512<float> x) => Vector512.Abs(x);

    public static Vector512<float> CopySign(Vector512<float> magnitudes, Vector512<float> signs) => magnitudes | (signs & Vector512.Create(-0f));

    public static Vector512<float> LargerMagnitude(Vector512<float> a, Vector512<float> b) => Vector512.Max(a.AsInt32(), b.AsInt32()).AsSingle();

    public static float LargestMagnitude(Vector512<float> magnitudes) => Vectors256.LargestMagnitude(Vectors256.LargerMagnitude(magnitudes.GetLower(), magnitudes.GetUpper()));

    public static Vector512<float> ScaleByPower(Vector512<float> x, Vector512<float> exponents) => (x.AsInt32() + (exponents.AsInt32() << 23)).AsSingle();

    public static Vector512<float> ZeroIfLess(Vector512<float> x, Vector512<float> bound, Vector512<float> value) => Vector512.AndNot(value, Vector512.LessThan(x, bound));

    public static Vector512<float> Multiply(Vector512<float> a, Vector512<float> b) => a * b;

    public static Vector512<float> Divide(Vector512<float> a, Vector512<float> b) => a / b;

    public static Vector512<float> MultiplyAdd(Vector512<float> a, Vector512<float> b, Vector512<float> c) => Avx512F.FusedMultiplyAdd(a, b, c);

    public static Vector512<float> MultiplySubtract(Vector512<float> a, Vector512<float> b, Vector512<float> c) => Avx512F.FusedMultiplySubtract(a, b, c);

    public static Vector512<float> ToFloats(Vector512<int> values) => Avx512F.ConvertToVector512Single(values);

    public static void StoreRounded(Vector512<float> a, Vector512<float> b, short* destination) => Vector512.Create(Avx512F.ConvertToVector256Int16(Avx512F.ConvertToVector512Int32(a)), Avx512F.ConvertToVector256Int16(Avx512F.ConvertToVector512Int32(b))).Store(destination);

    public static Vector512<short> Widen(sbyte* source) => Avx512BW.ConvertToVector512Int16(Vector256.Load(source));

    public static Vector512<short> CreatePairs(int pair) => Vector512.Create(pair).AsInt16();

    public static Vector512<int> AddPairProducts(Vector512<int> sums, Vector512<short> left, Vector512<short> right) => sums + Avx512BW.MultiplyAddAdjacent(left, right);

    public static Vector512<int> PairProducts(Vector512<short> left, Vector512<short> right) => Avx512BW.MultiplyAddAdjacent(left, right);

    public static Vector512<short> LoadBits(byte* source) => Vector512.Load((short*)source);

    public static void Store(Vector512<short> values, short* destination) => values.Store(destination);

    public static Vector512<short> And(Vector512<short> a, Vector512<short> b) => a & b;

    public static Vector512<short> Or(Vector512<short> a, Vector512<short> b) => a | b;

    public static Vector512<short> ShiftLeft(Vector512<short> bits, int count) => bits << count;

    public static Vector512<short> ShiftRight(Vector512<short> bits, int count) => bits >>> count;

    public static Vector512<short> AddBytePairProducts(Vector512<short> sums, Vector512<short> left, Vector512<short> right) =>
        sums + Avx512BW.MultiplyAddAdjacent(left.AsByte(), right.AsSByte());

    public static void Prefetch(byte* address) => Sse.Prefetch0(address);
}
