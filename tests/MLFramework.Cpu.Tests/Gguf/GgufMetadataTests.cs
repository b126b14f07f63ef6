namespace MLFramework.Cpu.Tests;

public sealed class GgufMetadataTests
{
    private readonly GgufMetadata _metadata = GgufFile.FromMemory(TestModels.Write(new GgufWriter()
        .Add("u8", (byte)7).Add("i64", -5L).Add("u64", ulong.MaxValue).Add("f32", 0.5f).Add("f64", 0.25).Add("nan", float.NaN).Add("text", "x")
            .Add("flag", true)
        .AddArray("u32s", [1u, 2u]).AddArray("wide", [1L << 40]).AddArray("strings", ["a"]).AddArray("floats", [1f]))).Metadata;

    [Test]
    public void Integers_and_floats_of_every_width_are_accepted()
    {
        Assert.That((_metadata.GetInt32("u8"), _metadata.GetInt32("i64")), Is.EqualTo((7, -5)));
        Assert.That((_metadata.GetSingle("f32"), _metadata.GetSingle("f64")), Is.EqualTo((0.5f, 0.25f)));
        Assert.That(_metadata.FindInt32s("u32s"), Is.EqualTo(new[] { 1, 2 }));
    }

    [Test]
    public void Find_returns_null_for_a_missing_key()
    {
        Assert.That((_metadata.FindString("-"), _metadata.FindInt32("-"), _metadata.FindSingle("-"), _metadata.FindBoolean("-")),
            Is.EqualTo(((string?)null, (int?)null, (float?)null, (bool?)null)));
        Assert.That((_metadata.FindStrings("-"), _metadata.FindInt32s("-"), _metadata.FindSingles("-"), _metadata.Contains("-")),
            Is.EqualTo(((string[]?)null, (int[]?)null, (float[]?)null, false)));
    }

    [Test]
    public void Get_refuses_a_missing_key()
    {
        AssertRefused(() => _metadata.GetString("-"), "-", "is missing");
        AssertRefused(() => _metadata.GetInt32("-"), "-", "is missing");
        AssertRefused(() => _metadata.GetSingle("-"), "-", "is missing");
    }

    [Test]
    public void A_value_of_another_kind_is_refused()
    {
        AssertRefused(() => _metadata.GetString("u8"), "u8", "is UInt8, not a string");
        AssertRefused(() => _metadata.GetInt32("text"), "text", "is String, not an integer");
        AssertRefused(() => _metadata.GetInt32("u32s"), "u32s", "is an array of UInt32, not an integer");
        AssertRefused(() => _metadata.GetSingle("u8"), "u8", "not a float");
        AssertRefused(() => _metadata.FindBoolean("u8"), "u8", "not a boolean");
        AssertRefused(() => _metadata.FindStrings("floats"), "floats", "is an array of Float32, not an array of strings");
        AssertRefused(() => _metadata.FindSingles("strings"), "strings", "not an array of 32-bit floats");
        AssertRefused(() => _metadata.FindInt32s("floats"), "floats", "not an array of integers");
        AssertRefused(() => _metadata.FindInt32s("strings"), "strings", "not an array of integers");
        AssertRefused(() => _metadata.FindInt32s("u8"), "u8", "not an array of integers");
    }

    [Test]
    public void A_number_outside_its_range_is_refused()
    {
        AssertRefused(() => _metadata.GetInt32("u64"), "u64", "is 18446744073709551615, outside");
        AssertRefused(() => _metadata.GetInt32("i64", 0, 10), "i64", "is -5, outside 0 to 10");
        AssertRefused(() => _metadata.FindInt32s("wide"), "wide", "does not fit 32 bits");
        AssertRefused(() => _metadata.GetSingle("nan"), "nan", "not a finite number");
    }

    private static void AssertRefused(Func<object?> read, string field, string problem) => Assert.That(read, Throws.TypeOf<GgufException>()
        .With.Property(nameof(GgufException.Field)).EqualTo(field).And.Property(nameof(GgufException.Problem)).Contains(problem));
}
