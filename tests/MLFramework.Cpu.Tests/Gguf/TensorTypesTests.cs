namespace MLFramework.Cpu.Tests;

public sealed class TensorTypesTests
{
    [TestCase(TensorType.F32, 32.0)]
    [TestCase(TensorType.F16, 16.0)]
    [TestCase(TensorType.BF16, 16.0)]
    [TestCase(TensorType.Q8_0, 8.5)]
    [TestCase(TensorType.Q6_K, 6.5625)]
    [TestCase(TensorType.Q5_0, 5.5)]
    [TestCase(TensorType.Q5_1, 6.0)]
    [TestCase(TensorType.Q5_K, 5.5)]
    [TestCase(TensorType.Q4_0, 4.5)]
    [TestCase(TensorType.Q4_1, 5.0)]
    [TestCase(TensorType.Q4_K, 4.5)]
    public void Bits_per_element_are_those_of_the_format(TensorType type, double bits) => Assert.That(type.Layout().BitsPerElement, Is.EqualTo(bits));

    [Test]
    public void Every_type_has_a_layout_and_no_other_number_is_known()
    {
        Assert.That(TensorTypes.All, Has.Count.EqualTo(11));
        Assert.That(Enumerable.Range(0, 100).Where(number => TensorTypes.IsKnown((uint)number)), Is.EqualTo(new[] { 0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 30 }));
        Assert.That(() => ((TensorType)99).Layout(), Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void Rows_are_whole_blocks()
    {
        Assert.That(TensorType.Q4_K.RowBytes(2048), Is.EqualTo(8 * 144));
        Assert.That(() => TensorType.Q4_K.RowBytes(2040), Throws.ArgumentException);
        Assert.That(() => TensorType.F32.RowBytes(-1), Throws.ArgumentException);
    }
}
