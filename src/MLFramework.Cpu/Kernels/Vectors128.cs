using System.Runtime.Intrinsics;

namespace MLFramework.Cpu;

/// <summary>128-bit vectors of any machine, with its own instructions where <see cref="Vector128"/> knows them.</summary>
internal readonly unsafe struct Vectors128 : ISimdVectors<Vector128<float>, Vector128<int>, Vector128<short>>
{
    public static int Lanes => Vector128<float>.Count;

    public static int Registers => 16;

    public static Vector128<float> Load(float* source) => Vector128.Load(source);

    public static Vector128<float> LoadHalves(ushort* source) => VectorMath.FromHalf(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(long*)source).AsInt16()));

    public static Vector128<float> LoadBrains(ushort* source) => (Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)source).AsUInt16()) << 16).AsSingle();

    public static Vector128<float> LoadLowHalves(int* pairs) => ((Vector128.Load(pairs) << 16 >> 3) & Vector128.Create(VectorMath.HalfMask)).AsSingle();

    public static Vector128<float> LoadHighHalves(int* pairs) => ((Vector128.Load(pairs) >> 3) & Vector128.Create(VectorMath.HalfMask)).AsSingle();

    public static Vector128<float> LoadBytes(sbyte* source) => ToFloats(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(int*)source).AsSByte())));

    public static void Store(Vector128<float> values, float* destination) => values.Store(destination);

    public static Vector128<float> Create(float value) => Vector128.Create(value);

    public static float First(Vector128<float> values) => values.ToScalar();

    public static Vector128<float> Add(Vector128<float> a, Vector128<float> b) => a + b;

    public static Vector128<float> Subtract(Vector128<float> a, Vector128<float> b) => a - b;

    public static Vector128<float> Larger(Vector128<float> a, Vector128<float> b) => Vector128.ConditionalSelect(Vector128.GreaterThan(a, b), a, b);

    public static Vector128<float> Smaller(Vector128<float> a, Vector128<float> b) => Vector128.ConditionalSelect(Vector128.LessThan(a, b), a, b);

    public static Vector128<float> Magnitudes(Vector128<float> x) => Vector128.Abs(x);

    public static Vector128<float> CopySign(Vector128<float> magnitudes, Vector128<float> signs) => magnitudes | (signs & Vector128.Create(-0f));

    public static Vector128<float> LargerMagnitude(Vector128<float> a, Vector128<float> b) => Vector128.Max(a.AsInt32(), b.AsInt32()).AsSingle();

    public static float LargestMagnitude(Vector128<float> magnitudes)
    {
        Vector128<float> two = LargerMagnitude(magnitudes, Vector128.Shuffle(magnitudes, Vector128.Create(2, 3, 0, 1)));
        return LargerMagnitude(two, Vector128.Shuffle(two, Vector128.Create(1, 0, 3, 2))).ToScalar();
    }

    public static Vector128<float> ScaleByPower(Vector128<float> x, Vector128<float> exponents) => (x.AsInt32() + (exponents.AsInt32() << 23)).AsSingle();

    public static Vector128<float> ZeroIfLess(Vector128<float> x, Vector128<float> bound, Vector128<float> value) => Vector128.AndNot(value, Vector128.LessThan(x, bound));

    public static Vector128<float> Multiply(Vector128<float> a, Vector128<float> b) => a * b;

    public static Vector128<float> Divide(Vector128<float> a, Vector128<float> b) => a / b;

    public static Vector128<float> MultiplyAdd(Vector128<float> a, Vector128<float> b, Vector128<float> c) => Vector128.FusedMultiplyAdd(a, b, c);

    public static Vector128<float> MultiplySubtract(Vector128<float> a, Vector128<float> b, Vector128<float> c) => Vector128.FusedMultiplyAdd(a, b, -c);

    public static Vector128<float> ToFloats(Vector128<int> values) => Vector128.ConvertToSingle(values);

    public static void StoreRounded(Vector128<float> a, Vector128<float> b, short* destination) => Vector128.Narrow(VectorMath.ToInt32(a), VectorMath.ToInt32(b)).Store(destination);

    public static Vector128<short> Widen(sbyte* source) => Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(long*)source).AsSByte());

    public static Vector128<short> CreatePairs(int pair) => Vector128.Create(pair).AsInt16();

    public static Vector128<int> AddPairProducts(Vector128<int> sums, Vector128<short> left, Vector128<short> right)
    {
        Vector128<int> a = left.AsInt32(), b = right.AsInt32();
        return sums + (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16);
    }

    public static Vector128<int> PairProducts(Vector128<short> left, Vector128<short> right) => AddPairProducts(Vector128<int>.Zero, left, right);

    public static Vector128<short> LoadBits(byte* source) => Vector128.Load((short*)source);

    public static void Store(Vector128<short> values, short* destination) => values.Store(destination);

    public static Vector128<short> And(Vector128<short> a, Vector128<short> b) => a & b;

    public static Vector128<short> Or(Vector128<short> a, Vector128<short> b) => a | b;

    public static Vector128<short> ShiftLeft(Vector128<short> bits, int count) => bits << count;

    public static Vector128<short> ShiftRight(Vector128<short> bits, int count) => bits >>> count;

    public static Vector128<short> AddBytePairProducts(Vector128<short> sums, Vector128<short> left, Vector128<short> right) =>
        sums + (left & Vector128.Create((short)0xFF)) * (right << 8 >> 8) + (left >>> 8) * (right >> 8);

    /// <summary>There is no portable prefetch; hardware does well without.</summary>
    public static void Prefetch(byte* address)
    {
    }
}
