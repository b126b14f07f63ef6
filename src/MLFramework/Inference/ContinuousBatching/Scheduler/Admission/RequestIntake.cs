namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// The way in: checks a request, tokenizes it on the caller's thread, and takes it or refuses it. What is taken is registered and waits
/// in the queue; of what is refused nothing remains.
/// </summary>
internal sealed class RequestIntake(
    RequestQueue queue,
    RequestRegistry registry,
    BatchManager batches,
    ITokenizer tokenizer,
    IModelExecutor executor,
    AdmissionLimits limits,
    SchedulerTelemetry telemetry,
    TimeProvider time,
    Func<Priority, TimeSpan?> estimateWait,
    Action<Sequence> cancel)
{
    /// <summary>Takes a request.</summary>
    /// <exception cref="RequestRejectedException">A bound was met; the reason says which.</exception>
    /// <exception cref="ArgumentException">The request cannot be served as it is; the message says why.</exception>
    public void Admit(Request request, Priority priority)
    {
        Check(request, priority);
        Sequence sequence = Tokenize(request);
        if (sequence.PromptLength >= batches.MaxSequenceTokens)
        {
            throw new PromptTooLongException(sequence.PromptLength, batches.MaxSequenceTokens - 1);
        }

        DateTimeOffset now = time.GetUtcNow();
        sequence.Trace = RequestTrace.Start(request, executor.ModelName, now);
        try
        {
            Accept(sequence, priority, now);
        }
        catch (RequestRejectedException e)
        {
            telemetry.RequestRejected(e.Reason);
            sequence.Trace?.Rejected(e.Reason, now);
            throw;
        }
        catch (Exception e)
        {
            sequence.Trace?.Refused(e, now);
            throw;
        }
    }

    private void Check(Request request, Priority priority)
    {
        RequestQueue.CheckPriority(priority);
        RequestQueue.CheckPriority(request.Priority);
        if (request.Id == RequestId.Empty)
        {
            throw new ArgumentException("RequestId.Empty names no request; use RequestId.New().", nameof(request));
        }

        if (request.Sequence is not null || request.IsCompleted)
        {
            throw new ArgumentException($"Request {request.Id} was enqueued before; a Request serves once, make a new one.", nameof(request));
        }

        if (request.MaxTokens <= 0)
        {
            throw new ArgumentException($"MaxTokens is {request.MaxTokens}; ask for at least one token.", nameof(request));
        }

        request.Options?.Validate();
        if (!string.IsNullOrEmpty(request.Options?.Grammar) && !executor.SupportsGrammar)
        {
            throw new NotSupportedException("This model executor does not support grammars; leave GenerationOptions.Grammar null, or use an executor that does.");
        }
    }

    private Sequence Tokenize(Request request)
    {
        if (request.FirstSample is { } first)
        {
            Sequence sequence = first.Sequence
                ?? throw new ArgumentException("The first sample must be enqueued before the samples that share its prompt.", nameof(request));
            if (sequence.State != SequenceState.Ended && !(registry.TryFind(first.Id, out Sequence? live) && live == sequence))
            {
                throw new ArgumentException("The first sample runs on another scheduler; samples share KV blocks, which belong to one.", nameof(request));
            }

            return new Sequence(request, sequence.Tokens(0, sequence.PromptLength).ToArray());
        }

        if (request.PromptTokenIds is { } given)
        {
            CheckTokens(given.Span);
            return new Sequence(request, given.ToArray());
        }

        int[] tokens = request.Prompt.Length == 0 ? [] : tokenizer.Encode(request.Prompt) ?? [];
        if (tokens.Length == 0)
        {
            throw new ArgumentException("The prompt is empty; there is nothing to continue.", nameof(request));
        }

        return new Sequence(request, tokens);
    }

    private void CheckTokens(ReadOnlySpan<int> tokens)
    {
        if (tokens.IsEmpty)
        {
            throw new ArgumentException("PromptTokenIds is empty; there is nothing to continue.");
        }

        int vocabulary = tokenizer.GetVocabSize();
        foreach (int token in tokens)
        {
            if (token < 0 || (vocabulary > 0 && token >= vocabulary))
            {
                throw new ArgumentException($"PromptTokenIds holds {token}; token ids of this model go from 0 to {vocabulary - 1}.");
            }
        }
    }

    private void Accept(Sequence sequence, Priority priority, DateTimeOffset now)
    {
        Request request = sequence.Request;
        CheckDelay(request, priority, now);
        if ((request.Options?.TimeLimit ?? request.DefaultTimeLimit) is { } limit)
        {
            sequence.LimitTimestamp = time.TimestampAfter(time.GetTimestamp(), limit);
        }

        if (!registry.TryAdd(sequence))
        {
            throw new RequestRejectedException(
                RejectionReason.Stopped, null, "The scheduler has been stopped and takes no requests; start it again, or send the request elsewhere.");
        }

        RejectionReason? refused;
        try
        {
            refused = queue.TryAdd(sequence, priority, limits);
        }
        catch
        {
            registry.Remove(sequence);
            throw;
        }

        if (refused is { } reason)
        {
            registry.Remove(sequence);
            TimeSpan? wait = estimateWait(Highest(request, priority));
            throw new RequestRejectedException(reason, wait, reason == RejectionReason.TooManyRequests
                ? $"{limits.MaxQueuedRequests} requests wait already (AdmissionLimits.MaxQueuedRequests); try again{In(wait)}."
                : $"The prompts that wait already leave no room for {sequence.PromptLength} tokens (AdmissionLimits.MaxQueuedTokens is {limits.MaxQueuedTokens}); try again{In(wait)}.");
        }

        if (request.CancellationToken.CanBeCanceled)
        {
            sequence.Keep(request.CancellationToken.UnsafeRegister(
                static state =>
                {
                    var (cancel, sequence) = ((Action<Sequence>, Sequence))state!;
                    cancel(sequence);
                },
                (cancel, sequence)));
        }
    }

    /// <summary>What cannot start in time is refused now rather than failed later.</summary>
    private void CheckDelay(Request request, Priority priority, DateTimeOffset now)
    {
        if (request.Deadline is { } deadline && deadline <= now)
        {
            throw new RequestRejectedException(
                RejectionReason.DeadlineUnreachable, null, $"The deadline passed {(now - deadline).TotalSeconds:0.###} s ago; a request that nobody waits for is not run.");
        }

        if (request.Deadline is null && limits.MaxQueueDelay is null)
        {
            return;
        }

        if (estimateWait(Highest(request, priority)) is not { } wait)
        {
            return;
        }

        if (request.Deadline is { } d && now + wait > d)
        {
            throw new RequestRejectedException(
                RejectionReason.DeadlineUnreachable, wait, $"The request would start in about {wait.TotalSeconds:0.###} s, after its deadline; allow more time or send it elsewhere.");
        }

        if (limits.MaxQueueDelay is { } most && wait > most)
        {
            throw new RequestRejectedException(
                RejectionReason.QueueDelay, wait, $"The request would wait about {wait.TotalSeconds:0.###} s, more than the {most.TotalSeconds:0.###} s allowed (AdmissionLimits.MaxQueueDelay); try again later.");
        }
    }

    private static Priority Highest(Request request, Priority priority) => (Priority)Math.Max((int)request.Priority, (int)priority);

    private static string In(TimeSpan? wait) => wait is { } w ? $" in about {Math.Max(1, Math.Ceiling(w.TotalSeconds))} s" : " later";
}
