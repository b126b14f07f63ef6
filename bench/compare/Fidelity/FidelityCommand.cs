using System.CommandLine;
using System.Globalization;
using MLFramework.Cpu;
using MLFramework.Cpu.Tests;

namespace MLFramework.Compare;

/// <summary><c>fidelity</c>: which engine's logits are nearer to the truth.</summary>
internal sealed class FidelityCommand
{
    private const int LastPosition = 1 << 12;

    private readonly PeerOptions _peer = new();
    private readonly Option<string[]> _models = new("--model") { Description = "GGUF files [random models of all families and types].", AllowMultipleArgumentsPerToken = true };
    private readonly Option<string[]> _cases = new("--cases")
    {
        Description = $"Random models [all]: {string.Join(", ", FidelityCase.All.Select(which => which.Name))}.", AllowMultipleArgumentsPerToken = true,
    };
    private readonly Option<TensorType[]> _types = new("--types") { Description = "Of random models [all].", AllowMultipleArgumentsPerToken = true };
    private readonly Option<int[]> _positions = CommonOptions.Numbers("--positions", "Positions after which logits are compared.", LastPosition, [1, 17, 48, 80, 112, 144, 176, 208, 240, 255]);
    private readonly Option<int> _threads = CommonOptions.Threads();
    private readonly Option<int> _seed = CommonOptions.Seed();

    /// <summary>Makes the command.</summary>
    public Command Create()
    {
        var command = new Command("fidelity", "Distance of both engines' logits from a float64 reference of the same weights: relative root mean square over vocabulary and positions.");
        _peer.AddTo(command);
        foreach (Option option in (Option[])[_models, _cases, _types, _positions, _threads, _seed]) command.Add(option);
        _cases.AcceptOnlyFromAmong([.. FidelityCase.All.Select(which => which.Name)]);
        command.SetAction(Run);
        return command;
    }

    private void Run(ParseResult parsed)
    {
        PeerLibrary library = _peer.Load(parsed);
        int[] positions = [.. parsed.GetValue(_positions)!.Order()];
        if (positions.Length == 0) throw new CompareException("--positions needs at least one.");
        int threads = parsed.GetValue(_threads), seed = parsed.GetValue(_seed);
        Console.WriteLine("| model | type | MLFramework | llama.cpp | its error ∕ ours | our worst position | MLFramework, F32 cache | llama.cpp, F32 cache |\n|---|---|---:|---:|---:|---:|---:|---:|");
        int farther = 0;
        void Show(FidelityRow row)
        {
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {row.Model} | {row.Type} | {row.Own.Typical:0.0E+0} | {row.Peer.Typical:0.0E+0} | {row.Peer.Typical / row.Own.Typical:0.00} | {row.Own.Worst:0.0E+0} | {row.OwnSingles.Typical:0.0E+0} | {row.PeerSingles.Typical:0.0E+0} |"));
            if (!(row.Own.Typical <= row.Peer.Typical)) farther++; // also if it is not a number
        }

        if (parsed.GetValue(_models) is { Length: > 0 } models)
        {
            foreach (string path in models) Show(FidelityRow.Measure(path, (Path.GetFileNameWithoutExtension(path), ""), library, positions, threads, seed));
        }
        else
        {
            string[] names = parsed.GetValue(_cases)!;
            TensorType[] types = parsed.GetValue(_types) is { Length: > 0 } chosen ? chosen : Enum.GetValues<TensorType>();
            foreach (FidelityCase which in FidelityCase.All.Where(which => names.Length == 0 || names.Contains(which.Name)))
                foreach (TensorType type in types) Show(MeasureRandom(which, type, library, positions, threads, seed));
        }
        Console.WriteLine($"\nWith its default cache llama.cpp is nearer in {farther} rows.");
    }

    private static FidelityRow MeasureRandom(FidelityCase which, TensorType type, PeerLibrary library, int[] positions, int threads, int seed)
    {
        SyntheticModel model = which.Model with { Type = type, Seed = seed };
        string path = Path.Combine(Path.GetTempPath(), $"compare-{Guid.NewGuid():N}.gguf");
        try
        {
            using (FileStream file = File.Create(path)) model.Write(file);
            return FidelityRow.Measure(path, ($"{which.Name}, random", type.ToString()), library, positions, threads, seed);
        }
        finally
        {
            File.Delete(path);
        }
    }
}
