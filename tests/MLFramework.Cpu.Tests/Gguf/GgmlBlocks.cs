using System.Runtime.InteropServices;
using System.Text.Json;

namespace MLFramework.Cpu.Tests;

/// <summary>Blocks and floats that ggml itself made of each other (<c>ggml-blocks.json</c>).</summary>
/// <param name="Type">How the blocks are stored.</param>
/// <param name="Blocks">The blocks.</param>
/// <param name="Floats">The floats.</param>
internal sealed record GgmlBlocks(TensorType Type, byte[] Blocks, float[] Floats)
{
    public static IEnumerable<TestCaseData> Dequantized() => Load("dequantize");

    public static IEnumerable<TestCaseData> Quantized() => Load("quantize");

    public override string ToString() => $"{Type}";

    private static IEnumerable<TestCaseData> Load(string direction)
    {
        using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Gguf", "ggml-blocks.json")));
        return [.. json.RootElement.GetProperty(direction).EnumerateArray().Select(item => new TestCaseData(new GgmlBlocks(
            Enum.Parse<TensorType>(item.GetProperty("type").GetString()!),
            Convert.FromHexString(item.GetProperty("blocks").GetString()!),
            MemoryMarshal.Cast<byte, float>(Convert.FromHexString(item.GetProperty("floats").GetString()!)).ToArray())))];
    }
}
