namespace MLFramework.Cpu.Tests;

/// <summary>llama.cpp's own test texts, id for id.</summary>
public sealed class VocabularyLinesTests
{
    [TestCaseSource(typeof(TestVocabularies), nameof(TestVocabularies.Names))]
    public void Every_line_has_the_expected_ids(string name) => AssertLines(TestVocabularies.Load(name));

    [TestCaseSource(typeof(TestVocabularies), nameof(TestVocabularies.Names))]
    public void Every_line_has_the_expected_ids_with_the_whole_vocabulary(string name) => AssertLines(TestVocabularies.LoadWhole(name));

    [TestCaseSource(typeof(TestVocabularies), nameof(TestVocabularies.Names))]
    public void Every_line_is_decoded_to_itself(string name)
    {
        TestVocabulary vocabulary = TestVocabularies.Load(name);

        foreach ((string text, _) in vocabulary.Lines)
            Assert.That(vocabulary.Tokenizer.Decode(vocabulary.Tokenizer.Encode(text)), Is.EqualTo(text));
    }

    [TestCaseSource(typeof(TestVocabularies), nameof(TestVocabularies.Names))]
    [Explicit("Writes the cut-down vocabularies of the repository from the whole ones.")]
    public void Write_cut_down_vocabularies(string name)
    {
        DirectoryInfo folder = new(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "MLFramework.Cpu.Tests.csproj"))) folder = folder.Parent!;

        TestVocabularies.WriteCutDown(name, Path.Combine(folder.FullName, "Tokenization", "vocabularies", $"{name}.gguf"));
    }

    private static void AssertLines(TestVocabulary vocabulary)
    {
        Assert.That(vocabulary.Lines, Has.Count.GreaterThan(40));
        foreach ((string text, int[] ids) in vocabulary.Lines)
            Assert.That(vocabulary.Tokenizer.Encode(text, addSpecial: false, parseSpecial: false), Is.EqualTo(ids), text);
    }
}
