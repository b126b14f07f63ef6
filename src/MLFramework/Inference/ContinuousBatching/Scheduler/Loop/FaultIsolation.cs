namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// Finds the request that makes a batch fail. A failed batch is run again as it was, a few times; then it is split into halves that
/// run by themselves, and so on, until a request fails alone. Everybody else loses time, never tokens.
/// </summary>
/// <remarks>While groups are pending only they are planned, one at a time, and nobody is admitted. Owner thread only.</remarks>
internal sealed class FaultIsolation(int maxRetries)
{
    private readonly Stack<Group> _pending = new();
    private int _nextId = 1;

    /// <summary>The group to plan next; 0 when nothing is suspected.</summary>
    public int CurrentGroup => _pending.TryPeek(out Group? group) ? group.Id : 0;

    /// <summary>A run failed.</summary>
    /// <param name="batch">What ran.</param>
    /// <returns>The one request that has now failed alone as often as it may, or null.</returns>
    public Sequence? OnFailure(Batch batch)
    {
        if (_pending.Count == 0)
        {
            var suspects = new List<Sequence>(batch.Size);
            for (int i = 0; i < batch.Size; i++)
            {
                suspects.Add(batch.ScheduleAt(i).Sequence);
            }

            Push(suspects, failures: 0);
        }

        Group group = _pending.Peek();
        if (group.Failures++ < maxRetries)
        {
            return null;
        }

        _pending.Pop();
        List<Sequence> alive = group.Alive();
        foreach (Sequence sequence in alive)
        {
            sequence.IsolationGroup = 0;
        }

        if (alive.Count <= 1)
        {
            return alive.Count == 1 ? alive[0] : null;
        }

        int half = alive.Count / 2;
        Split(alive.GetRange(half, alive.Count - half));
        Split(alive.GetRange(0, half));
        return null;
    }

    /// <summary>The current group ran, or nothing of it is left to run.</summary>
    public void OnGroupDone()
    {
        if (_pending.TryPop(out Group? group))
        {
            foreach (Sequence sequence in group.Alive())
            {
                sequence.IsolationGroup = 0;
            }
        }
    }

    /// <summary>Half of a failing batch has had its chances as part of the whole; a request alone gets its own.</summary>
    private void Split(List<Sequence> half) => Push(half, half.Count == 1 ? 0 : maxRetries);

    private void Push(List<Sequence> members, int failures)
    {
        var group = new Group(_nextId++, members) { Failures = failures };
        foreach (Sequence sequence in members)
        {
            sequence.IsolationGroup = group.Id;
        }

        _pending.Push(group);
    }

    private sealed class Group(int id, List<Sequence> members)
    {
        public int Id { get; } = id;

        public int Failures { get; set; }

        public List<Sequence> Alive() => members.FindAll(s => s.State == SequenceState.Running && s.IsolationGroup == Id);
    }
}
