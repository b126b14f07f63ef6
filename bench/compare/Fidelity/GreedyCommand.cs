using System.CommandLine;
using System.Globalization;
using MLFramework.Cpu;
using MLFramework.Cpu.Tests;

namespace MLFramework.Compare;

/// <summary><c>greedy</c>: whether both engines choose the same tokens.</summary>
internal sealed class GreedyCommand
{
    private const int RandomPrompts = 4, RandomPromptLength = 16;

    private readonly PeerOptions _peer = new();
    private readonly Option<string[]> _models = new("--model") { Description = "GGUF files; prompts come from a greedy_ref.json beside them, else they are random.", Required = true, AllowMultipleArgumentsPerToken = true };
    private readonly Option<int> _tokens = CommonOptions.AtLeastOne("--tokens", "Tokens after each prompt without a reference.", 64);
    private readonly Option<int> _threads = CommonOptions.Threads();
    private readonly Option<int> _seed = CommonOptions.Seed();

    /// <summary>Makes the command.</summary>
    public Command Create()
    {
        var command = new Command("greedy", "Greedy tokens of both engines, position by position after the same tokens.");
        _peer.AddTo(command);
        foreach (Option option in (Option[])[_models, _tokens, _threads, _seed]) command.Add(option);
        command.SetAction(Run);
        return command;
    }

    private void Run(ParseResult parsed)
    {
        PeerLibrary library = _peer.Load(parsed);
        foreach (string path in parsed.GetValue(_models)!) Compare(path, library, parsed.GetValue(_tokens), parsed.GetValue(_threads), parsed.GetValue(_seed));
    }

    private static void Compare(string path, PeerLibrary library, int count, int threads, int seed)
    {
        using CpuModel own = CpuModel.Load(path);
        using var peer = new PeerModel(library, path);
        using GgufFile file = GgufFile.Open(path);
        GreedyReferenceFile? reference = GreedyReferenceFile.FindFor(path) is { } found ? GreedyReferenceFile.Read(found) : null;
        var random = new Random(seed);
        int[][] prompts = reference?.PromptIds
            ?? [.. Enumerable.Range(0, RandomPrompts).Select(_ => Enumerable.Range(0, RandomPromptLength).Select(_ => random.Next(own.HyperParameters.VocabularySize)).ToArray())];
        int length = prompts.Select((prompt, i) => prompt.Length + (reference?.GreedyIds[i].Length ?? count)).Max();
        using var ownSequence = new OwnSequence(own, length, threads, KVElementType.F16);
        using var peerSequence = new PeerSequence(peer, length, threads, flashAttention: false);
        var result = GreedyResult.Compare(ownSequence, peerSequence, new ReferenceModel(file), prompts, reference?.GreedyIds, count);

        string known = result.PeerEqualsReference is { } equal ? $", {equal} of which llama.cpp chooses here as in its reference" : "";
        Console.WriteLine($"{path}: {prompts.Length} prompts, {result.Tokens} tokens{known}; we choose another in {result.Differences.Count}, of which double precision sides with us in {result.Differences.Count(d => d.IsExplained)}");
        foreach (GreedyDifference difference in result.Differences)
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"  prompt {difference.Prompt}, token {difference.Position}: ours {difference.Own}, llama.cpp's {difference.Peer}, nearer to it by {difference.PeerGap:0.0000} in its own logits and {difference.ExactGap:0.0000} in exact ones"));
    }
}
