using System.Runtime.Intrinsics;

namespace MLFramework.Cpu.Tests;

public sealed class SoftmaxTests
{
    [Test]
    public void Powers_of_two_are_within_two_units_in_the_last_place_and_exact_where_rescaling_needs_it()
    {
        for (float x = -124.9f; x < 127; x += 0.01171875f)
        {
            double expected = Math.Pow(2, x);
            Assert.That(Math.Abs(Exp2(x) - expected), Is.LessThanOrEqualTo(2 * (MathF.BitIncrement((float)expected) - (float)expected)), $"2^{x}");
        }
        for (int n = -124; n < 127; n++) Assert.That(Exp2(n), Is.EqualTo(MathF.ScaleB(1, n)), $"2^{n}");
        Assert.That((Exp2(0), Exp2(-0f)), Is.EqualTo((1f, 1f)));
        Assert.That((Exp2(-126), Exp2(float.MinValue), Exp2(float.NegativeInfinity)), Is.EqualTo((0f, 0f, 0f)));
        Assert.That(Exp2(float.NaN), Is.NaN);
    }

    private static float Exp2(float x) => Softmax.Exp2<Vectors128, Vector128<float>, Vector128<int>, Vector128<short>>(Vector128.Create(x)).ToScalar();
}
