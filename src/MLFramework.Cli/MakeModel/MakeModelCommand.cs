using System.CommandLine;
using System.Globalization;
using MLFramework.Cpu;

namespace MLFramework.Cli;

/// <summary><c>mlf make-model</c>: a model of a real shape with random weights, to measure without a download.</summary>
internal static class MakeModelCommand
{
    private static readonly IReadOnlyDictionary<string, ModelShape> Shapes = ModelShape.All.ToDictionary(shape => shape.Name);

    private static readonly IReadOnlyDictionary<string, TensorType> Types = TensorTypes.All.ToDictionary(type => $"{type}".ToLowerInvariant());

    /// <summary>Makes the command.</summary>
    public static Command Create(Terminal terminal, CancellationToken cancellationToken)
    {
        Option<ModelShape?> shape = Options.Choice("--shape", "Whose layers, widths and vocabulary size.", Shapes);
        Option<string?> type = Options.Parsed<string?>("--type", string.Join('|', Types.Keys), "Type of the matrices, as llama-quantize has it: quantized models have the output (and tied embeddings) in q6_k, q4_k and q5_k are the mixes Q4_K_M and Q5_K_M [q8_0].", text =>
            Types.ContainsKey(text) ? text : throw new FormatException($"must be one of {string.Join(", ", Types.Keys)}"));
        Option<bool> pure = new("--pure") { Description = "Give all matrices that type, as far as it fits their rows." };
        Option<int?> seed = Options.Integer("--seed", "Seed of the weights; the same in every type [0].", 0, int.MaxValue);
        Option<string?> output = Options.Parsed<string?>("--output", "FILE", "The GGUF file to write.", text => text.Length > 0 ? text : throw new FormatException("must name a file"));
        Option<bool> force = new("--force") { Description = "Replace the file if there is one." };
        shape.Required = output.Required = true;
        output.Aliases.Add("-o");
        type.CompletionSources.Add([.. Types.Keys]);

        var command = new Command("make-model", "Writes a model of a real shape with random weights, which llama.cpp reads too.") { shape, type, pure, seed, output, force };
        command.SetAction(parsed =>
        {
            var model = new RandomModel(parsed.GetValue(shape)!, Types[parsed.GetValue(type) ?? "q8_0"], (ulong)(parsed.GetValue(seed) ?? 0), parsed.GetValue(pure));
            Write(model, parsed.GetValue(output)!, parsed.GetValue(force), terminal, cancellationToken);
            return ExitCode.Success;
        });
        return command;
    }

    private static void Write(RandomModel model, string path, bool replaces, Terminal terminal, CancellationToken cancellationToken)
    {
        try
        {
            long length = OutputFile.Write(path, replaces, model.DataLength, stream =>
                ProgressDisplay.Watch(terminal, Path.GetFileName(path), model.DataLength, bar =>
                {
                    model.Write(stream, bar is null ? null : new ByteProgress(bar), cancellationToken);
                    return true;
                }));
            terminal.Error.Profile.Out.Writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{path}: {model.Parameters / 1e6:N1} million weights, {ByteCount.Format(length)}"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException(e.Message, e);
        }
    }

    private sealed class ByteProgress(IProgress<ProgressStep> bar) : IProgress<long>
    {
        public void Report(long value) => bar.Report(new ProgressStep(value));
    }
}
