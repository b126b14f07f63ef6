using System.Globalization;
using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;
using MLFramework.Tests.Inference.ContinuousBatching.Support;

namespace MLFramework.Tests.Simulation.Histories;

/// <summary>
/// One seed, one history: a scheduler of random configuration, clients that enqueue, cancel, stream, sample and disturb, a model that fails, stops and
/// restarts, all in virtual time. After every pass all invariants hold; at the end everything accepted has ended exactly once, what ended well says
/// what the model says to it alone, and nothing is held.
/// </summary>
internal sealed class History : IDisposable
{
    private static readonly string[] s_prefixes = ["", "shared system prompt, ", "another quite long shared beginning of a prompt; ", "x"];

    /// <summary>Far more than any history needs.</summary>
    private const long MostPasses = 50_000;

    private readonly HistoryRandom _random;
    private readonly HistorySetup _setup;
    private readonly SchedulerRig _rig;
    private readonly FaultyExecutor _executor;
    private readonly List<Request> _accepted = [];
    private readonly List<Task> _streams = [];
    private readonly Dictionary<RequestId, int> _endings = [];
    private readonly List<string> _log = [];
    private long _passes;
    private int _externalHolds;

    private History(ulong seed)
    {
        _random = new HistoryRandom(seed);
        _setup = HistorySetup.Draw(_random);
        var proxy = new ProxyExecutor();
        _rig = new SchedulerRig(
            _setup.Constraints,
            _setup.Scheduler,
            _setup.Cache,
            _setup.Prefill,
            _setup.Completion,
            _setup.Capacity,
            _setup.Policy,
            proxy,
            cacheManager: _setup.IsPaged ? null : new OpaqueCache((long)_setup.Cache.TotalBlocks * _setup.Cache.BlockSize * 16, 16),
            client: new SchedulerApiClientConfiguration(EnableRequestLogging: false));
        _rig.Model.StepTime = static _ => TimeSpan.Zero;
        _rig.Model.EosOneIn = _setup.EosOneIn;
        _executor = new FaultyExecutor(_rig.Model, _setup.Faults, _random, _rig.Clock);
        proxy.Inner = _executor;
        _rig.Scheduler.AfterIteration = () =>
        {
            if (++_passes > MostPasses)
            {
                throw new InvariantViolationException($"The scheduler has iterated {MostPasses} times; work is going round in circles.");
            }

            Log($"pass {_passes}: running {_rig.Scheduler.ActiveRequestCount} waiting {_rig.Queue.Count} batch {_rig.Batches.CurrentBatch.Size} alive {_rig.Scheduler.Registry.Count}");
            SchedulerInvariants.Check(_rig.Scheduler);
        };
        _rig.Scheduler.RequestEnded += (request, _) => _endings[request.Id] = _endings.GetValueOrDefault(request.Id) + 1;
    }

    /// <summary>Lives through a history.</summary>
    /// <exception cref="HistoryException">Something that must never happen did; the message tells the seed.</exception>
    public static void Run(ulong seed)
    {
        History? history = null;
        try
        {
            history = new History(seed);
            history._rig.Context.Run(history.MainAsync);
            history.CheckEnd();
        }
        catch (Exception e)
        {
            Exception cause = history?._rig.Scheduler.Loop.Exception?.InnerException ?? e;
            throw new HistoryException(seed, history?._setup, history?._log ?? [], cause);
        }
        finally
        {
            history?.Dispose();
        }
    }

    public void Dispose() => _rig.Dispose();

    private async Task MainAsync()
    {
        if (_random.Chance(0.8))
        {
            _rig.Scheduler.Start();
        }

        var actors = new List<Task>();
        for (int i = 0; i < _setup.Clients; i++)
        {
            actors.Add(ClientAsync(i));
        }

        if (_random.Chance(0.5))
        {
            actors.Add(DisturberAsync());
        }

        await Task.WhenAll(actors);
        if (!_rig.Scheduler.IsRunning)
        {
            Log("start");
            _rig.Scheduler.Start();
        }

        if (_random.Chance(0.5))
        {
            // Without a stop to wake it: what was accepted ends by itself, or a wake-up was lost.
            Log("settle");
            await Settled();
        }

        Log("stop");
        await _rig.Scheduler.StopAsync(_random.Pick<TimeSpan?>(null, TimeSpan.Zero, Timeout.InfiniteTimeSpan, TimeSpan.FromSeconds(1)));
        await Settled();
        await Task.WhenAll(_streams);
    }

    private async Task Settled()
    {
        foreach (Request request in _accepted)
        {
            try
            {
                await request.CompletionSource.Task;
            }
            catch (Exception e) when (e is OperationCanceledException or TimeoutException or InvalidOperationException)
            {
                // An ending like any other; CheckEnd looks at how.
            }
        }
    }

    private async Task ClientAsync(int number)
    {
        for (int i = 0; i < _setup.RequestsPerClient; i++)
        {
            await Pause();
            Send(number);
            if (_random.Chance(0.1))
            {
                await ProbeLiveness();
            }
        }
    }

    private void Send(int client)
    {
        CancellationTokenSource? cancel = _random.Chance(0.15) ? new CancellationTokenSource() : null;
        Request request = NewRequest(client, cancel?.Token ?? default, first: null);
        if (cancel is not null)
        {
            _rig.Clock.CreateTimer(_ => cancel.Cancel(), null, TimeSpan.FromMilliseconds(_random.Next(0, 300)), Timeout.InfiniteTimeSpan);
        }

        if (!TryEnqueue(request))
        {
            return;
        }

        for (int samples = _random.Chance(0.1) ? _random.Next(1, 4) : 0; samples > 0; samples--)
        {
            TryEnqueue(NewRequest(client, default, request, samples));
        }

        if (_random.Chance(0.05))
        {
            ExpectRefusal(request);
        }
    }

    private Request NewRequest(int client, CancellationToken token, Request? first, int sample = 0)
    {
        string prompt = first?.Prompt
            ?? s_prefixes[_random.Next(0, s_prefixes.Length - 1)] + new string((char)('a' + client), _random.Next(1, _random.Chance(0.1) ? 150 : 30));
        int limitMs = _random.Next(1, 2_000);
        var request = new Request(new RequestId(_random.NextGuid()), prompt, _random.Next(1, _random.Chance(0.2) ? 100 : 20), token, (Priority)_random.Next(0, 3), _rig.Clock)
        {
            Options = GenerationOptions.Default with
            {
                Tenant = _random.Pick("a", "b", "c"),
                CacheSalt = _random.Chance(0.3) ? "common" : null,
                TimeLimit = _random.Chance(0.1) ? TimeSpan.FromMilliseconds(limitMs) : null,
                StopSequences = _random.Chance(0.1) ? ["q", "zz"] : null,
                EchoPrompt = _random.Chance(0.1),
            },
            Deadline = _random.Chance(0.15) ? _rig.Clock.GetUtcNow().AddMilliseconds(limitMs) : null,
            FirstSample = first,
            SampleIndex = sample,
        };
        if (_random.Chance(_setup.Faults.Poison))
        {
            _executor.Poisonous.Add(request.Id);
        }

        return request;
    }

    private bool TryEnqueue(Request request)
    {
        try
        {
            Task<string> task;
            if (_random.Chance(0.2))
            {
                var stream = new TokenStream();
                request.Stream = stream;
                task = _rig.Scheduler.EnqueueAsync(request, (Priority)_random.Next(0, 3));
            }
            else
            {
                task = _rig.Scheduler.EnqueueAsync(request, (Priority)_random.Next(0, 3));
            }

            if (task.IsFaulted && task.Exception.InnerException is RequestRejectedException refused)
            {
                Log($"refused {request.Id} {refused.Reason}");
                return false;
            }
        }
        catch (PromptTooLongException)
        {
            Log($"too long {request.Prompt.Length}");
            return false;
        }

        Log($"accepted {request.Id} prompt {request.Prompt.Length} max {request.MaxTokens} {request.Priority} {request.Options!.Tenant}");
        _accepted.Add(request);
        if (request.Stream is { } tokens)
        {
            _streams.Add(ReadAsync(request, tokens));
        }

        return true;
    }

    private static async Task ReadAsync(Request request, TokenStream stream)
    {
        var read = new List<int>();
        while (await stream.Reader.WaitToReadAsync())
        {
            while (stream.Reader.TryRead(out (int TokenId, TokenLogProbs? LogProbs) token))
            {
                read.Add(token.TokenId);
            }
        }

        if (!read.SequenceEqual(request.GeneratedTokenIds))
        {
            throw new InvalidOperationException($"Request {request.Id} streamed other tokens than it generated.");
        }
    }

    /// <summary>A request serves once, and an id that is alive is taken.</summary>
    private void ExpectRefusal(Request alive)
    {
        Assert.Catch<ArgumentException>(() => _rig.Scheduler.EnqueueAsync(alive));
        if (alive.Result is not null)
        {
            return;
        }

        var twin = new Request(alive.Id, "twin", 1, default, timeProvider: _rig.Clock);
        try
        {
            Require(_rig.Scheduler.EnqueueAsync(twin).IsFaulted, $"Two requests of id {alive.Id} are alive.");
        }
        catch (ArgumentException e) when (e is not PromptTooLongException)
        {
            Require(e.Message.Contains(alive.Id.ToString(), StringComparison.Ordinal), "The refusal of a duplicate does not name it.");
        }
        catch (PromptTooLongException)
        {
            // Refused even earlier.
        }
    }

    private async Task DisturberAsync()
    {
        for (int i = _random.Next(1, 10); i > 0; i--)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(_random.Next(1, 400)), _rig.Clock);
            await Disturb(_random.Next(0, 6));
        }
    }

    private async Task Disturb(int kind)
    {
        Log($"disturb {kind}");
        switch (kind)
        {
            case 0 when _accepted.Count > 0:
                Request request = _accepted[_random.Next(0, _accepted.Count - 1)];
                bool wasAlive = request.Result is null;
                bool cancelled = _rig.Client.CancelRequest(request.Id);
                Require(!cancelled || wasAlive, "CancelRequest cancelled what had ended.");
                break;
            case 1:
                _rig.Client.CancelAllRequests();
                break;
            case 2 when _accepted.Count > 0:
                _rig.Queue.Remove(_accepted[_random.Next(0, _accepted.Count - 1)].Id);
                break;
            case 3 when _accepted.Count > 0:
                _rig.Queue.MarkCancelled(_accepted[^1].Id);
                break;
            case 4 when _rig.Scheduler.IsRunning:
                await _rig.Scheduler.StopAsync(TimeSpan.FromMilliseconds(_random.Pick(0, 50, 5_000)));
                SchedulerInvariants.Check(_rig.Scheduler);
                Require(_rig.Scheduler.Registry.Count == 0, "A stop completed and left requests alive.");
                await Pause();
                _rig.Scheduler.Start();
                break;
            case 5:
                await HoldCapacity();
                break;
            case 6 when !_rig.Scheduler.IsRunning:
                await _rig.Scheduler.ExecuteIterationAsync();
                break;
        }
    }

    /// <summary>Somebody else takes all that is left of the capacity for a while. When it is free again, work goes on by itself.</summary>
    private async Task HoldCapacity()
    {
        var held = new List<Request>();
        _externalHolds++;
        for (int i = 0; i < _setup.Capacity.MaxConcurrentRequests; i++)
        {
            var other = new Request(new RequestId(_random.NextGuid()), "other", 1, default, timeProvider: _rig.Clock);
            if (!_rig.Capacity.TryAllocate(other, out _))
            {
                break;
            }

            held.Add(other);
        }

        await Task.Delay(TimeSpan.FromMilliseconds(_random.Next(1, 500)), _rig.Clock);
        foreach (Request other in held)
        {
            _rig.Capacity.Release(other.Id);
        }

        _externalHolds--;
        await ProbeLiveness();
    }

    /// <summary>While the loop runs and nothing hinders it, work does not lie waiting.</summary>
    private async Task ProbeLiveness()
    {
        long before = _passes;
        Sequence? waiting = _rig.Queue.PeekBest();
        await Task.Delay(TimeSpan.FromMilliseconds(5), _rig.Clock);
        bool isStuck = _rig.Scheduler.IsRunning && _rig.Scheduler.Registry.IsOpen && _externalHolds == 0
            && waiting is { State: SequenceState.Waiting } && _rig.Scheduler.ActiveRequestCount == 0 && _passes == before;
        Require(!isStuck, "Requests wait, nothing runs, and the loop sleeps.");
    }

    private Task Pause() => Task.Delay(TimeSpan.FromMilliseconds(_random.Next(0, 2 * _setup.MeanPauseMs)), _rig.Clock);

    private void CheckEnd()
    {
        foreach (Request request in _accepted)
        {
            Require(request.CompletionSource.Task.IsCompleted, $"Request {request.Id} never ended.");
            Require(request.Result is not null && request.IsCompleted, $"Request {request.Id} ended without a result.");
            Require(_endings[request.Id] == 1, $"Request {request.Id} ended {_endings[request.Id]} times.");
            CheckTokens(request);
            CheckReason(request);
        }

        Require(_endings.Count == _accepted.Count, "Somebody ended who was never accepted.");
        _rig.AssertIdle();
        Require(_rig.Cache is not OpaqueCache { HolderCount: > 0 }, "The cache still holds memory for requests that ended.");
        RequestStatistics counted = _rig.Collector.GetRequestStatistics();
        Require(counted.TotalRequests == _accepted.Count, $"{counted.TotalRequests} endings were measured, {_accepted.Count} happened.");
    }

    /// <summary>Same answer under any load: every token is the one that the model gives to this request alone.</summary>
    private void CheckTokens(Request request)
    {
        var sequence = new List<int>(_rig.Tokenizer.Encode(request.Prompt));
        foreach (int token in request.GeneratedTokenIds)
        {
            int expected = _rig.Model.NextTokenAlone(sequence, request.SampleIndex);
            Require(token == expected, $"Request {request.Id} got token {token} at position {sequence.Count}, alone it would get {expected}.");
            sequence.Add(token);
        }
    }

    private void CheckReason(Request request)
    {
        RequestResult result = request.Result!;
        int generated = request.GeneratedTokenIds.Count;
        bool endsAtEos = generated > 0 && request.GeneratedTokenIds[^1] == WordTokenizer.Eos;
        bool isTrue = result.Reason switch
        {
            CompletionReason.MaxTokensReached => generated == request.MaxTokens,
            CompletionReason.EosTokenReached => endsAtEos && generated < request.MaxTokens,
            CompletionReason.Timeout => request.Deadline is not null || request.Options!.TimeLimit is not null,
            CompletionReason.Failed => result.Exception is not null && request.CompletionSource.Task.IsFaulted,
            CompletionReason.Cancelled => request.CompletionSource.Task.IsCanceled,
            _ => true,
        };
        Require(isTrue, $"Request {request.Id} ended as {result.Reason} with {generated} of {request.MaxTokens} tokens.");
        bool isFault = result.Reason == CompletionReason.Failed && result.Exception is not SequenceTooLargeException;
        Require(!isFault || _setup.Faults.Any, $"Request {request.Id} failed though the model never did: {result.Error}");
        Require(result.TokensGenerated == generated, $"Request {request.Id} counts {result.TokensGenerated} tokens of {generated}.");
    }

    private void Log(string text) => _log.Add($"{_rig.Clock.Elapsed.TotalMilliseconds.ToString(CultureInfo.InvariantCulture),9} {text}");

    private static void Require(bool holds, string otherwise)
    {
        if (!holds)
        {
            throw new InvalidOperationException(otherwise);
        }
    }

    /// <summary>Breaks the circle that the executor needs the rig's clock and the rig an executor.</summary>
    private sealed class ProxyExecutor : IModelExecutor
    {
        public FaultyExecutor? Inner { get; set; }

        public Task<BatchOutput> ExecuteBatchAsync(Batch batch, CancellationToken cancellationToken = default) => Inner!.ExecuteBatchAsync(batch, cancellationToken);
    }
}
