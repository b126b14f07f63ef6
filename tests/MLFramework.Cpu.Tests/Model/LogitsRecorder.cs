namespace MLFramework.Cpu.Tests;

/// <summary>Keeps the logits of a pass.</summary>
internal sealed class LogitsRecorder : ILogitsConsumer
{
    private readonly Dictionary<int, float[]> _logits = [];

    public float[] this[int output] => _logits[output];

    public int Count => _logits.Count;

    public void Consume(int member, int output, Span<float> logits)
    {
        lock (_logits) _logits[output] = logits.ToArray();
    }
}
