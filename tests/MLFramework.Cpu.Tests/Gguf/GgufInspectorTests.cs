namespace MLFramework.Cpu.Tests;

public sealed class GgufInspectorTests
{
    [Test]
    public void The_demo_model_is_described()
    {
        using GgufFile file = GgufFile.Open(TestModels.Demo("q4_0"));

        ModelReport report = GgufInspector.Inspect(file);

        Assert.That((report.Architecture, report.Name, report.Version), Is.EqualTo(("llama", "MLFramework Demo", 3)));
        Assert.That((report.Parameters, report.FileBytes, report.Tensors.Count), Is.EqualTo((2_885_888L, new FileInfo(TestModels.Demo("q4_0")).Length, 38)));
        Assert.That(report.Types.Select(type => (type.Type, type.Tensors)),
            Is.EqualTo(new[] { (TensorType.Q4_0, 28), (TensorType.Q8_0, 1), (TensorType.F32, 9) }));
        Assert.That(report.Types.Sum(type => type.Bytes), Is.EqualTo(report.Memory.WeightBytes));
        // 4 layers × 4 KV heads × 32 dimensions × keys and values × 2 bytes
        Assert.That((report.Memory.KvBytesPerToken, report.Memory.ContextLength, report.Memory.KvBytesPerFullContext),
            Is.EqualTo(((long?)2048, (int?)512, (long?)(2048 * 512))));
    }

    [Test]
    public void The_text_shows_metadata_shapes_types_and_memory()
    {
        using GgufFile file = GgufFile.Open(TestModels.Demo("q8_0"));

        string text = GgufInspector.Inspect(file).ToText();

        Assert.That(text, Does.Contain("GGUF v3, llama, MLFramework Demo: 2,885,888 parameters in 38 tensors, 3.0 MiB"));
        Assert.That(text, Does.Contain("KV cache 2.0 KiB per token in F16").And.Contain("1.0 MiB for one sequence of 512 tokens"));
        Assert.That(text, Does.Contain("llama.block_count").And.Contain("= 4\n"));
        Assert.That(text, Does.Contain("[<|endoftext|>, <|im_start|>, <|im_end|>, Ā, …] (2048 × String)"));
        Assert.That(text, Does.Match(@"token_embd\.weight +Q8_0  \[256, 2048\] 544\.0 KiB\n"));
    }

    [Test]
    public void What_a_file_does_not_say_is_left_out()
    {
        using GgufFile file = GgufFile.FromMemory(TestModels.Write(new GgufWriter()));

        ModelReport report = GgufInspector.Inspect(file);

        Assert.That(report.Memory, Is.EqualTo(new MemoryReport(0, null, null)));
        Assert.That(report.ToText(), Does.Contain("no architecture").And.Not.Contain("KV cache"));
    }

    [Test]
    public void Heads_that_differ_by_layer_are_summed()
    {
        using GgufFile file = GgufFile.FromMemory(TestModels.Write(new GgufWriter().Add("general.architecture", "a").Add("a.block_count", 3)
            .Add("a.attention.head_count", 8)
            .AddArray("a.attention.head_count_kv", [1, 2, 4]).Add("a.attention.key_length", 64).Add("a.attention.value_length", 32)));

        Assert.That(GgufInspector.Inspect(file).Memory.KvBytesPerToken, Is.EqualTo(7 * (64 + 32) * 2));
    }

    [Test]
    public void Control_characters_of_a_file_do_not_reach_the_terminal()
    {
        using GgufFile file = GgufFile.FromMemory(TestModels.Write(new GgufWriter().Add("general.name", "\u001b[2Jboo").Add("key\u0007", "a\nb")));

        string text = GgufInspector.Inspect(file).ToText();

        Assert.That(text.Where(c => char.IsControl(c) && c != '\n'), Is.Empty);
        Assert.That(text, Does.Contain("\\u001b[2Jboo").And.Contain("a\\nb"));
    }
}
