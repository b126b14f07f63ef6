namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// Makes the plan of one iteration: one token for every decoding sequence, then prefill chunks in the order of rank, then new
/// sequences from the queue, as far as tokens, blocks and slots go. Blocks are claimed as the plan is made; what it schedules is
/// computed only when the run succeeds.
/// </summary>
/// <remarks>
/// Sequences are looked at best rank first and victims are taken worst rank first, so nobody loses blocks to one that ranks below.
/// </remarks>
internal sealed class BatchPlanner(
    RequestQueue queue, ICacheClaims claims, RunningSet running, BatchConstraints constraints, PrefillConfiguration prefill)
{
    private readonly List<Sequence> _awaitingPrompt = [];

    /// <summary>Whether the plan before left requests waiting that could not start.</summary>
    private bool _leftWaiting;

    /// <summary>Who was preempted by the last plan, and why.</summary>
    public List<(Sequence Sequence, PreemptionReason Reason)> Preempted { get; } = [];

    /// <summary>Sequences that the last plan found not to fit even alone. They run and hold no blocks; the caller ends them.</summary>
    public List<Sequence> Unservable { get; } = [];

    /// <summary>Sequences that the last plan started.</summary>
    public List<Sequence> Started { get; } = [];

    /// <summary>Sequences that the last plan gave one decode token.</summary>
    public int DecodeCount { get; private set; }

    /// <summary>Prompt positions of running sequences that the last plan left for later iterations.</summary>
    public long PrefillLeft { get; private set; }

    /// <summary>Further samples that wait for the first to compute their prompt.</summary>
    public List<Sequence> AwaitingPrompt => _awaitingPrompt;

    public void Plan(Batch batch, in IterationLimits limits, IAdmissionGate? gate)
    {
        Preempted.Clear();
        Unservable.Clear();
        Started.Clear();
        PrefillLeft = 0;
        ScheduleDecodes(batch, limits.IsolationGroup, gate);
        DecodeCount = batch.Size;

        int mostPrefill = constraints.TokenBudget - DecodeCount;
        if (limits.Governor is { } governor)
        {
            mostPrefill = Math.Min(mostPrefill, governor.Allow(DecodeCount, _leftWaiting));
        }

        var allowance = new PrefillAllowance(prefill, mostPrefill, claims.BytesPerToken);
        ScheduleChunks(batch, limits.IsolationGroup, gate, ref allowance);
        if (limits.IsolationGroup == 0)
        {
            Admit(batch, gate, ref allowance);
            _leftWaiting = !queue.IsEmpty;
        }

        batch.EstimatedMemoryBytes = claims.UsageBytes;
    }

    private void ScheduleDecodes(Batch batch, int group, IAdmissionGate? gate)
    {
        // By index: a claim may preempt from the end of the list.
        for (int i = 0; i < running.Count; i++)
        {
            Sequence sequence = running[i];
            if (sequence.IsDecoding && sequence.IsolationGroup == group && TryClaim(sequence, 1, batch, gate))
            {
                batch.AddScheduled(sequence, sequence.ComputedTokens, 1);
            }
        }
    }

    private void ScheduleChunks(Batch batch, int group, IAdmissionGate? gate, ref PrefillAllowance allowance)
    {
        for (int i = 0; i < running.Count; i++)
        {
            Sequence sequence = running[i];
            if (sequence.IsDecoding || sequence.IsolationGroup != group)
            {
                continue;
            }

            PrefillLeft += sequence.RemainingTokens;
            int count = allowance.ChunkFor(sequence.RemainingTokens);
            if (count > 0 && TryClaim(sequence, count, batch, gate))
            {
                Schedule(sequence, count, batch, ref allowance);
            }
        }
    }

    /// <summary>
    /// Starts waiting sequences, the best first, until one does not fit: nobody is passed over, or the large would wait for ever.
    /// </summary>
    private void Admit(Batch batch, IAdmissionGate? gate, ref PrefillAllowance allowance)
    {
        while (running.Count < constraints.MaxBatchSize && allowance.ChunkFor(1) > 0 && NextToStart() is { } sequence)
        {
            if (gate is not null && !gate.TryEnter(sequence))
            {
                return;
            }

            claims.Attach(sequence);
            int count = allowance.ChunkFor(sequence.RemainingTokens);
            int end = sequence.ComputedTokens + count;
            if (!claims.FitsBeside(sequence, running.ByRank) || !claims.TryReserve(sequence, end, batch.MutableBlockCopies))
            {
                claims.Release(sequence);
                gate?.Leave(sequence);
                if (running.Count > 0 || !TryTake(sequence))
                {
                    return;
                }

                // Nothing else runs and still there is no room: there never will be.
                sequence.State = SequenceState.Running;
                Unservable.Add(sequence);
                continue;
            }

            if (!TryTake(sequence))
            {
                // A caller took it out of the queue meanwhile.
                claims.Release(sequence);
                gate?.Leave(sequence);
                continue;
            }

            sequence.State = SequenceState.Running;
            running.Add(sequence);
            Started.Add(sequence);
            PrefillLeft += sequence.RemainingTokens;
            Schedule(sequence, count, batch, ref allowance);
        }
    }

    private void Schedule(Sequence sequence, int count, Batch batch, ref PrefillAllowance allowance)
    {
        batch.AddScheduled(sequence, sequence.ComputedTokens, count);
        allowance.Use(count);
        PrefillLeft -= count;
    }

    /// <summary>The next sequence that may start. Samples whose prompt is just being computed step aside for those behind them.</summary>
    private Sequence? NextToStart()
    {
        Sequence? next = null;
        foreach (Sequence sample in _awaitingPrompt)
        {
            if (!MustAwaitPrompt(sample) && (next is null || sample.Rank.IsAbove(next.Rank)))
            {
                next = sample;
            }
        }

        while (queue.PeekBest() is { } best && (next is null || best.Rank.IsAbove(next.Rank)))
        {
            if (!MustAwaitPrompt(best))
            {
                return best;
            }

            if (queue.TryTake(best))
            {
                best.State = SequenceState.AwaitingPrompt;
                _awaitingPrompt.Add(best);
            }
        }

        return next;
    }

    private static bool MustAwaitPrompt(Sequence sequence) =>
        sequence.TokenCount == sequence.PromptLength
        && sequence.Request.FirstSample?.Sequence is { State: SequenceState.Running } first
        && (first.ComputedTokens < first.PromptLength || first.Blocks.PendingCopy is not null);

    private bool TryTake(Sequence sequence) =>
        sequence.State == SequenceState.AwaitingPrompt ? _awaitingPrompt.Remove(sequence) : queue.TryTake(sequence);

    /// <summary>
    /// Claims blocks for the next <paramref name="count"/> positions, preempting from the lowest rank up. A sequence of the lowest rank
    /// gives way itself if it decodes (its blocks serve the others better) and waits if it is in its prompt.
    /// </summary>
    private bool TryClaim(Sequence sequence, int count, Batch batch, IAdmissionGate? gate)
    {
        int end = sequence.ComputedTokens + count;
        while (!claims.TryReserve(sequence, end, batch.MutableBlockCopies))
        {
            Sequence victim = running.Lowest;
            if (victim != sequence)
            {
                Preempt(victim, PreemptionReason.HigherRankNeededBlocks, batch, gate);
                continue;
            }

            if (running.Count == 1)
            {
                claims.Release(sequence);
                gate?.Leave(sequence);
                running.RemoveLowest();
                Unservable.Add(sequence);
            }
            else if (sequence.IsDecoding)
            {
                Preempt(sequence, PreemptionReason.NoBlocksLeft, batch, gate);
            }

            return false;
        }

        return true;
    }

    private void Preempt(Sequence victim, PreemptionReason reason, Batch batch, IAdmissionGate? gate)
    {
        running.RemoveLowest();
        batch.RemoveRequest(victim.Request.Id);
        claims.Release(victim);
        gate?.Leave(victim);
        victim.Preemptions++;
        victim.IsolationGroup = 0;
        queue.Requeue(victim);
        Preempted.Add((victim, reason));
    }
}
