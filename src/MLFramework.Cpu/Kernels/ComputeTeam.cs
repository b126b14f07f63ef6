using System.Runtime.ExceptionServices;

namespace MLFramework.Cpu;

/// <summary>Work that all members of a team carry out together.</summary>
internal interface ITeamJob
{
    /// <summary>Carries out one member's part, on the member's own thread.</summary>
    /// <param name="team">For barriers, and for taking items of work.</param>
    /// <param name="member">Which member, 0 to <see cref="ComputeTeam.Size"/> − 1.</param>
    void Execute(ComputeTeam team, int member);
}

/// <summary>
/// The caller's thread and dedicated threads that compute together: between two barriers the members share the items of one phase among themselves.
/// Between two jobs the threads sleep.
/// </summary>
internal sealed class ComputeTeam : IDisposable
{
    private readonly SpinGate _start = new(), _barrier = new(), _end = new();
    private readonly Thread[] _threads;
    private ITeamJob? _job;
    private Exception? _failure;
    private volatile bool _isBroken, _isDisposed;
    private int _arrived, _nextItem, _running;

    /// <param name="size">Members, at least 1; all but one get a thread.</param>
    /// <param name="processors">
    /// Logical processors for the members to stay on, where the system can do that; the caller's thread, which is the first member, is left alone, and so is
    /// the first of these. Null for any.
    /// </param>
    public ComputeTeam(int size, IReadOnlyList<int>? processors = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        Size = size;
        _threads = new Thread[size - 1];
        for (int i = 0; i < _threads.Length; i++)
        {
            int member = i + 1;
            int? processor = member < processors?.Count ? processors[member] : null;
            _threads[i] = new Thread(() => Serve(member, processor)) { IsBackground = true, Name = $"mlf compute {member}" };
            _threads[i].Start();
        }
    }

    /// <summary>Members.</summary>
    public int Size { get; }

    /// <summary>Carries out a job with all members, the caller being the first. One caller at a time.</summary>
    /// <exception cref="ObjectDisposedException">The team was disposed.</exception>
    public void Run(ITeamJob job)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        (_job, _failure, _isBroken) = (job, null, false);
        (_arrived, _nextItem, _running) = (0, 0, Size - 1);
        int ended = _end.Count;
        if (Size > 1) _start.Open();
        ExecutePart(job, 0);
        if (Size > 1) _end.WaitPast(ended);
        _job = null;
        GC.KeepAlive(job); // and the buffers whose pointers it uses
        if (_failure is { } failure) ExceptionDispatchInfo.Throw(failure);
    }

    /// <summary>Waits until all members have come here; what they wrote before is then visible to all, and the next phase's items can be taken.</summary>
    /// <exception cref="OperationCanceledException">A member failed: the job is over.</exception>
    public void Barrier()
    {
        int seen = _barrier.Count;
        ThrowIfBroken();
        if (Interlocked.Increment(ref _arrived) == Size)
        {
            (_arrived, _nextItem) = (0, 0);
            _barrier.Open();
        }
        else
        {
            _barrier.WaitPast(seen);
        }
        ThrowIfBroken();
    }

    /// <summary>Takes the next items of the current phase.</summary>
    /// <param name="count">Items of the phase; all members say the same.</param>
    /// <param name="grain">How many to take at once.</param>
    /// <param name="first">The first item taken.</param>
    /// <param name="end">One past the last item taken.</param>
    /// <returns>False if none are left.</returns>
    public bool TryTake(int count, int grain, out int first, out int end)
    {
        first = Interlocked.Add(ref _nextItem, grain) - grain;
        end = Math.Min(first + grain, count);
        return first < count;
    }

    /// <summary>A member's share of the items of the current phase, taken while it lasts.</summary>
    /// <param name="count">Items of the phase; all members say the same.</param>
    /// <param name="grain">How many to take at once.</param>
    public ItemShares Share(int count, int grain = 1) => new(this, count, grain);

    /// <summary>Ends the threads. Not while a job runs.</summary>
    public void Dispose()
    {
        if (_isDisposed) return;
        _isDisposed = true;
        _start.Open();
        foreach (Thread thread in _threads) thread.Join();
    }

    private void ThrowIfBroken()
    {
        if (_isBroken) throw new OperationCanceledException("Another member of the team failed.");
    }

    private void Serve(int member, int? processor)
    {
        if (processor is { } own) ThreadAffinity.TryPin(own);
        for (int seen = 0; ; seen++)
        {
            _start.WaitPast(seen);
            if (_isDisposed) return;
            ExecutePart(_job!, member);
            if (Interlocked.Decrement(ref _running) == 0) _end.Open();
        }
    }

    private void ExecutePart(ITeamJob job, int member)
    {
        try
        {
            job.Execute(this, member);
        }
        catch (Exception e)
        {
            // The first failure is the cause; those after it are members that it called off.
            Interlocked.CompareExchange(ref _failure, e, null);
            _isBroken = true;
            _barrier.Open();
        }
    }
}
