using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Support;

/// <summary>Keeps callers inside tokenization until it is opened, and counts them.</summary>
internal sealed class GatedTokenizer : ITokenizer
{
    private readonly WordTokenizer _inner = new();
    private readonly object _lock = new();
    private bool _isOpen;

    public int Inside { get; private set; }

    public int MostInside { get; private set; }

    public void AwaitInside(int count)
    {
        lock (_lock)
        {
            while (Inside < count)
            {
                Assert.That(Monitor.Wait(_lock, TimeSpan.FromSeconds(30)), "Nobody comes.");
            }
        }
    }

    public void Open()
    {
        lock (_lock)
        {
            _isOpen = true;
            Monitor.PulseAll(_lock);
        }
    }

    public int[] Encode(string text)
    {
        lock (_lock)
        {
            MostInside = Math.Max(MostInside, ++Inside);
            Monitor.PulseAll(_lock);
            while (!_isOpen)
            {
                Monitor.Wait(_lock);
            }

            Inside--;
        }

        return _inner.Encode(text);
    }

    public string Decode(int[] tokenIds) => _inner.Decode(tokenIds);

    public int GetVocabSize() => _inner.GetVocabSize();
}
