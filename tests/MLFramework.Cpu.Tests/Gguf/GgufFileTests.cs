namespace MLFramework.Cpu.Tests;

public sealed class GgufFileTests
{
    private readonly string _folder = Directory.CreateTempSubdirectory("gguf").FullName;

    [TearDown]
    public void RemoveFolder() => Directory.Delete(_folder, recursive: true);

    [Test]
    public void What_was_written_is_read_back()
    {
        byte[] bytes = TestModels.Write(new GgufWriter()
            .Add("u8", (byte)200).Add("i8", (sbyte)-100).Add("u16", (ushort)60000).Add("i16", (short)-30000).Add("u32", 4_000_000_000u).Add("i32", -7)
            .Add("u64", ulong.MaxValue).Add("i64", long.MinValue).Add("f32", 1.5f).Add("f64", -2.25).Add("yes", true).Add("text", "grüße 🦙")
            .AddArray("strings", ["a", "", "ß"]).AddArray("ints", [1, -2, 3]).AddArray("floats", [0.5f]).AddArray("flags", [true, false])
            .AddTensor("vector", TensorType.F32, [3], [1f, 2f, 3f])
            .AddTensor("matrix", TensorType.Q8_0, [32, 2], [.. Enumerable.Range(-32, 64).Select(i => (float)i)]));

        using GgufFile file = GgufFile.FromMemory(bytes);

        GgufMetadata metadata = file.Metadata;
        Assert.That(file.Version, Is.EqualTo(3));
        Assert.That(metadata.Select(entry => entry.Value.Content), Is.EqualTo(new object[]
        {
            (byte)200, (sbyte)-100, (ushort)60000, (short)-30000, 4_000_000_000u, -7, ulong.MaxValue, long.MinValue, 1.5f, -2.25, true, "grüße 🦙",
            new[] { "a", "", "ß" }, new[] { 1, -2, 3 }, new[] { 0.5f }, new[] { true, false },
        }));
        Assert.That(file.Tensors.Select(tensor => tensor.ToString()), Is.EqualTo(new[] { "vector F32 [3]", "matrix Q8_0 [32, 2]" }));
        var row = new float[32];
        file.Dequantize(file.GetTensor("matrix"), 1, row);
        Assert.That(row, Is.EqualTo(Enumerable.Range(0, 32).Select(i => (float)i)).Within(0.2f));
        Assert.That(file.GetTensor("matrix").Offset % 32, Is.Zero);
    }

    [Test]
    public void Version_2_is_read_as_version_3_is()
    {
        byte[] bytes = TestModels.Write(new GgufWriter().Add("key", "value"));
        bytes[4] = 2;

        using GgufFile file = GgufFile.FromMemory(bytes);

        Assert.That((file.Version, file.Metadata.GetString("key")), Is.EqualTo((2, "value")));
    }

    [TestCase("f16", TensorType.F16)]
    [TestCase("q8_0", TensorType.Q8_0)]
    [TestCase("q4_0", TensorType.Q4_0)]
    public void The_demo_models_open(string name, TensorType type)
    {
        using GgufFile file = GgufFile.Open(TestModels.Demo(name));

        Assert.That(file.Metadata.GetString("general.architecture"), Is.EqualTo("llama"));
        Assert.That(file.Tensors, Has.Length.EqualTo(38));
        Assert.That(file.GetTensor("blk.0.attn_q.weight").Type, Is.EqualTo(type));
        Assert.That(file.Tensors.Sum(tensor => tensor.ElementCount), Is.EqualTo(2_885_888));
    }

    [Test]
    public void The_quantized_demo_models_are_near_the_16_bit_one()
    {
        using GgufFile exact = GgufFile.Open(TestModels.Demo("f16")), eight = GgufFile.Open(TestModels.Demo("q8_0")),
            four = GgufFile.Open(TestModels.Demo("q4_0"));

        Assert.That(RelativeError(exact, eight), Is.InRange(0.001, 0.01));
        Assert.That(RelativeError(exact, four), Is.InRange(0.02, 0.12));
    }

    [Test]
    public void Rows_outside_a_tensor_are_refused()
    {
        using GgufFile file = GgufFile.Open(TestModels.Demo("q8_0"));
        GgufTensor tensor = file.GetTensor("output_norm.weight");

        Assert.That(() => file.Read(tensor, 1, new byte[tensor.RowBytes]), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => file.Read(tensor, -1, new byte[tensor.RowBytes]), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => file.Read(tensor, long.MaxValue, new byte[tensor.RowBytes]), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => file.Read(tensor, 0, new byte[tensor.RowBytes - 1]), Throws.ArgumentException);
        Assert.That(() => file.Dequantize(tensor, 0, new float[255]), Throws.ArgumentException);
        Assert.That(() => file.Read(tensor, 1, []), Throws.Nothing);
    }

    [Test]
    public void Data_are_refused_once_the_file_is_disposed()
    {
        GgufFile file = GgufFile.Open(TestModels.Demo("q8_0"));
        file.Dispose();
        file.Dispose();

        Assert.That(() => file.Read(file.Tensors[0], 0, new byte[file.Tensors[0].RowBytes]), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    [Platform(Exclude = "Win", Reason = "A file that is open cannot be shortened there.")]
    public void A_file_that_is_shortened_while_it_is_open_is_an_error_and_not_the_end_of_the_process()
    {
        string path = Path.Combine(_folder, "shrinks.gguf");
        File.Copy(TestModels.Demo("q8_0"), path);
        using GgufFile file = GgufFile.Open(path);
        GgufTensor last = file.Tensors.MaxBy(tensor => tensor.Offset)!;
        using (var writer = new FileStream(path, new FileStreamOptions { Mode = FileMode.Open, Access = FileAccess.Write, Share = FileShare.ReadWrite | FileShare.Delete }))
            writer.SetLength(last.Offset + 1);

        Assert.That(() => file.Read(last, 0, new byte[last.RowBytes]), Throws.TypeOf<EndOfStreamException>().With.Message.Contains(path).And.Message.Contains("rename"));
    }

    [Test]
    public void A_header_is_the_same_read_from_a_file_and_from_memory()
    {
        // A string longer than what is read ahead, and values on both sides of it.
        byte[] bytes = TestModels.Write(new GgufWriter().Add("before", 1).Add("long", new string('x', 300_000)).AddArray("many", [.. Enumerable.Range(0, 50_000)]).Add("after", 2)
            .AddTensor("vector", TensorType.F32, [3], [1f, 2f, 3f]));
        string path = Path.Combine(_folder, "long.gguf");
        File.WriteAllBytes(path, bytes);
        using GgufFile memory = GgufFile.FromMemory(bytes), file = GgufFile.Open(path);

        Assert.That(file.Metadata.Select(entry => (entry.Key, entry.Value.Content)), Is.EqualTo(memory.Metadata.Select(entry => (entry.Key, entry.Value.Content))));
        Assert.That(file.Metadata.GetString("long"), Has.Length.EqualTo(300_000));
        Assert.That(file.Tensors.Select(tensor => (tensor.Name, tensor.Offset)), Is.EqualTo(memory.Tensors.Select(tensor => (tensor.Name, tensor.Offset))));
    }

    [Test]
    public void A_missing_tensor_is_named()
    {
        using GgufFile file = GgufFile.Open(TestModels.Demo("q8_0"));

        Assert.That(file.FindTensor("output.weight"), Is.Null);
        Assert.That(() => file.GetTensor("output.weight"), Throws.TypeOf<GgufException>()
            .With.Message.EqualTo($"{TestModels.Demo("q8_0")}: tensor 'output.weight' is missing"));
    }

    [Test]
    public void A_broken_file_can_be_deleted_after_the_error()
    {
        string path = Path.Combine(_folder, "broken.gguf");
        File.WriteAllText(path, "GGUFoops");

        Assert.That(() => GgufFile.Open(path), Throws.TypeOf<GgufException>().With.Property(nameof(GgufException.File)).EqualTo(path));
        File.Delete(path);
        Assert.That(File.Exists(path), Is.False);
    }

    [Test]
    public void An_empty_file_is_cut_off()
    {
        string path = Path.Combine(_folder, "empty.gguf");
        File.WriteAllText(path, "");

        Assert.That(() => GgufFile.Open(path), Throws.TypeOf<GgufException>().With.Property(nameof(GgufException.Field)).EqualTo("header: magic"));
    }

    [Test]
    public void A_split_model_opens_from_any_of_its_files()
    {
        string[] paths = WriteSplit(3);

        foreach (string path in paths)
        {
            using GgufFile file = GgufFile.Open(path);
            Assert.That(file.Tensors.Select(tensor => (tensor.Name, tensor.Shard)), Is.EqualTo(new[] { ("t0", 0), ("t1", 1), ("t2", 2) }));
            var values = new float[2];
            foreach (GgufTensor tensor in file.Tensors)
            {
                file.Dequantize(tensor, 0, values);
                Assert.That(values, Is.All.EqualTo(tensor.Shard));
            }
            Assert.That(file.Metadata.GetInt32("split.no"), Is.Zero, "metadata come from the first file");
            Assert.That(file.Paths, Is.EqualTo(paths));
        }
    }

    [Test]
    public void A_missing_part_is_named()
    {
        string[] paths = WriteSplit(3);
        File.Delete(paths[1]);

        Assert.That(() => GgufFile.Open(paths[0]),
            Throws.TypeOf<GgufException>().With.Message.Contains(paths[1]).And.Message.Contains("all files of a split model must be in one folder"));
    }

    [Test]
    public void A_part_of_another_name_is_refused()
    {
        string path = Path.Combine(_folder, "renamed.gguf");
        File.Copy(WriteSplit(2)[0], path);

        Assert.That(() => GgufFile.Open(path), Throws.TypeOf<GgufException>().With.Property(nameof(GgufException.Field)).EqualTo("split.count"));
    }

    [Test]
    public void Parts_in_the_wrong_order_are_refused()
    {
        string[] paths = WriteSplit(2);
        File.Copy(paths[0], paths[1], overwrite: true);

        Assert.That(() => GgufFile.Open(paths[0]), Throws.TypeOf<GgufException>().With.Property(nameof(GgufException.Field)).EqualTo("split.no"));
    }

    [Test]
    public void Parts_that_repeat_a_tensor_are_refused()
    {
        string[] paths = WriteSplit(2, index => "same");

        Assert.That(() => GgufFile.Open(paths[0]), Throws.TypeOf<GgufException>().With.Property(nameof(GgufException.Field)).EqualTo("tensor 'same'"));
    }

    [Test]
    public void A_wrong_total_of_tensors_is_refused()
    {
        string[] paths = WriteSplit(2, total: 5);

        Assert.That(() => GgufFile.Open(paths[0]), Throws.TypeOf<GgufException>().With.Property(nameof(GgufException.Field)).EqualTo("split.tensors.count"));
    }

    [Test]
    public void One_part_of_several_cannot_be_read_from_memory()
    {
        byte[] bytes = File.ReadAllBytes(WriteSplit(2)[0]);

        Assert.That(() => GgufFile.FromMemory(bytes), Throws.TypeOf<GgufException>().With.Property(nameof(GgufException.Field)).EqualTo("split.count"));
    }

    private string[] WriteSplit(int count, Func<int, string>? name = null, int? total = null)
    {
        string[] paths = [.. Enumerable.Range(1, count).Select(number => Path.Combine(_folder, $"model-{number:D5}-of-{count:D5}.gguf"))];
        for (int i = 0; i < count; i++)
        {
            using FileStream stream = File.Create(paths[i]);
            new GgufWriter().Add("split.no", (ushort)i).Add("split.count", (ushort)count).Add("split.tensors.count", total ?? count)
                .AddTensor(name?.Invoke(i) ?? $"t{i}", TensorType.F32, [2], [i, i]).Write(stream);
        }
        return paths;
    }

    private static double RelativeError(GgufFile exact, GgufFile approximate)
    {
        double error = 0, power = 0;
        foreach (GgufTensor tensor in exact.Tensors)
        {
            float[] a = new float[tensor.ElementCount], b = new float[tensor.ElementCount];
            exact.Dequantize(tensor, 0, a);
            approximate.Dequantize(approximate.GetTensor(tensor.Name), 0, b);
            for (int i = 0; i < a.Length; i++) (error, power) = (error + Math.Pow(a[i] - b[i], 2), power + a[i] * (double)a[i]);
        }
        return Math.Sqrt(error / power);
    }
}
