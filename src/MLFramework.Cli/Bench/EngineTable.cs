using System.Globalization;
using Spectre.Console;

namespace MLFramework.Cli;

/// <summary>What <c>mlf bench engine</c> measured, for people.</summary>
internal static class EngineTable
{
    /// <summary>Writes a table and what else is worth knowing.</summary>
    public static void Write(IAnsiConsole console, IReadOnlyList<EngineRow> rows)
    {
        LoadRow load = rows.OfType<LoadRow>().Single();
        MemoryRow memory = rows.OfType<MemoryRow>().Single();
        console.MarkupLineInterpolated($"[bold]{load.Model}[/], {load.Threads} {(load.Threads == 1 ? "thread" : "threads")}, keys and values in {load.KVType}");

        var table = new Table { Border = TableBorder.Rounded };
        table.AddColumn("Phase");
        foreach (string header in (string[])["tokens/s", "ms, median", "ms, best", "bytes allocated"])
        {
            table.AddColumn(new TableColumn(header).RightAligned());
        }

        foreach (EngineRow row in rows)
        {
            switch (row)
            {
                case PrefillRow prefill:
                    table.AddRow([$"Prompt of {prefill.Tokens}", .. Cells(prefill.TokensPerSecond, prefill.StepMs), string.Empty]);
                    break;
                case DecodeRow decode:
                    table.AddRow([$"Batch of {decode.Batch} at {decode.Context}", .. Cells(decode.TokensPerSecond, decode.StepMs), Number(decode.AllocatedBytesPerStep, decode.AllocatedBytesPerStep % 1 == 0 ? 0 : 1)]);
                    break;
            }
        }

        console.Write(table);
        console.WriteLine($"Loaded in {Number(load.Seconds, 2)} s: file {ByteCount.Format(memory.FileBytes)}, packed {ByteCount.Format(memory.PackedBytes)}, resident at most {ByteCount.Format(memory.LoadPeakBytes)}.");
        console.WriteLine($"Keys and values {ByteCount.Format(memory.KVBytes)}; resident at most {ByteCount.Format(memory.PeakBytes)} in all.");
    }

    private static string[] Cells(double tokensPerSecond, StepTimes times) =>
        [Number(tokensPerSecond, tokensPerSecond < 100 ? 1 : 0), Number(times.Median, 2), Number(times.Best, 2)];

    private static string Number(double value, int decimals) => value.ToString($"N{decimals}", CultureInfo.InvariantCulture);
}
