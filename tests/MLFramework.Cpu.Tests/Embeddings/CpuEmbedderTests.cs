using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cpu.Tests;

public sealed class CpuEmbedderTests
{
    private static readonly CpuEmbedderOptions Exact = new() { Threads = 1, KVType = KVElementType.F32, Normalizes = false };

    [Test]
    public void Hidden_states_are_those_of_a_reference_in_double_precision([ValueSource(typeof(SyntheticModel), nameof(SyntheticModel.Architectures))] string architecture)
    {
        byte[] file = TinyModels.Write(architecture);
        using CpuModel model = TinyModels.Load(file);
        using GgufFile gguf = GgufFile.FromMemory(file);
        using var embedder = new CpuEmbedder(model, Exact with { PassTokens = 7 });
        int[] text = Text(seed: 1, length: 40);

        float[][] states = embedder.HiddenStates(text);

        double[][] expected = new ReferenceModel(gguf).HiddenStates(text);
        Assert.That(states, Has.Length.EqualTo(text.Length));
        for (int i = 0; i < text.Length; i++) Assert.That(RelativeError(states[i], expected[i]), Is.LessThan(5e-6), $"token {i}");
    }

    [TestCase(EmbeddingPooling.Last)]
    [TestCase(EmbeddingPooling.Mean)]
    [TestCase(EmbeddingPooling.First)]
    public void Vectors_pool_the_states_and_have_length_1_if_asked_for(EmbeddingPooling pooling)
    {
        byte[] file = TinyModels.Write();
        using CpuModel model = TinyModels.Load(file);
        using GgufFile gguf = GgufFile.FromMemory(file);
        int[] text = Text(seed: 2, length: 30);
        double[][] states = new ReferenceModel(gguf).HiddenStates(text);
        double[] expected = pooling switch
        {
            EmbeddingPooling.Last => states[^1],
            EmbeddingPooling.First => states[0],
            _ => [.. Enumerable.Range(0, states[0].Length).Select(i => states.Average(state => state[i]))],
        };
        double length = Math.Sqrt(expected.Sum(x => x * x));

        using var plain = new CpuEmbedder(model, Exact with { Pooling = pooling });
        using var unit = new CpuEmbedder(model, Exact with { Pooling = pooling, Normalizes = true });

        Assert.That(RelativeError(plain.EmbedTokens([text])[0], expected), Is.LessThan(5e-6));
        float[] vector = unit.EmbedTokens([text])[0];
        Assert.That(RelativeError(vector, [.. expected.Select(x => x / length)]), Is.LessThan(5e-6));
        Assert.That(Math.Sqrt(vector.Sum(x => (double)x * x)), Is.EqualTo(1).Within(1e-6));
    }

    /// <summary>Texts alone and in any company, in passes of any size, with any number of threads.</summary>
    [Test]
    public void A_vector_is_the_same_bits_in_any_company([Values] EmbeddingPooling pooling)
    {
        using CpuModel model = CpuModel.Load(TestModels.Demo("q8_0"));
        CpuEmbedderOptions options = new() { Threads = 1, Pooling = pooling };
        int[][] texts = [.. Enumerable.Range(0, 90).Select(seed => Text(seed, length: 1 + seed * 37 % 120))];
        float[][] alone = new float[texts.Length][];
        using (var embedder = new CpuEmbedder(model, options))
            for (int i = 0; i < texts.Length; i++) alone[i] = embedder.EmbedTokens([texts[i]])[0];

        foreach ((int threads, int passTokens) in ((int, int)[])[(1, 512), (2, 64), (3, 17), (2, 2048)])
        {
            using var embedder = new CpuEmbedder(model, options with { Threads = threads, PassTokens = passTokens });
            List<float[]> together = embedder.EmbedTokens([.. texts.Select(text => (ReadOnlyMemory<int>)text)]);
            for (int i = 0; i < texts.Length; i++)
                Assert.That(MatrixTests.Bits(together[i]), Is.EqualTo(MatrixTests.Bits(alone[i])), $"text {i} with {threads} threads and passes of {passTokens}");
        }
    }

    [Test]
    public void A_text_as_long_as_the_context_fits_after_others_that_fill_the_pass()
    {
        using CpuModel model = TinyModels.Load(TinyModels.Write());
        using var embedder = new CpuEmbedder(model, Exact with { PassTokens = 3 });
        int[][] texts = [.. Enumerable.Range(0, 200).Select(_ => (int[])[5]), Text(3, embedder.ContextLength), Text(4, embedder.ContextLength)];

        Assert.That(embedder.EmbedTokens([.. texts.Select(text => (ReadOnlyMemory<int>)text)]), Has.Count.EqualTo(202));
    }

    [Test]
    public void Texts_are_encoded_and_alike_texts_are_nearer_than_others()
    {
        using CpuModel model = CpuModel.Load(TestModels.Demo("q8_0"));
        using var embedder = new CpuEmbedder(model, new CpuEmbedderOptions { Threads = 1, Pooling = EmbeddingPooling.Mean });

        List<float[]> vectors = embedder.Embed(["The capital of France is Paris.", "The capital of France is Paris!", "seven plus nine"]);

        Assert.That(embedder.Length, Is.EqualTo(256));
        Assert.That(MatrixTests.Bits(vectors[0]), Is.EqualTo(MatrixTests.Bits(embedder.EmbedTokens([model.Tokenizer.Encode("The capital of France is Paris.")])[0])));
        Assert.That(Cosine(vectors[0], vectors[1]), Is.GreaterThan(Cosine(vectors[0], vectors[2])));
    }

    [TestCase(1, EmbeddingPooling.Mean)]
    [TestCase(2, EmbeddingPooling.First)]
    [TestCase(3, EmbeddingPooling.Last)]
    public void The_file_says_how_to_pool_if_nobody_else_does(int number, EmbeddingPooling pooling)
    {
        using CpuModel model = TinyModels.Load(TinyModels.Write(change: metadata => metadata["llama.pooling_type"] = number));
        using CpuEmbedder silent = new(model, Exact), explicitly = new(model, Exact with { Pooling = pooling });
        int[] text = Text(seed: 5, length: 9);

        Assert.That(silent.EmbedTokens([text])[0], Is.EqualTo(explicitly.EmbedTokens([text])[0]));
    }

    [Test]
    public void What_cannot_be_embedded_is_refused()
    {
        using CpuModel model = TinyModels.Load(TinyModels.Write());
        var embedder = new CpuEmbedder(model, Exact);
        Assert.That(() => embedder.EmbedTokens([Array.Empty<int>()]), Throws.ArgumentException.With.Message.Contains("Text 0 has no tokens"));
        Assert.That(() => embedder.EmbedTokens([new[] { 1 }, Text(1, 65)]), Throws.ArgumentException.With.Message.Contains("Text 1 has 65 tokens").And.Message.Contains("at most 64"));
        Assert.That(() => embedder.EmbedTokens([new[] { TinyModels.VocabularySize }]), Throws.TypeOf<ArgumentOutOfRangeException>().With.Message.Contains("0 to 258"));
        Assert.That(() => embedder.EmbedTokens([new[] { 1 }], new CancellationToken(canceled: true)), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(embedder.EmbedTokens([new[] { 1 }]), Has.Count.EqualTo(1), "Refusals leave it as it was.");
        Assert.That(embedder.EmbedTokens([]), Is.Empty);
        embedder.Dispose();
        embedder.Dispose();
        Assert.That(() => embedder.EmbedTokens([new[] { 1 }]), Throws.TypeOf<ObjectDisposedException>());
        foreach (CpuEmbedderOptions options in (CpuEmbedderOptions[])[new() { Threads = 0 }, new() { PassTokens = 0 }, new() { Pooling = (EmbeddingPooling)9 }, new() { KVType = (KVElementType)99 }])
            Assert.That(() => new CpuEmbedder(model, options), Throws.TypeOf<ArgumentOutOfRangeException>(), $"{options}");
    }

    [Test]
    public void States_that_are_no_numbers_are_an_error()
    {
        byte[] file = TinyModels.Write();
        using (GgufFile original = GgufFile.FromMemory(file))
        {
            GgufTensor embeddings = original.GetTensor("token_embd.weight");
            BitConverter.TryWriteBytes(file.AsSpan((int)embeddings.Offset + 77 * embeddings.RowBytes), float.NaN);
        }
        using CpuModel model = TinyModels.Load(file);
        using var embedder = new CpuEmbedder(model, Exact);
        Assert.That(() => embedder.EmbedTokens([new[] { 5 }, new[] { 5, 77, 6 }]), Throws.TypeOf<ModelOutputException>().With.Message.Contains("text 1"));
        Assert.That(embedder.EmbedTokens([new[] { 5 }]), Has.Count.EqualTo(1));
    }

    private static int[] Text(int seed, int length)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, length).Select(_ => random.Next(3, TinyModels.VocabularySize))];
    }

    private static double RelativeError(float[] actual, double[] expected) =>
        Math.Sqrt(actual.Zip(expected, (a, e) => (a - e) * (a - e)).Sum() / expected.Sum(e => e * e));

    private static double Cosine(float[] a, float[] b) => a.Zip(b, (x, y) => (double)x * y).Sum();
}
