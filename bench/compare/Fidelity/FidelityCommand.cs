using System.CommandLine;
using MLFramework.Cpu;

namespace MLFramework.Compare;

/// <summary>Measures how far both engines are from double precision, on random models of every family and type.</summary>
internal sealed class FidelityCommand
{
    private readonly PeerOptions _peer = new();
    private readonly Option<string[]> _cases = new("--case") { Description = $"Models [all]: {string.Join("; ", FidelityCase.All.Select(which => which.Name))}.", AllowMultipleArgumentsPerToken = true };
    private readonly Option<TensorType[]> _types = new("--type") { Description = "Types of matrices [all].", AllowMultipleArgumentsPerToken = true };
    private readonly Option<KVElementType> _cache = new("--kv") { Description = "How both engines keep keys and values.", DefaultValueFactory = _ => KVElementType.F16 };
    private readonly Option<int> _threads = new("--threads") { Description = "Threads of each engine.", DefaultValueFactory = _ => Environment.ProcessorCount };
    private readonly Option<int> _seed = new("--seed") { Description = "Of weights and tokens.", DefaultValueFactory = _ => 1 };
    private readonly Option<bool> _alone = new("--alone") { Description = "Leave llama.cpp out." };
    private readonly Option<bool> _json = new("--json") { Description = "Print a document." };

    /// <summary>The command.</summary>
    public Command Create()
    {
        _cases.AcceptOnlyFromAmong([.. FidelityCase.All.Select(which => which.Name)]);
        _threads.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() < 1) result.AddError("--threads must be at least 1.");
        });
        var command = new Command("fidelity", "Compares logits of random models of every family and type with a reference in double precision.");
        _peer.AddTo(command);
        foreach (Option option in (Option[])[_cases, _types, _cache, _threads, _seed, _alone, _json]) command.Add(option);
        command.SetAction(Run);
        return command;
    }

    private void Run(ParseResult parsed)
    {
        KVElementType cache = parsed.GetValue(_cache);
        if (cache is not (KVElementType.F16 or KVElementType.F32)) throw new CompareException($"--kv {cache}: llama.cpp is asked for F16 or F32 only.");
        PeerLibrary? library = parsed.GetValue(_alone) ? null : _peer.Load(parsed);
        var comparison = new FidelityComparison(parsed.GetValue(_threads), parsed.GetValue(_seed), cache == KVElementType.F32);
        string[] names = parsed.GetValue(_cases)!;
        TensorType[] types = parsed.GetValue(_types)!;
        var cells = new List<FidelityCell>();
        foreach (FidelityCase which in FidelityCase.All.Where(which => names.Length == 0 || names.Contains(which.Name)))
            foreach (TensorType type in types.Length == 0 ? TensorTypes.All : types)
                foreach (FidelityCell cell in comparison.Compare(which, type, library))
                {
                    cells.Add(cell);
                    Console.Error.WriteLine(FidelityReport.ToLine(cell));
                }
        var report = new FidelityReport(KernelSet.Best.ToString()!, library is null ? null : PeerLibrary.Version, library?.Backend, cache, cells);
        Console.WriteLine(parsed.GetValue(_json) ? report.ToJson() : report.ToMarkdown());
    }
}
