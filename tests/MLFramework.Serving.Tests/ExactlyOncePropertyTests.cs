using FsCheck;
using FsCheck.Fluent;
using MLFramework.Simulation;

namespace MLFramework.Serving.Tests;

/// <summary>
/// Random batchers under random arrivals, cancellations, timeouts, faults and disposal, in virtual time. One seed is one history;
/// a failure prints it.
/// </summary>
public class ExactlyOncePropertyTests
{
    private static readonly Config s_config = Config.QuickThrowOnFailure.WithMaxTest(400).WithQuietOnSuccess(true).WithReplay(2026, 2027);

    [Test]
    public void Every_request_ends_exactly_once_and_with_its_own_response() =>
        Prop.ForAll<int>(seed => new History(seed).Play()).Check(s_config);

    [Test]
    public void The_same_seed_gives_the_same_history() =>
        Prop.ForAll<int>(seed =>
        {
            var first = new History(seed);
            var second = new History(seed);
            first.Play();
            second.Play();
            Assert.That(second.Log, Is.EqualTo(first.Log));
        }).Check(s_config.WithMaxTest(100));

    /// <summary>One run of one random batcher; its checks are its assertions.</summary>
    private sealed class History(int seed)
    {
        private const int PoisonEvery = 17;

        private readonly Random _random = new(seed);
        private readonly List<Submission> _submissions = [];
        private readonly Dictionary<int, int> _timesAnswered = [];
        private BatchingConfiguration<int> _configuration = null!;
        private readonly List<int> _processedEndings = [];
        private bool _onePriority;
        private int _active;

        public List<string> Log { get; } = [];

        public void Play() => Simulated.Run(async clock =>
        {
            _configuration = RandomConfiguration();
            _onePriority = _random.Next(2) == 0;
            var batcher = new DynamicBatcher<int, string>(
                _configuration, (requests, token) => ProcessAsync(clock, requests, token), clock, scheduler: TaskScheduler.FromCurrentSynchronizationContext());
            int count = _random.Next(1, 120);
            int disposeAt = _random.Next(2) == 0 ? _random.Next(count) : count;
            bool drain = _random.Next(2) == 0;
            ValueTask disposal = default;
            for (int i = 0; i < count; i++)
            {
                if (i == disposeAt)
                {
                    disposal = Dispose(batcher, drain);
                }

                Submit(batcher, clock, i);
                if (_random.Next(3) == 0)
                {
                    await clock.After(_random.Next(1, 8));
                }
            }

            foreach (Submission submission in _submissions)
            {
                Exception? error = await Simulated.ErrorOf(submission.Response);
                Log.Add($"{submission.Request}: {error?.GetType().Name ?? submission.Response.Result} at {clock.Elapsed.TotalMilliseconds}");
                Check(submission, error, wasDisposed: disposeAt < count);
            }

            await disposal;
            await batcher.DisposeAsync();
            await Task.Yield();
            CheckTotals(batcher.GetStatistics());
        });

        private static ValueTask Dispose(DynamicBatcher<int, string> batcher, bool drain)
        {
            if (drain)
            {
                return batcher.DisposeAsync();
            }

            batcher.Dispose();
            return default;
        }

        private BatchingConfiguration<int> RandomConfiguration()
        {
            int maxBatchSize = _random.Next(1, 12);
            return new BatchingConfiguration<int>
            {
                MaxBatchSize = maxBatchSize,
                PreferBatchSize = _random.Next(1, maxBatchSize + 1),
                MaxWaitTime = TimeSpan.FromMilliseconds(_random.Next(1, 20)),
                MaxQueueSize = _random.Next(10, 30),
                MaxConcurrentBatches = _random.Next(1, 4),
                MaxBatchCost = _random.Next(2) == 0 ? long.MaxValue : _random.Next(5, 20),
                CostFunction = request => request % 6,
                TimeoutStrategy = Pick<TimeoutStrategy>(),
                QueueFullPolicy = Pick<QueueFullPolicy>(),
                MaxEnqueueWait = TimeSpan.FromMilliseconds(_random.Next(1, 30)),
                RequestTimeout = _random.Next(2) == 0 ? Timeout.InfiniteTimeSpan : TimeSpan.FromMilliseconds(_random.Next(5, 60)),
                RequestTimeoutAction = Pick<RequestTimeoutAction>(),
                FailurePolicy = Pick<BatchFailurePolicy>(),
                MaxRetries = _random.Next(3),
                RetryDelay = TimeSpan.FromMilliseconds(_random.Next(3)),
                PreserveOrder = _random.Next(2) == 0,
                DrainTimeout = TimeSpan.FromMilliseconds(_random.Next(200)),
            };
        }

        private void Submit(DynamicBatcher<int, string> batcher, VirtualTimeProvider clock, int request)
        {
            var cancellation = new CancellationTokenSource();
            RequestPriority priority = _onePriority ? RequestPriority.Normal : (RequestPriority)_random.Next(-1, 3);
            var submission = new Submission(request, batcher.ProcessAsync(request, priority, cancellation.Token), cancellation);
            _submissions.Add(submission);
            _ = NoteEndingAsync(submission);
            switch (_random.Next(4))
            {
                case 0:
                    Cancel(submission);
                    break;
                case 1:
                    _ = CancelLaterAsync(submission, _random.Next(1, 50));
                    break;
            }

            async Task CancelLaterAsync(Submission later, int milliseconds)
            {
                await clock.After(milliseconds);
                Cancel(later);
            }
        }

        private async Task NoteEndingAsync(Submission submission)
        {
            if (await Simulated.ErrorOf(submission.Response) is null or InvalidDataException or BatchResponseException)
            {
                _processedEndings.Add(submission.Request);
            }
        }

        private static void Cancel(Submission submission)
        {
            submission.CancelledInTime = !submission.Response.IsCompleted;
            submission.Cancellation.Cancel();
        }

        private async Task<List<string>> ProcessAsync(VirtualTimeProvider clock, List<int> requests, CancellationToken cancellationToken)
        {
            Log.Add($"[{string.Join(' ', requests)}] at {clock.Elapsed.TotalMilliseconds}");
            Assert.That(requests, Is.Not.Empty.And.Count.LessThanOrEqualTo(_configuration.MaxBatchSize));
            Assert.That(requests.Sum(request => (long)_configuration.CostFunction!(request)), Is.LessThanOrEqualTo(_configuration.MaxBatchCost));
            Assert.That(++_active, Is.LessThanOrEqualTo(_configuration.MaxConcurrentBatches));
            Assert.That(requests.Select(request => _submissions[request].CancelledInTime), Is.All.False, "a cancelled caller's request reached the processor");
            try
            {
                if (_random.Next(3) > 0)
                {
                    await clock.After(_random.Next(1, 15)).WaitAsync(cancellationToken);
                }

                int fate = _random.Next(12);
                if (fate == 0 || requests.Any(request => request % PoisonEvery == PoisonEvery - 1))
                {
                    throw new InvalidDataException();
                }

                if (fate == 1)
                {
                    return [.. requests.Skip(1).Select(FakeProcessor.Of)];
                }

                foreach (int request in requests)
                {
                    _timesAnswered[request] = _timesAnswered.GetValueOrDefault(request) + 1;
                }

                return [.. requests.Select(FakeProcessor.Of)];
            }
            finally
            {
                _active--;
            }
        }

        private void Check(Submission submission, Exception? error, bool wasDisposed)
        {
            string who = $"request {submission.Request} of seed {seed}";
            Assert.That(submission.Response.IsCompleted, who);
            if (error is null)
            {
                Assert.That(submission.Response.Result, Is.EqualTo(FakeProcessor.Of(submission.Request)), who);
                Assert.That(_timesAnswered.GetValueOrDefault(submission.Request), Is.EqualTo(1), who);
                return;
            }

            bool explained = error switch
            {
                OperationCanceledException => submission.CancelledInTime || wasDisposed,
                TimeoutException => _configuration.RequestTimeout != Timeout.InfiniteTimeSpan && _configuration.RequestTimeoutAction == RequestTimeoutAction.Reject,
                InvalidOperationException e when QueueFullError.Is(e) => true,
                RequestDroppedException => _configuration.QueueFullPolicy == QueueFullPolicy.DropOldest,
                ObjectDisposedException => wasDisposed,
                InvalidDataException or BatchResponseException => true,
                _ => false,
            };
            Assert.That(explained, $"{who} ended in {error}");
            Assert.That(_timesAnswered.GetValueOrDefault(submission.Request), Is.LessThanOrEqualTo(1), who);
        }

        private void CheckTotals(QueueStatistics totals)
        {
            if (_configuration.PreserveOrder && _onePriority)
            {
                Assert.That(_processedEndings, Is.Ordered, $"seed {seed}");
            }

            int refusedAfterDisposal = _submissions.Count(submission => submission.Response.Exception?.InnerException is ObjectDisposedException);
            Assert.That(totals.SubmittedRequests, Is.EqualTo(_submissions.Count - refusedAfterDisposal), $"seed {seed}");
            Assert.That(
                totals.CompletedRequests + totals.FailedRequests + totals.CancelledRequests + totals.TimedOutRequests + totals.RejectedRequests + totals.DroppedRequests,
                Is.EqualTo(totals.SubmittedRequests),
                $"seed {seed}");
            Assert.That(totals.CompletedRequests, Is.EqualTo(_submissions.Count(submission => submission.Response.IsCompletedSuccessfully)), $"seed {seed}");
            Assert.That(totals.CancelledRequests, Is.EqualTo(_submissions.Count(submission => submission.Response.IsCanceled)), $"seed {seed}");
            Assert.That(totals, Has.Property("CurrentQueueSize").EqualTo(0).And.Property("WaitingForRoom").EqualTo(0), $"seed {seed}");
        }

        private T Pick<T>()
            where T : struct, Enum => Enum.GetValues<T>()[_random.Next(Enum.GetValues<T>().Length)];
    }

    private sealed record Submission(int Request, Task<string> Response, CancellationTokenSource Cancellation)
    {
        public bool CancelledInTime { get; set; }
    }
}
