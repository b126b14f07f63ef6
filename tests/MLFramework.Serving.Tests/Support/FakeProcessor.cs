using MLFramework.Simulation;

namespace MLFramework.Serving.Tests;

/// <summary>A processor that takes virtual time and keeps a record. Its response to n is "n".</summary>
internal sealed class FakeProcessor(VirtualTimeProvider clock)
{
    private int _active;

    /// <summary>What each call got, and when.</summary>
    public List<(TimeSpan At, int[] Requests)> Calls { get; } = [];

    public IEnumerable<int[]> Batches => Calls.Select(call => call.Requests);

    public int MaxActive { get; private set; }

    /// <summary>The token of the latest call.</summary>
    public CancellationToken LastToken { get; private set; }

    /// <summary>Milliseconds that a batch takes.</summary>
    public Func<List<int>, double> Duration { get; set; } = _ => 0;

    /// <summary>Whether a batch goes on although nobody wants it.</summary>
    public bool IgnoresCancellation { get; set; }

    /// <summary>Throws for a batch that is to fail; called after its duration with the number of the call.</summary>
    public Action<int, List<int>> Fault { get; set; } = (_, _) => { };

    /// <summary>The answer; may be wrong.</summary>
    public Func<List<int>, List<string>?> Answer { get; set; } = requests => [.. requests.Select(Of)];

    public static string Of(int request) => $"{request}";

    public async Task<List<string>> ProcessAsync(List<int> requests, CancellationToken cancellationToken)
    {
        Calls.Add((clock.Elapsed, [.. requests]));
        LastToken = cancellationToken;
        int call = Calls.Count;
        MaxActive = Math.Max(MaxActive, ++_active);
        try
        {
            if (Duration(requests) is > 0 and var milliseconds)
            {
                await clock.After(milliseconds).WaitAsync(IgnoresCancellation ? CancellationToken.None : cancellationToken);
            }

            Fault(call, requests);
            return Answer(requests)!;
        }
        finally
        {
            _active--;
        }
    }
}
