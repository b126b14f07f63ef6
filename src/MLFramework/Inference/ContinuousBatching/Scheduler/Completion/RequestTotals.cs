namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Requests ended over the scheduler's lifetime. Written by the owner thread, read from any.</summary>
internal sealed class RequestTotals
{
    private int _completed;
    private int _failed;
    private int _cancelled;

    public int Completed => Volatile.Read(ref _completed);

    public int Failed => Volatile.Read(ref _failed);

    public int Cancelled => Volatile.Read(ref _cancelled);

    public int All => Completed + Failed + Cancelled;

    public void Count(CompletionReason reason)
    {
        switch (reason)
        {
            case CompletionReason.Cancelled:
                Interlocked.Increment(ref _cancelled);
                break;
            case CompletionReason.Timeout or CompletionReason.Failed:
                Interlocked.Increment(ref _failed);
                break;
            default:
                Interlocked.Increment(ref _completed);
                break;
        }
    }
}
