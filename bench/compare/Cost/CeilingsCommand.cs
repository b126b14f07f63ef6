using System.CommandLine;
using System.Globalization;
using MLFramework.Cpu;

namespace MLFramework.Compare;

/// <summary><c>ceilings</c>: what the machine can do, and how much of it our engine uses.</summary>
internal sealed class CeilingsCommand
{
    private const int MostBatch = 1024, MostContext = 1 << 20;

    private readonly Option<string[]> _models = new("--model") { Description = "GGUF files whose steps are set against the ceilings.", AllowMultipleArgumentsPerToken = true };
    private readonly Option<int[]> _batches = CommonOptions.Numbers("--batches", "Sequences that decode together.", MostBatch, [1, 4, 8, 16, 32, 64]);
    private readonly Option<int[]> _context = CommonOptions.Numbers("--context", "Tokens of each before the step.", MostContext, [256]);
    private readonly Option<int[]> _prompts = CommonOptions.Numbers("--prompt", "Lengths of prompts.", MostContext, [512]);
    private readonly Option<int> _repetitions = CommonOptions.AtLeastOne("--repetitions", "Steps per cell.", 9);
    private readonly Option<int> _threads = CommonOptions.Threads();

    /// <summary>Makes the command.</summary>
    public Command Create()
    {
        var command = new Command("ceilings", "Peak multiplications and read bandwidth of this machine in managed code, and the share of them that our steps use.");
        foreach (Option option in (Option[])[_models, _batches, _context, _prompts, _repetitions, _threads]) command.Add(option);
        command.SetAction(Run);
        return command;
    }

    private void Run(ParseResult parsed)
    {
        int threads = parsed.GetValue(_threads);
        if (parsed.GetValue(_context) is not [var context]) throw new CompareException("--context takes one number.");
        List<Ceiling> ceilings;
        using (var machine = new MachineCeilings(threads)) ceilings = machine.Measure();
        Print($"| {Machine.Name} | | 1 thread | {threads} threads |\n|---|---|---:|---:|");
        foreach (Ceiling ceiling in ceilings) Print($"| {ceiling.Name} | {ceiling.Unit} | {ceiling.OneThread:N0} | {ceiling.AllThreads:N0} |");

        // The widest vectors stand last.
        double Peak(string name) => ceilings.Last(ceiling => ceiling.Name.StartsWith(name, StringComparison.Ordinal)).AllThreads;
        foreach (string path in parsed.GetValue(_models) ?? [])
        {
            using CpuModel model = CpuModel.Load(path);
            Print($"\n| {Path.GetFileNameWithoutExtension(path)} | tokens/s | GOP/s | of int8 | of int16 | of FMA | GB/s | of read |\n|---|---:|---:|---:|---:|---:|---:|---:|");
            foreach (OwnCell cell in OwnCell.Measure(model, parsed.GetValue(_batches)!, context, parsed.GetValue(_prompts)!, parsed.GetValue(_repetitions), threads))
            {
                double operations = cell.Work.Operations / cell.Seconds / 1e9, bytes = cell.Work.Bytes / cell.Seconds / 1e9;
                Print($"| {cell.Title} | {cell.Tokens / cell.Seconds:N0} | {operations:N0} | {operations / Peak("int8"):P0} | {operations / Peak("int16"):P0} | {operations / Peak("FMA"):P0} | {bytes:N1} | {bytes / Peak("read"):P0} |");
            }
        }
    }

    private static void Print(FormattableString text) => Console.WriteLine(text.ToString(CultureInfo.InvariantCulture));
}
