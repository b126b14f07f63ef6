namespace MLFramework.Cpu.Tests;

public sealed class CpuModelLoadTests
{
    private readonly string _folder = Directory.CreateTempSubdirectory("load").FullName;

    [TearDown]
    public void RemoveFolder() => Directory.Delete(_folder, recursive: true);

    [Test]
    public void Progress_ascends_to_the_whole_in_one_call_at_a_time([Values(1, 2, 3)] int threads)
    {
        var reports = new List<LoadProgress>();
        int inside = 0;
        using CpuModel model = Load(CopyOfDemo(), threads, report =>
        {
            Assert.That(Interlocked.Increment(ref inside), Is.EqualTo(1), "Two calls at once.");
            reports.Add(report);
            Interlocked.Decrement(ref inside);
        });

        Assert.That(reports, Has.Count.GreaterThan(10));
        Assert.That(reports.Select(report => report.PackedBytes), Is.Ordered.Ascending);
        Assert.That(reports.Select(report => report.TotalBytes).Distinct(), Is.EqualTo(new[] { model.PackedBytes }));
        Assert.That(reports[^1].PackedBytes, Is.EqualTo(model.PackedBytes));
    }

    [Test]
    public void A_model_outlives_its_file()
    {
        string path = CopyOfDemo();
        int[] expected = Generate(CpuModel.Load(TestModels.Demo("q8_0")));

        CpuModel model = CpuModel.Load(path);
        using (FileStream file = File.Open(path, FileMode.Open, FileAccess.Write, FileShare.None)) file.SetLength(0);
        File.Delete(path);

        Assert.That(Generate(model), Is.EqualTo(expected));
    }

    [TestCase(true)]
    [TestCase(false)]
    public void Embeddings_are_those_of_the_file_whether_or_not_there_is_an_output_matrix_of_its_own(bool isTied)
    {
        foreach (TensorType type in TensorTypes.All.Where(type => type.Layout().Length <= 32))
        {
            byte[] bytes = TinyModels.Write(type: type, isTied: isTied);
            using GgufFile file = GgufFile.FromMemory(bytes);
            using CpuModel model = TinyModels.Load(bytes);
            float[] expected = new float[model.HyperParameters.EmbeddingLength], actual = new float[expected.Length];
            for (int token = 0; token < TinyModels.VocabularySize; token++)
            {
                file.Dequantize(file.GetTensor("token_embd.weight"), token, expected);
                model.Embed(token, actual);
                Assert.That(MatrixTests.Bits(actual), Is.EqualTo(MatrixTests.Bits(expected)), $"{type}, token {token}");
            }
        }
    }

    [Test]
    [Platform(Exclude = "Win", Reason = "A file that is open cannot be shortened there.")]
    public void A_file_that_is_shortened_while_it_is_loaded_is_an_error()
    {
        string path = CopyOfDemo();
        void Shorten(LoadProgress report)
        {
            using var writer = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
            writer.SetLength(100_000);
        }
        Assert.That(() => Load(path, 1, Shorten), Throws.TypeOf<EndOfStreamException>().With.Message.Contains(path));
    }

    [Test]
    public void Loading_can_be_given_up([Values(1, 3)] int threads)
    {
        using var cancellation = new CancellationTokenSource();
        int reports = 0;
        void Cancel(LoadProgress report)
        {
            reports++;
            cancellation.Cancel();
        }
        string path = CopyOfDemo();
        Assert.That(() => Load(path, threads, Cancel, cancellation.Token), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(reports, Is.InRange(1, threads), "It went on.");
        Assert.That(() => File.Open(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None).Dispose(), Throws.Nothing, "The file is still open.");
    }

    [Test]
    public void A_model_that_does_not_fit_is_refused_before_memory_is_taken()
    {
        string path = CopyOfDemo();
        long bytes = 0;
        Load(path, 1, report => bytes = report.TotalBytes).Dispose();
        bool isLoading = false;

        Assert.That(() => CpuModel.Load(GgufFile.Open(path), KernelSet.Best, contextLength: null, new HostMachine(null, 1, bytes - 1), new Recorder(_ => isLoading = true)),
            Throws.TypeOf<InsufficientMemoryException>().With.Message.Contains("GiB are available"));
        Assert.That(isLoading, Is.False);
        Assert.That(() => CpuModel.Load(GgufFile.Open(path), KernelSet.Best, contextLength: null, new HostMachine(null, 1, bytes)).Dispose(), Throws.Nothing);
    }

    private static CpuModel Load(string path, int threads, Action<LoadProgress> report, CancellationToken cancellationToken = default) =>
        CpuModel.Load(GgufFile.Open(path), KernelSet.Best, contextLength: null, new HostMachine(null, threads, long.MaxValue), new Recorder(report), cancellationToken);

    private static int[] Generate(CpuModel model)
    {
        using (model)
        {
            using var runner = new ModelRunner(model);
            return runner.Generate([473, 551, 260, 469], 8);
        }
    }

    private string CopyOfDemo()
    {
        string path = Path.Combine(_folder, "demo.gguf");
        File.Copy(TestModels.Demo("q8_0"), path, overwrite: true);
        return path;
    }

    private sealed class Recorder(Action<LoadProgress> report) : IProgress<LoadProgress>
    {
        public void Report(LoadProgress value) => report(value);
    }
}
