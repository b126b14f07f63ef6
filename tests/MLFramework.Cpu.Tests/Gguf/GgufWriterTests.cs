namespace MLFramework.Cpu.Tests;

public sealed class GgufWriterTests
{
    [TestCase("f16")]
    [TestCase("q8_0")]
    [TestCase("q4_0")]
    public void A_model_that_is_read_and_written_again_is_the_same_file(string type)
    {
        byte[] original = File.ReadAllBytes(TestModels.Demo(type));
        using GgufFile file = GgufFile.FromMemory(original);
        var writer = new GgufWriter();
        foreach ((string key, GgufValue value) in file.Metadata) writer.Add(key, value);
        foreach (GgufTensor tensor in file.Tensors)
        {
            var data = new byte[tensor.ByteLength];
            file.Read(tensor, 0, data);
            writer.AddTensor(tensor.Name, tensor.Type, tensor.Dimensions.AsSpan(), data);
        }

        Assert.That(TestModels.Write(writer).AsSpan().SequenceEqual(original), Is.True);
    }

    [Test]
    public void Keys_and_names_are_unique_and_not_empty()
    {
        GgufWriter writer = new GgufWriter().Add("key", 1).AddTensor("t", TensorType.F32, [1], [1f]);

        Assert.That(() => writer.Add("key", 2), Throws.ArgumentException);
        Assert.That(() => writer.Add("", 2), Throws.ArgumentException);
        Assert.That(() => writer.AddTensor("t", TensorType.F32, [1], [1f]), Throws.ArgumentException);
        Assert.That(() => writer.AddTensor("", TensorType.F32, [1], [1f]), Throws.ArgumentException);
        Assert.That(() => writer.AddTensor(new string('ü', 33), TensorType.F32, [1], [1f]), Throws.ArgumentException);
    }

    [Test]
    public void Values_without_a_type_in_GGUF_are_refused() => Assert.That(() => new GgufWriter().Add("key", 1m), Throws.ArgumentException);

    [Test]
    public void Dimensions_that_make_no_tensor_are_refused()
    {
        Assert.That(() => new GgufWriter().AddTensor("t", TensorType.F32, [], Array.Empty<byte>()), Throws.ArgumentException);
        Assert.That(() => new GgufWriter().AddTensor("t", TensorType.F32, [1, 1, 1, 1, 1], new byte[4]), Throws.ArgumentException);
        Assert.That(() => new GgufWriter().AddTensor("t", TensorType.F32, [0], Array.Empty<byte>()), Throws.InstanceOf<ArgumentException>());
        Assert.That(() => new GgufWriter().AddTensor("t", TensorType.Q8_0, [31], new byte[34]), Throws.ArgumentException);
    }

    [Test]
    public void Data_of_the_wrong_length_are_refused()
    {
        Assert.That(() => new GgufWriter().AddTensor("t", TensorType.F32, [2], new byte[4]), Throws.ArgumentException);
        Assert.That(() => new GgufWriter().AddTensor("t", TensorType.F32, [2], [1f]), Throws.ArgumentException);
        GgufWriter writer = new GgufWriter().AddTensor("t", TensorType.F32, [2], stream => stream.WriteByte(0));
        Assert.That(() => TestModels.Write(writer), Throws.InvalidOperationException.With.Message.Contains("8 bytes, but 1 were written"));
    }

    [Test]
    public void Another_alignment_is_refused()
    {
        Assert.That(() => new GgufWriter().Add("general.alignment", 64u), Throws.ArgumentException);
        Assert.That(() => new GgufWriter().Add("general.alignment", 32u), Throws.Nothing);
    }
}
