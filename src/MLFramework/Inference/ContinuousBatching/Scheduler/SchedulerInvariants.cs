using System.Diagnostics;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// What must hold between two iterations, by number and name. Debug builds check it after every pass, simulation and tests after every pass of every seed.
/// </summary>
/// <remarks>
/// Two more are held elsewhere: every request ends exactly once (the simulator counts endings), and time is read only from a
/// <see cref="TimeProvider"/> (the build refuses anything else).
/// </remarks>
internal static class SchedulerInvariants
{
    /// <summary>What holds whatever callers on other threads do meanwhile, and is cheap enough for every debug build.</summary>
    [Conditional("DEBUG")]
    public static void DebugCheck(ContinuousBatchScheduler scheduler) => Throw(OwnersOwn(scheduler, Live(scheduler), deep: false));

    /// <summary>All checks, the KV cache's own included. For one thread at a time: a caller that is just taking a request out would be seen half way.</summary>
    /// <exception cref="InvariantViolationException">One does not hold; the message says which and what was found.</exception>
    public static void Check(ContinuousBatchScheduler scheduler)
    {
        List<Sequence> live = Live(scheduler);
        Throw(OwnersOwn(scheduler, live, deep: true) ?? EverybodyIsInOnePlace(scheduler, live) ?? TheCancelledAreGone(scheduler, live));
    }

    private static List<Sequence> Live(ContinuousBatchScheduler scheduler) => scheduler.Registry.Snapshot().FindAll(s => s.IsAdmitted);

    private static string? OwnersOwn(ContinuousBatchScheduler scheduler, List<Sequence> live, bool deep) =>
        BlocksAreConserved(scheduler, deep)
        ?? StreamedEqualsGenerated(live)
        ?? LimitsHold(scheduler)
        ?? RunningStandsByRank(scheduler)
        ?? NobodyJumpedTheLine(scheduler)
        ?? VictimsRankLowest(scheduler)
        ?? IdleMeansEmpty(scheduler, live)
        ?? NobodyOutlivesItsLimit(scheduler, live);

    private static string? BlocksAreConserved(ContinuousBatchScheduler scheduler, bool deep)
    {
        if (scheduler.Batches.Paged is not { } paged)
        {
            return null;
        }

        int sum = paged.FreeBlocks + paged.CachedBlocks + paged.ReferencedBlocks;
        if (sum != paged.TotalBlocks)
        {
            return Violated(1, "free + cached + referenced = total", $"{paged.FreeBlocks} + {paged.CachedBlocks} + {paged.ReferencedBlocks} is not {paged.TotalBlocks}");
        }

        return deep && paged is PagedKVCacheManager cache
            ? KVCacheInvariants.FirstViolation(cache, scheduler.Batches.Running.Select(s => s.Blocks))
            : null;
    }

    private static string? EverybodyIsInOnePlace(ContinuousBatchScheduler scheduler, List<Sequence> live)
    {
        var places = new Dictionary<Sequence, int>();
        Place(scheduler.Queue.Snapshot(), SequenceState.Waiting);
        Place(scheduler.Batches.Running, SequenceState.Running);
        Place(scheduler.Batches.Planner.AwaitingPrompt, SequenceState.AwaitingPrompt);
        foreach ((Sequence sequence, int count) in places)
        {
            if (count != 1)
            {
                return Violated(2, "one place each", $"request {sequence.Request.Id} ({sequence.State}) stands in two places, or in one that is not its state's");
            }
        }

        foreach (Sequence sequence in live)
        {
            // A caller may take a request out of the queue at any time; it then awaits its ending as cancelled.
            if (!places.ContainsKey(sequence) && !sequence.IsCancelRequested)
            {
                return Violated(2, "one place each", $"request {sequence.Request.Id} ({sequence.State}) is alive and nowhere");
            }
        }

        return null;

        void Place(IEnumerable<Sequence> sequences, SequenceState state)
        {
            foreach (Sequence sequence in sequences)
            {
                places[sequence] = places.GetValueOrDefault(sequence) + (sequence.State == state ? 1 : 2);
            }
        }
    }

    private static string? StreamedEqualsGenerated(List<Sequence> live)
    {
        foreach (Sequence sequence in live)
        {
            Request request = sequence.Request;
            int generated = request.GeneratedTokenIds.Count;
            if (generated != request.GeneratedTokens
                || generated != sequence.TokenCount - sequence.PromptLength
                || (request.Stream is { } stream && stream.Written != generated))
            {
                return Violated(3, "tokens streamed = tokens in the result", $"request {request.Id} has {generated} tokens, counts {request.GeneratedTokens}, computed from {sequence.TokenCount - sequence.PromptLength}, streamed {request.Stream?.Written}");
            }
        }

        return null;
    }

    private static string? LimitsHold(ContinuousBatchScheduler scheduler)
    {
        BatchManager batches = scheduler.Batches;
        BatchConstraints limits = batches.Constraints;
        if (batches.Running.Count > limits.MaxBatchSize)
        {
            return Violated(4, "batch limits", $"{batches.Running.Count} requests run, {limits.MaxBatchSize} may");
        }

        if (batches.CurrentBatch.TokenCount > limits.TokenBudget)
        {
            return Violated(4, "batch limits", $"{batches.CurrentBatch.TokenCount} tokens were planned, {limits.TokenBudget} may be");
        }

        return batches.UsageBytes > limits.MaxMemoryBytes
            ? Violated(4, "batch limits", $"{batches.UsageBytes} bytes are held, {limits.MaxMemoryBytes} may be")
            : null;
    }

    private static string? RunningStandsByRank(ContinuousBatchScheduler scheduler)
    {
        IReadOnlyList<Sequence> running = scheduler.Batches.Running;
        for (int i = 1; i < running.Count; i++)
        {
            if (running[i].Rank.IsAbove(running[i - 1].Rank))
            {
                return Violated(5, "running by rank", $"request {running[i].Request.Id} ranks above {running[i - 1].Request.Id} and stands behind it");
            }
        }

        return null;
    }

    /// <summary>
    /// Of one tenant and class, nobody starts while one of higher rank, there since before the plan, waits. Who was at the front before (a preempted
    /// request, a sample that awaited its prompt) has had its turn already.
    /// </summary>
    private static string? NobodyJumpedTheLine(ContinuousBatchScheduler scheduler)
    {
        List<Sequence> started = scheduler.Batches.Planner.Started;
        if (started.Count == 0)
        {
            return null;
        }

        foreach (Sequence waiting in scheduler.Queue.Snapshot())
        {
            foreach (Sequence sequence in started)
            {
                bool comparable = waiting.Account == sequence.Account && waiting.Rank.Class == sequence.Rank.Class && !sequence.WasPreempted
                    && sequence.Request.FirstSample is null && waiting.Preemptions == 0 && waiting.EnqueuedTimestamp < sequence.StartedTimestamp;
                if (comparable && sequence.Account is not null && waiting.Rank.IsAbove(sequence.Rank))
                {
                    return Violated(6, "the best starts first", $"request {sequence.Request.Id} started while {waiting.Request.Id}, of the same tenant and class and of higher rank, waits");
                }
            }
        }

        return null;
    }

    private static string? VictimsRankLowest(ContinuousBatchScheduler scheduler)
    {
        BatchPlanner planner = scheduler.Batches.Planner;
        foreach ((Sequence victim, _) in planner.Preempted)
        {
            foreach (Sequence survivor in scheduler.Batches.Running)
            {
                if (victim.Rank.IsAbove(survivor.Rank) && !planner.Started.Contains(survivor))
                {
                    return Violated(7, "the lowest rank is preempted", $"request {victim.Request.Id} was preempted while {survivor.Request.Id}, which ranks below it, runs on");
                }
            }
        }

        return null;
    }

    private static string? IdleMeansEmpty(ContinuousBatchScheduler scheduler, List<Sequence> live)
    {
        if (live.Count > 0 || scheduler.Registry.Count > 0)
        {
            return null;
        }

        int referenced = scheduler.Batches.Paged?.ReferencedBlocks ?? 0;
        int running = scheduler.Batches.Running.Count;
        return referenced > 0 || running > 0 || scheduler.Batches.Planner.AwaitingPrompt.Count > 0
            ? Violated(8, "idle means empty", $"nothing is alive, yet {running} requests run and {referenced} blocks are referenced")
            : null;
    }

    /// <summary>A cancellation is carried out in the pass that takes it up; one that came during the pass still waits to be taken up.</summary>
    private static string? TheCancelledAreGone(ContinuousBatchScheduler scheduler, List<Sequence> live)
    {
        if (scheduler.Registry.HasCancellations)
        {
            return null;
        }

        Sequence? left = live.Find(s => s.IsCancelRequested && s.State != SequenceState.Ended);
        return left is null ? null : Violated(9, "the cancelled are gone", $"request {left.Request.Id} ({left.State}) was cancelled and lives on");
    }

    private static string? NobodyOutlivesItsLimit(ContinuousBatchScheduler scheduler, List<Sequence> live)
    {
        Sequence? left = live.Find(s => s.LimitTimestamp <= scheduler.LastDrain && s.State != SequenceState.Ended);
        return left is null ? null : Violated(10, "nobody outlives its limit", $"request {left.Request.Id} ({left.State}) met its time limit before this pass and lives on");
    }

    private static void Throw(string? violation)
    {
        if (violation is not null)
        {
            throw new InvariantViolationException(violation);
        }
    }

    private static string Violated(int number, string name, string what) => $"Invariant {number} ({name}) is violated: {what}.";
}
