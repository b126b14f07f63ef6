using System.Text.Json;
using MLFramework.Cpu;

namespace MLFramework.Compare.Tests;

public sealed class FidelityReportTests
{
    private readonly FidelityReport _report = new("AVX2", "0.5.0", "haswell", KVElementType.F16,
    [
        new FidelityCell("first", TensorType.F32, 1, 1e-6, 2e-6),
        new FidelityCell("first", TensorType.F32, 17, 3e-6, 1e-6),
        new FidelityCell("first", TensorType.Q8_0, 1, 5e-5, 1.25e-2),
        new FidelityCell("second", TensorType.F32, 1, 4e-6, null),
    ]);

    [Test]
    public void The_table_has_the_worst_position_of_each_model_and_type()
    {
        string[] lines = _report.ToMarkdown().Split('\n');

        Assert.That(lines[0], Is.EqualTo("| model | | F32 | Q8_0 |"));
        Assert.That(lines[2], Is.EqualTo("| first | MLFramework | 3.0e-6 | 5.0e-5 |"));
        Assert.That(lines[3], Is.EqualTo("|  | llama.cpp | 2.0e-6 | 1.3e-2 |"));
        Assert.That(lines[4], Is.EqualTo("| second | MLFramework | 4.0e-6 |  |"));
        Assert.That(lines[5], Is.EqualTo("|  | llama.cpp | – |  |"));
        Assert.That(lines[^2], Does.Contain("positions 1, 17").And.Contains("in F16").And.Contains("haswell"));
    }

    [Test]
    public void The_document_has_every_number_under_its_name()
    {
        JsonElement cell = JsonDocument.Parse(_report.ToJson()).RootElement.GetProperty("cells")[2];

        Assert.That((cell.GetProperty("case").GetString(), cell.GetProperty("type").GetString(), cell.GetProperty("position").GetInt32()), Is.EqualTo(("first", "Q8_0", 1)));
        Assert.That((cell.GetProperty("ownError").GetDouble(), cell.GetProperty("peerError").GetDouble()), Is.EqualTo((5e-5, 1.25e-2)));
    }
}
