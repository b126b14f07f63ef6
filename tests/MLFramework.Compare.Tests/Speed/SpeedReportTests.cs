using System.Text.Json;

namespace MLFramework.Compare.Tests;

public sealed class SpeedReportTests
{
    private readonly SpeedReport _report = new("a processor", 0.1, 2, "AVX2", "0.5.0", "haswell", 21, 256,
    [
        new ModelSpeed("first", [Cell(Phase.Decode, 8, 256, 2.5), Cell(Phase.Prefill, 1, 512, 2.25)]),
        new ModelSpeed("second", [Cell(Phase.Prefill, 1, 512, 1.125)]),
    ]);

    [Test]
    public void The_table_has_a_column_per_cell_and_three_rows_per_model()
    {
        string[] lines = _report.ToMarkdown().Split('\n');

        Assert.That(lines[0], Is.EqualTo("| model | | batch 8 | prefill 512 |"));
        Assert.That(lines[2], Is.EqualTo("| first | **times as fast** | **2.50** | **2.25** |"));
        Assert.That(lines[3], Is.EqualTo("|  | MLFramework, tokens/s | 2,000 | 2,000 |"));
        Assert.That(lines[5], Is.EqualTo("| second | **times as fast** |  | **1.13** |"));
        Assert.That(lines[^2], Does.Contain("a processor, 2 threads").And.Contains("haswell").And.Contains("medians of 21 steps or more"));
    }

    [Test]
    public void The_document_has_every_number_under_its_name()
    {
        JsonElement cell = JsonDocument.Parse(_report.ToJson()).RootElement.GetProperty("models")[0].GetProperty("cells")[0];

        Assert.That(cell.GetProperty("phase").GetString(), Is.EqualTo("decode"));
        Assert.That((cell.GetProperty("batch").GetInt32(), cell.GetProperty("ratio").GetDouble()), Is.EqualTo((8, 2.5)));
        Assert.That(cell.GetProperty("flashAttention").GetBoolean(), Is.True);
    }

    private static SpeedCell Cell(Phase phase, int batch, int length, double ratio) => new(phase, batch, length, true, ratio, ratio + 1, 2000, 2100, 1000, 1100, 4, 8, batch);
}
