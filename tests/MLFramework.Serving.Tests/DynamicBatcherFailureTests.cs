using Microsoft.Extensions.Logging;

namespace MLFramework.Serving.Tests;

public class DynamicBatcherFailureTests
{
    private readonly BatchingConfiguration _configuration = new() { MaxBatchSize = 8, PreferBatchSize = 8, MaxConcurrentBatches = 1 };

    [Test]
    public void A_processor_that_throws_fails_every_request_of_its_batch_and_no_other() => Simulated.Run(async clock =>
    {
        var processor = new FakeProcessor(clock) { Fault = (call, _) => { if (call == 1) { throw new InvalidDataException("broken"); } } };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        Task<string>[] first = await DynamicBatcherTests.SubmitAsync(batcher, clock, 0, 8);
        Task<string>[] second = await DynamicBatcherTests.SubmitAsync(batcher, clock, 8, 8);
        Assert.That(first.Select(task => task.Exception?.InnerException), Is.All.TypeOf<InvalidDataException>().And.All.Message.EqualTo("broken"));
        Assert.That(second.Select(task => task.IsCompletedSuccessfully), Is.All.True);
        Assert.That(batcher.GetStatistics(), Has.Property("FailedRequests").EqualTo(8).And.Property("CompletedRequests").EqualTo(8));
    });

    [Test]
    public void A_processor_that_throws_before_its_first_await_does_the_same() => Simulated.Run(async clock =>
    {
        await using var batcher = new DynamicBatcher<int, string>(
            _configuration, (List<int> _) => throw new InvalidDataException(), clock, scheduler: TaskScheduler.FromCurrentSynchronizationContext());
        Assert.That(await Simulated.ErrorOf(batcher.ProcessAsync(1)), Is.TypeOf<InvalidDataException>());
    });

    [Test]
    public void Wrong_numbers_of_responses_fail_the_batch_with_a_message_that_tells([Values("few", "many")] string wrong) => Simulated.Run(async clock =>
    {
        var processor = new FakeProcessor(clock) { Answer = requests => [.. Enumerable.Repeat("?", requests.Count + (wrong == "few" ? -1 : 1))] };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        Task<string>[] all = await DynamicBatcherTests.SubmitAsync(batcher, clock, 0, 8);
        Assert.That(
            all.Select(task => task.Exception?.InnerException),
            Is.All.TypeOf<BatchResponseException>().And.All.Message.Contains($"returned {(wrong == "few" ? 7 : 9)} responses, too {wrong} for a batch of 8"));
    });

    [Test]
    public void A_null_list_or_task_fails_the_batch_with_a_message_that_tells([Values] bool nullTask) => Simulated.Run(async clock =>
    {
        await using var batcher = new DynamicBatcher<int, string>(
            _configuration, (List<int> _) => nullTask ? null! : Task.FromResult<List<string>>(null!), clock, scheduler: TaskScheduler.FromCurrentSynchronizationContext());
        Assert.That(
            await Simulated.ErrorOf(batcher.ProcessAsync(1)),
            Is.TypeOf<BatchResponseException>().And.Message.Contains("returned null").And.Property("ExpectedCount").EqualTo(1).And.Property("ActualCount").Null);
    });

    [Test]
    public void A_transient_fault_is_retried_after_the_delay_and_nobody_notices() => Simulated.Run(async clock =>
    {
        _configuration.MaxRetries = 2;
        _configuration.RetryDelay = TimeSpan.FromMilliseconds(30);
        var processor = new FakeProcessor(clock) { Fault = (call, _) => { if (call <= 2) { throw new InvalidDataException(); } } };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        Task<string>[] all = await DynamicBatcherTests.SubmitAsync(batcher, clock, 0, 8);
        await Simulated.All(all);
        Assert.That(processor.Calls.Select(call => call.At.TotalMilliseconds), Is.EqualTo(new[] { 0, 30, 60 }));
        Assert.That(batcher.GetStatistics(), Has.Property("BatchRetries").EqualTo(2).And.Property("CompletedRequests").EqualTo(8).And.Property("FailedRequests").EqualTo(0));
    });

    [Test]
    public void Retries_end_at_their_number() => Simulated.Run(async clock =>
    {
        _configuration.MaxRetries = 2;
        var processor = new FakeProcessor(clock) { Fault = (call, _) => throw new InvalidDataException($"attempt {call}") };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        Assert.That(await Simulated.ErrorOf(batcher.ProcessAsync(1)), Is.TypeOf<InvalidDataException>().And.Message.EqualTo("attempt 3"));
    });

    [Test]
    public void Splitting_isolates_each_bad_request_with_its_own_exception([Values(0, 3, 7)] int bad, [Values(-1, 5)] int alsoBad) => Simulated.Run(async clock =>
    {
        _configuration.FailurePolicy = BatchFailurePolicy.Split;
        var processor = new FakeProcessor(clock) { Fault = (_, requests) => { foreach (int request in requests) { if (request == bad || request == alsoBad) { throw new InvalidDataException($"{request} is bad"); } } } };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        Task<string>[] all = await DynamicBatcherTests.SubmitAsync(batcher, clock, 0, 8);
        for (int i = 0; i < all.Length; i++)
        {
            if (i == bad || i == alsoBad)
            {
                Assert.That(all[i].Exception?.InnerException, Is.TypeOf<InvalidDataException>().And.Message.EqualTo($"{i} is bad"));
            }
            else
            {
                Assert.That(await all[i], Is.EqualTo(FakeProcessor.Of(i)));
            }
        }

        Assert.That(processor.Calls, Has.Count.EqualTo(alsoBad < 0 ? 7 : bad == 7 ? 11 - 2 : 11), "2·log2(8) further calls for one; shared halves for more");
        Assert.That(batcher.GetStatistics().BatchSplits, Is.EqualTo(processor.Calls.Count / 2));
    });

    [Test]
    public void Splitting_preserves_the_order_of_batches() => Simulated.Run(async clock =>
    {
        _configuration.FailurePolicy = BatchFailurePolicy.Split;
        _configuration.PreserveOrder = true;
        _configuration.MaxConcurrentBatches = 2;
        var processor = new FakeProcessor(clock) { Duration = _ => 5, Fault = (_, requests) => { if (requests.Contains(7)) { throw new InvalidDataException(); } } };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(_configuration, processor);
        Task<string>[] first = await DynamicBatcherTests.SubmitAsync(batcher, clock, 0, 8);
        Task<string>[] second = await DynamicBatcherTests.SubmitAsync(batcher, clock, 8, 8);
        await second[0];
        Assert.That(first.Select(task => task.IsCompleted), Is.All.True);
    });

    [Test]
    public void A_logger_that_throws_neither_kills_the_consumer_nor_loses_a_caller() => Simulated.Run(async clock =>
    {
        var processor = new FakeProcessor(clock) { Fault = (call, _) => { if (call == 1) { throw new InvalidDataException(); } } };
        await using var batcher = new DynamicBatcher<int, string>(
            _configuration, processor.ProcessAsync, clock, new ThrowingLogger(), scheduler: TaskScheduler.FromCurrentSynchronizationContext());
        Assert.That(await Simulated.ErrorOf(batcher.ProcessAsync(1)), Is.TypeOf<NotSupportedException>());
        Assert.That(await batcher.ProcessAsync(2), Is.EqualTo("2"));
    });

    private sealed class ThrowingLogger : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            throw new NotSupportedException("the disk is full");
    }
}
