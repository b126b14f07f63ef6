using System.Security.Cryptography;
using System.Text;

namespace MLFramework.Cpu.Tests;

public sealed class RandomModelTests
{
    private static readonly VocabularyShape SmallVocabulary = new(
        "gpt2", "smollm", 2000, [.. SpecialToken.Row(300, "<|im_start|>", "<|im_end|>"), .. SpecialToken.Row(1995, "<|endoftext|>")], "<|im_start|>", "<|im_end|>", AddsBos: true) { FirstUnused = 1990 };

    private static readonly VocabularyShape SmallPieces = new(
        "llama", "default", 2000, [new(3, "<unk>", TokenKind.Unknown), .. SpecialToken.Row(1, "<s>", "</s>")], "<s>", "</s>", AddsBos: true) { FirstUnused = 1990 };

    private static readonly ModelShape Small = new("small", "Small", "llama", 3, 128, 288, 4, 2, 32, 256, 10_000, 1e-5f, SmallVocabulary);

    public static IEnumerable<ModelShape> Variants =>
    [
        Small,
        Small with { IsTied = false, Vocabulary = SmallPieces },
        Small with { Stretch = new RotaryStretch(32, 1, 4, 64) },
        Small with { Architecture = "qwen2" },
        Small with { Architecture = "qwen3" },
        Small with { Architecture = "gemma3", SlidingWindow = 16, Vocabulary = SmallPieces with { AddsSpacePrefix = false } },
        Small with { Architecture = "phi3", IsTied = false, Vocabulary = SmallPieces },
    ];

    [Test]
    public void Every_architecture_has_a_shape() =>
        Assert.That(ModelShape.All.Select(shape => shape.Architecture).Distinct(), Is.EquivalentTo(Architecture.All.Select(architecture => architecture.Name)));

    [TestCaseSource(nameof(Variants))]
    public void A_model_of_each_kind_runs_and_its_logits_neither_vanish_nor_explode(ModelShape shape)
    {
        using CpuModel model = CpuModel.Load(GgufFile.FromMemory(Write(shape, TensorType.Q8_0)));
        using var runner = new ModelRunner(model);
        int[] prompt = model.Tokenizer.Encode("some text to read");
        float[] logits = runner.Run((prompt, 0, [0]))[0];

        Assert.That(logits, Is.All.Matches<float>(float.IsFinite));
        Assert.That(Math.Sqrt(logits.Average(logit => logit * (double)logit)), Is.InRange(0.5, 2));
        HyperParameters sizes = model.HyperParameters;
        Assert.That((sizes.Layers, sizes.EmbeddingLength, sizes.FeedForwardLength, sizes.Heads, sizes.KVHeads, sizes.HeadLength), Is.EqualTo((3, 128, 288, 4, 2, 32)));
        Assert.That((sizes.ContextLength, sizes.RotaryBase, sizes.NormEpsilon, sizes.VocabularySize), Is.EqualTo((256, 10_000f, 1e-5f, 2000)));
    }

    [Test]
    public void Every_type_makes_a_model_of_the_same_weights([ValueSource(typeof(TensorTypes), nameof(TensorTypes.All))] TensorType type)
    {
        using GgufFile exact = GgufFile.FromMemory(Write(Small, TensorType.F32)), file = GgufFile.FromMemory(Write(Small, type));
        foreach (GgufTensor tensor in file.Tensors)
        {
            float[] expected = Values(exact, tensor.Name), actual = Values(file, tensor.Name);
            double error = Math.Sqrt(expected.Zip(actual, (a, b) => Math.Pow(a - b, 2)).Sum() / expected.Sum(a => a * (double)a));
            Assert.That(error, Is.LessThan(0.1), tensor.ToString());
        }
    }

    [Test]
    public void The_same_seed_makes_the_same_file_and_another_seed_another()
    {
        byte[] file = Write(Small, TensorType.Q4_0);
        Assert.That(SHA256.HashData(Write(Small, TensorType.Q4_0)), Is.EqualTo(SHA256.HashData(file)));
        Assert.That(SHA256.HashData(Write(Small, TensorType.Q4_0, seed: 2)), Is.Not.EqualTo(SHA256.HashData(file)));
    }

    [Test]
    public void Matrices_that_write_to_the_residual_stream_are_smaller_the_deeper_the_model()
    {
        using GgufFile file = GgufFile.FromMemory(Write(Small, TensorType.F32));
        Assert.That(Deviation(Values(file, "blk.1.ffn_up.weight")), Is.EqualTo(1 / Math.Sqrt(128)).Within(0.001));
        Assert.That(Deviation(Values(file, "blk.1.ffn_down.weight")), Is.EqualTo(1 / Math.Sqrt(288) / Math.Sqrt(6)).Within(0.001));
    }

    [Test]
    public void A_medium_mix_has_its_types_where_they_belong_and_a_pure_model_has_one()
    {
        ModelShape shape = Small with { EmbeddingLength = 256, FeedForwardLength = 512, HeadLength = 64, Layers = 8 };
        using GgufFile mix = GgufFile.FromMemory(Write(shape, TensorType.Q4_K));
        Assert.That(mix.GetTensor("token_embd.weight").Type, Is.EqualTo(TensorType.Q6_K));
        Assert.That(mix.GetTensor("blk.0.ffn_down.weight").Type, Is.EqualTo(TensorType.Q6_K));
        Assert.That(mix.GetTensor("blk.0.attn_v.weight").Type, Is.EqualTo(TensorType.Q6_K));
        Assert.That(mix.GetTensor("blk.0.attn_q.weight").Type, Is.EqualTo(TensorType.Q4_K));
        Assert.That(mix.GetTensor("blk.1.ffn_down.weight").Type, Is.EqualTo(TensorType.Q4_K));

        using GgufFile pure = GgufFile.FromMemory(Write(shape, TensorType.Q4_K, isPure: true));
        Assert.That(pure.Tensors.Where(tensor => tensor.Dimensions.Length == 2).Select(tensor => tensor.Type), Is.All.EqualTo(TensorType.Q4_K));
    }

    [Test]
    public void Sizes_are_known_beforehand_and_progress_ends_at_them()
    {
        var model = new RandomModel(Small, TensorType.Q8_0, 1);
        using var stream = new MemoryStream();
        var reports = new Reports();
        model.Write(stream, reports);

        using GgufFile file = GgufFile.FromMemory(stream.ToArray());
        Assert.That(model.Parameters, Is.EqualTo(file.Tensors.Sum(tensor => tensor.ElementCount)));
        Assert.That(model.DataLength, Is.EqualTo(file.Tensors.Sum(tensor => tensor.ByteLength)));
        Assert.That(reports.Values, Is.Ordered);
        Assert.That(reports.Values[^1], Is.EqualTo(model.DataLength));
    }

    [Test]
    public void Writing_can_be_cancelled() =>
        Assert.That(() => new RandomModel(Small, TensorType.Q8_0, 1).Write(new MemoryStream(), null, new CancellationToken(canceled: true)), Throws.InstanceOf<OperationCanceledException>());

    [TestCaseSource(typeof(ModelShape), nameof(ModelShape.All))]
    public void A_vocabulary_of_real_size_spells_every_text_and_knows_its_marks(ModelShape shape)
    {
        const string Text = "The quick brown fox, naïve — 123 €!\n\tdone 日本";
        var writer = new GgufWriter();
        SyntheticVocabulary.AddTo(writer, shape.Vocabulary);
        using GgufFile file = GgufFile.FromMemory(TestModels.Write(writer));
        Tokenizer tokenizer = Tokenizer.Load(file.Metadata);

        Assert.That(tokenizer.Vocabulary.Count, Is.EqualTo(shape.Vocabulary.Size));
        int[] ids = tokenizer.Encode(Text);
        Assert.That(tokenizer.Decode(ids).TrimStart(), Is.EqualTo(Text));
        Assert.That(ids, Has.Length.LessThan(Encoding.UTF8.GetByteCount(Text)), "Letters merge.");
        Assert.That(tokenizer.Vocabulary.Text(tokenizer.Vocabulary.EosId!.Value), Is.EqualTo(shape.Vocabulary.Eos));
        Assert.That(tokenizer.Vocabulary.EndOfGenerationIds, Does.Contain(tokenizer.Vocabulary.EosId!.Value));
        Assert.That(ids[0] == tokenizer.Vocabulary.BosId, Is.EqualTo(shape.Vocabulary.AddsBos));
    }

    [TestCase(257)]
    [TestCase(1_000_000)]
    public void A_vocabulary_without_room_or_beyond_all_merges_is_refused(int size) =>
        Assert.That(() => Add(SmallVocabulary with { Size = size, FirstUnused = size, Specials = [new(0, "<|im_start|>"), new(1, "<|im_end|>")] }), Throws.ArgumentException);

    [TestCase(2000, "<|im_start|>")]
    [TestCase(300, "<|im_start|>")]
    [TestCase(1, "<|other|>")]
    public void Special_tokens_outside_the_vocabulary_on_each_other_or_missing_are_refused(int id, string bos) =>
        Assert.That(() => Add(SmallVocabulary with { Specials = [new(300, "<|im_end|>"), new(id, bos)], Bos = "<|im_start|>" }), Throws.ArgumentException);

    [Test]
    public void An_architecture_that_this_engine_does_not_run_is_refused() =>
        Assert.That(() => new RandomModel(Small with { Architecture = "rwkv" }, TensorType.F16, 1), Throws.ArgumentException.With.Message.Contains("rwkv"));

    /// <summary>Wavelengths of 2048 and less stay, of 8192 and more are slowed 32 times; at 4096 a third of the way: 1 / (2/3 / 32 + 1/3).</summary>
    [TestCase(2000, 1)]
    [TestCase(2048, 1)]
    [TestCase(4096, 2.8235294)]
    [TestCase(8192, 32)]
    [TestCase(100_000, 32)]
    public void Rotations_are_slowed_as_in_Llama_3_2(double wavelength, double divisor)
    {
        float rotaryBase = (float)Math.Pow(wavelength / (2 * Math.PI), 2);
        float[] divisors = new RotaryStretch(32, 1, 4, 8192).Divisors(4, rotaryBase);
        Assert.That(divisors, Is.EqualTo(new[] { 1, divisor }).Within(1e-4));
    }

    private static void Add(VocabularyShape shape) => SyntheticVocabulary.AddTo(new GgufWriter(), shape);

    private static double Deviation(float[] values) => Math.Sqrt(values.Average(v => v * (double)v));

    private static float[] Values(GgufFile file, string name)
    {
        GgufTensor tensor = file.GetTensor(name);
        var values = new float[tensor.ElementCount];
        for (int row = 0; row < tensor.RowCount; row++) file.Dequantize(tensor, row, values.AsSpan(row * (int)tensor.RowLength, (int)tensor.RowLength));
        return values;
    }

    private static byte[] Write(ModelShape shape, TensorType type, ulong seed = 1, bool isPure = false)
    {
        using var stream = new MemoryStream();
        new RandomModel(shape, type, seed, isPure).Write(stream);
        return stream.ToArray();
    }

    private sealed class Reports : IProgress<long>
    {
        public List<long> Values { get; } = [];

        public void Report(long value) => Values.Add(value);
    }
}
