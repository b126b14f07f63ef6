using System.Globalization;

namespace MLFramework.Cpu.Tests;

/// <summary>
/// Random mixes of requests that join, leave, share prefixes and samples, are cut into chunks, preempted and cancelled, on any number of threads and any
/// instruction set: each is answered with the bits that it gets alone. <c>MLFRAMEWORK_BIT_IDENTITY_SEEDS=100000</c> runs that many seeds,
/// <c>MLFRAMEWORK_BIT_IDENTITY_SEED=n</c> only the one.
/// </summary>
public sealed class BitIdentityTests
{
    private const string SeedVariable = "MLFRAMEWORK_BIT_IDENTITY_SEED", CountVariable = "MLFRAMEWORK_BIT_IDENTITY_SEEDS";
    private const int DefaultCount = 60, MostSeedsToFindOut = 8;

    private static readonly Dictionary<(MixModel Kind, int Kernels), CpuModel> s_models = [];

    [OneTimeTearDown]
    public static void DisposeModels()
    {
        foreach (CpuModel model in s_models.Values) model.Dispose();
        s_models.Clear();
    }

    [Test]
    public void A_request_is_answered_with_the_same_bits_alone_and_in_any_company()
    {
        int? only = ReadVariable(SeedVariable);
        int first = only ?? 0, count = only is null ? ReadVariable(CountVariable) ?? DefaultCount : 1;
        int preemptions = 0, cached = 0, cancelled = 0, copies = 0, shared = 0, mixed = 0, tokens = 0, longest = 0;
        for (int seed = first; seed < first + count; seed++)
        {
            var mix = RequestMix.Draw(seed);
            var run = new MixRun(mix);

            string? difference = run.FindDifference(Model(mix.Model, mix.KernelSet), Model(mix.Model, 0));

            Assert.That(difference, Is.Null, $"{mix}");
            preemptions += run.Preemptions;
            cached += run.CachedTokens;
            cancelled += run.Cancelled;
            copies += run.Copies;
            shared += run.SharedPasses;
            mixed += run.MixedPasses;
            tokens += run.Tokens;
            longest = Math.Max(longest, run.LongestSequence);
        }
        string facts = $"{count} mixes: {tokens} tokens, {shared} shared passes, {mixed} with prompts and answers, {preemptions} preemptions, {cached} cached tokens, {copies} copied blocks, {cancelled} cancelled, {longest} tokens the longest";
        TestContext.Out.WriteLine(facts);
        if (count < DefaultCount) return;
        Assert.That(longest, Is.GreaterThan(ReductionGrid.Default.SpanLength), facts);
        Assert.That(new[] { preemptions, cached / 100, cancelled, copies, mixed / 10 }, Is.All.GreaterThan(count / 6), $"Too tame to show anything: {facts}");
    }

    /// <summary>The property finds what it looks for: sums whose order depends on who else is in the batch, in one matrix of one layer.</summary>
    [TestCase(ReductionOrder.SplitInCrowds)]
    [TestCase(ReductionOrder.BackwardsBehindOthers)]
    public void A_reduction_order_that_depends_on_the_batch_is_found_out(ReductionOrder order) =>
        Assert.That(DifferencesWith(order), Has.One.Contains("has other logits"));

    [Test]
    public void The_same_matrix_with_a_fixed_reduction_order_is_not() => Assert.That(DifferencesWith(ReductionOrder.Fixed), Is.Empty);

    /// <summary>Differences over the first seeds with a model one of whose matrices sums in some order; the first is enough.</summary>
    private static List<string> DifferencesWith(ReductionOrder order)
    {
        using CpuModel model = CpuModel.Load(TestModels.Demo("q8_0"));
        using GgufFile file = GgufFile.Open(TestModels.Demo("q8_0"));
        LayerWeights layer = model.Layers[0];
        model.Layers[0] = layer with { Down = new MatrixGroup(new PlainMatrix(file, "blk.0.ffn_down.weight", order)) };
        layer.Down.Dispose();
        var differences = new List<string>();
        for (int seed = 0; seed < MostSeedsToFindOut && differences.Count == 0; seed++)
        {
            var mix = RequestMix.Draw(seed);
            if (new MixRun(mix).FindDifference(model, model) is { } difference) differences.Add($"seed {seed}: {difference}");
        }
        TestContext.Out.WriteLine($"{order}: {string.Join("; ", differences)}");
        return differences;
    }

    private static CpuModel Model(MixModel kind, int kernels)
    {
        if (!s_models.TryGetValue((kind, kernels), out CpuModel? model)) s_models.Add((kind, kernels), model = kind.Load(KernelSet.Supported[kernels]));
        return model;
    }

    private static int? ReadVariable(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : null;
}
