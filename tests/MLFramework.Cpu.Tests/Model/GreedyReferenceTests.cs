namespace MLFramework.Cpu.Tests;

/// <summary>Greedy continuations are those of llama.cpp, id for id.</summary>
public sealed class GreedyReferenceTests
{
    [Test]
    public void The_demo_model_in_halves_continues_as_llama_cpp_does() => AssertAll(TestModels.Demo("f16"), TestModels.GreedyReferences());

    [Test]
    public void The_demo_model_in_bytes_answers_as_the_one_in_halves([Values] KVElementType type)
    {
        using CpuModel model = CpuModel.Load(TestModels.Demo("q8_0"));
        using var runner = new ModelRunner(model, type: type);
        GreedyReference reference = TestModels.GreedyReferences().Single(r => r.Prompt == "The capital of France is");

        int[] ids = runner.Generate(reference.PromptIds, 12);

        Assert.That(ids, Is.EqualTo(reference.GreedyIds[..12]));
        Assert.That(model.Tokenizer.Decode(ids), Does.StartWith(" Paris."));
    }

    [TestCase("stories260K", "stories260K-f32.gguf")]
    [TestCase("babyllama", "babyllama105-f32.gguf")]
    public void Shared_models_continue_as_llama_cpp_does(string folder, string file)
    {
        (string path, GreedyReference[] references) = SharedModels.Find(folder, file);
        AssertAll(path, references);
    }

    private static void AssertAll(string path, GreedyReference[] references)
    {
        Assert.That(references, Is.Not.Empty);
        using CpuModel model = CpuModel.Load(path);
        using var runner = new ModelRunner(model);
        foreach (GreedyReference reference in references)
            Assert.That(runner.Generate(reference.PromptIds, reference.GreedyIds.Length), Is.EqualTo(reference.GreedyIds), reference.Prompt);
    }
}
