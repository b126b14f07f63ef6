namespace MLFramework.Cpu;

/// <summary>
/// The vectors of one instruction set, of whatever width: matrix kernels are written once against this. A lane computes the same bits at every width,
/// because no operation mixes lanes.
/// </summary>
/// <typeparam name="TFloats">A vector of floats.</typeparam>
/// <typeparam name="TInts">As many 32-bit integers.</typeparam>
/// <typeparam name="TShorts">Twice as many 16-bit integers.</typeparam>
internal unsafe interface ISimdVectors<TFloats, TInts, TShorts>
    where TFloats : struct
    where TInts : struct
    where TShorts : struct
{
    /// <summary>Floats of a vector.</summary>
    static abstract int Lanes { get; }

    /// <summary>Vectors that fit the registers; kernels choose their tiles by it.</summary>
    static abstract int Registers { get; }

    /// <summary>Reads floats.</summary>
    static abstract TFloats Load(float* source);

    /// <summary>Reads finite IEEE halves as floats.</summary>
    static abstract TFloats LoadHalves(ushort* source);

    /// <summary>Reads brain floats as floats.</summary>
    static abstract TFloats LoadBrains(ushort* source);

    /// <summary>Reads the first of each pair of finite IEEE halves as floats that are too small by a factor of 2^112.</summary>
    static abstract TFloats LoadLowHalves(int* pairs);

    /// <summary>Reads the second of each pair of finite IEEE halves as floats that are too small by a factor of 2^112.</summary>
    static abstract TFloats LoadHighHalves(int* pairs);

    /// <summary>Reads signed bytes as floats.</summary>
    static abstract TFloats LoadBytes(sbyte* source);

    /// <summary>Writes floats.</summary>
    static abstract void Store(TFloats values, float* destination);

    /// <summary>The same float in every lane.</summary>
    static abstract TFloats Create(float value);

    /// <summary>The first lane.</summary>
    static abstract float First(TFloats values);

    /// <summary>a + b, rounded.</summary>
    static abstract TFloats Add(TFloats a, TFloats b);

    /// <summary>a − b, rounded.</summary>
    static abstract TFloats Subtract(TFloats a, TFloats b);

    /// <summary>a where it is greater than b, else b, also where either is no number.</summary>
    static abstract TFloats Larger(TFloats a, TFloats b);

    /// <summary>a where it is less than b, else b, also where either is no number.</summary>
    static abstract TFloats Smaller(TFloats a, TFloats b);

    /// <summary>Without their signs.</summary>
    static abstract TFloats Magnitudes(TFloats x);

    /// <summary>Magnitudes with the signs of others.</summary>
    static abstract TFloats CopySign(TFloats magnitudes, TFloats signs);

    /// <summary>The larger of magnitudes; what is no number counts as larger than all that is.</summary>
    static abstract TFloats LargerMagnitude(TFloats a, TFloats b);

    /// <summary>The largest of all lanes of magnitudes, as <see cref="LargerMagnitude"/> sees it.</summary>
    static abstract float LargestMagnitude(TFloats magnitudes);

    /// <summary>x × 2^n for normal results, where the lowest 9 bits of <paramref name="exponents"/> are n.</summary>
    static abstract TFloats ScaleByPower(TFloats x, TFloats exponents);

    /// <summary>Zero where x is less than a bound, else the value.</summary>
    static abstract TFloats ZeroIfLess(TFloats x, TFloats bound, TFloats value);

    /// <summary>a × b, rounded.</summary>
    static abstract TFloats Multiply(TFloats a, TFloats b);

    /// <summary>a / b, rounded.</summary>
    static abstract TFloats Divide(TFloats a, TFloats b);

    /// <summary>a × b + c, rounded once.</summary>
    static abstract TFloats MultiplyAdd(TFloats a, TFloats b, TFloats c);

    /// <summary>a × b − c, rounded once.</summary>
    static abstract TFloats MultiplySubtract(TFloats a, TFloats b, TFloats c);

    /// <summary>Integers as floats, rounded to nearest even.</summary>
    static abstract TFloats ToFloats(TInts values);

    /// <summary>Rounds floats between −32768 and 32767 to nearest even and writes them as 16-bit integers, those of a first.</summary>
    static abstract void StoreRounded(TFloats a, TFloats b, short* destination);

    /// <summary>Reads signed bytes as 16-bit integers.</summary>
    static abstract TShorts Widen(sbyte* source);

    /// <summary>The same pair of 16-bit integers in every lane.</summary>
    static abstract TShorts CreatePairs(int pair);

    /// <summary>Multiplies element by element and adds the two products of each lane to its sum.</summary>
    static abstract TInts AddPairProducts(TInts sums, TShorts left, TShorts right);

    /// <summary>Multiplies element by element and adds the two products of each lane.</summary>
    static abstract TInts PairProducts(TShorts left, TShorts right);

    /// <summary>Reads bytes, two to a 16-bit integer.</summary>
    static abstract TShorts LoadBits(byte* source);

    /// <summary>Writes 16-bit integers.</summary>
    static abstract void Store(TShorts values, short* destination);

    static abstract TShorts And(TShorts a, TShorts b);

    static abstract TShorts Or(TShorts a, TShorts b);

    /// <summary>Shifts 16-bit integers to the left.</summary>
    static abstract TShorts ShiftLeft(TShorts bits, int count);

    /// <summary>Shifts 16-bit integers to the right; zeros come in.</summary>
    static abstract TShorts ShiftRight(TShorts bits, int count);

    /// <summary>Takes 16-bit integers for two bytes each, multiplies byte by byte and adds the two products to each sum, which may wrap.</summary>
    /// <param name="sums">The sums.</param>
    /// <param name="left">Unsigned bytes.</param>
    /// <param name="right">Signed bytes. What an instruction set does when two products do not fit 16 bits differs.</param>
    static abstract TShorts AddBytePairProducts(TShorts sums, TShorts left, TShorts right);

    /// <summary>Asks for a cache line that will soon be read; any address will do.</summary>
    static abstract void Prefetch(byte* address);
}
