using MLFramework.Cpu;
using MLFramework.Cpu.Tests;

namespace MLFramework.Compare.Tests;

public sealed class GreedyResultTests : IDisposable
{
    private static readonly int[][] s_prompts = [[5, 6, 7]];

    private readonly GgufFile _file = GgufFile.FromMemory(new SyntheticModel("llama").Write());
    private readonly ReferenceModel _exact;

    public GreedyResultTests() => _exact = new ReferenceModel(_file);

    public void Dispose() => _file.Dispose();

    [Test]
    public void Engines_that_agree_differ_nowhere()
    {
        using Scripted own = new(10, 11, 12), peer = new(10, 11, 12);

        var result = GreedyResult.Compare(own, peer, _exact, s_prompts, references: null, count: 3);

        Assert.That((result.Tokens, result.PeerEqualsReference, result.Differences.Count), Is.EqualTo((3, (int?)null, 0)));
        Assert.That(own.Seen, Is.EqualTo(new[] { 5, 6, 7, 10, 11 }));
    }

    [Test]
    public void After_a_difference_both_follow_llama_cpp()
    {
        using Scripted own = new(10, 99, 12), peer = new(10, 11, 12);

        var result = GreedyResult.Compare(own, peer, _exact, s_prompts, references: null, count: 3);

        double[] logits = _exact.Logits([5, 6, 7, 10]);
        Assert.That(result.Differences, Has.Count.EqualTo(1));
        Assert.That(result.Differences[0], Is.EqualTo(new GreedyDifference(0, 1, 99, 11, Scripted.Lead, logits[11] - logits[99])));
        Assert.That(result.Differences[0].IsExplained, Is.EqualTo(logits[99] > logits[11]));
        Assert.That(own.Seen, Is.EqualTo(peer.Seen));
    }

    [Test]
    public void With_a_reference_both_follow_it_and_llama_cpp_is_held_to_it()
    {
        using Scripted own = new(10, 11, 12), peer = new(10, 11, 12);

        var result = GreedyResult.Compare(own, peer, _exact, s_prompts, [[10, 42, 12]], count: 64);

        Assert.That((result.Tokens, result.PeerEqualsReference, result.Differences.Count), Is.EqualTo((3, (int?)2, 0)));
        Assert.That(own.Seen, Is.EqualTo(new[] { 5, 6, 7, 10, 42 }));
    }

    [Test]
    public void References_are_read_from_lists_and_from_objects_with_results()
    {
        using var folder = new TemporaryFolder();
        const string List = """[{"prompt":"a","prompt_ids":[1,2],"greedy_ids":[3]}]""";
        File.WriteAllText(folder["greedy_ref.json"], List);
        File.WriteAllText(folder["greedy_ref_q8_0.json"], $$"""{"model":"m","results":{{List}}}""");

        foreach (string model in (string[])["demo-q8_0.gguf", "demo-f16.gguf"])
        {
            GreedyReferenceFile reference = GreedyReferenceFile.Read(GreedyReferenceFile.FindFor(folder[model])!);
            Assert.That(reference.PromptIds, Is.EqualTo(new[] { new[] { 1, 2 } }));
            Assert.That(reference.GreedyIds, Is.EqualTo(new[] { new[] { 3 } }));
        }
        Assert.That(GreedyReferenceFile.FindFor(folder["demo-q8_0.gguf"]), Does.EndWith("greedy_ref_q8_0.json"));
    }

    [TestCase("nothing")]
    [TestCase("{}")]
    [TestCase("[1]")]
    public void Other_files_are_refused_by_name(string text)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["other.json"], text);

        Assert.That(() => GreedyReferenceFile.Read(folder["other.json"]), Throws.TypeOf<CompareException>().With.Message.Contains("other.json"));
    }

    /// <summary>Chooses tokens by a script.</summary>
    private sealed class Scripted(params int[] script) : ISequence
    {
        public const float Lead = 2;

        private readonly float[] _logits = new float[SyntheticModel.VocabularySize];
        private int _next;

        public List<int> Seen { get; } = [];

        public ReadOnlySpan<float> Append(ReadOnlySpan<int> tokens)
        {
            Seen.AddRange(tokens);
            Array.Clear(_logits);
            _logits[script[_next++]] = Lead;
            return _logits;
        }

        public void Reset() => Seen.Clear();

        public void Dispose()
        {
        }
    }
}
