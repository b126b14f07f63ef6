using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;

namespace MLFramework.Tests.Simulation.Execution;

public class SimulatedModelExecutorTests
{
    private static readonly CostModel Cost = new(PerStep: 0.0012345, WeightRead: 0, PerToken: 0, PerKVToken: 0, PerAttentionPair: 0);
    private readonly SimulationContext _context = new(new VirtualTimeProvider());

    [Test]
    public void A_step_takes_exactly_what_the_cost_model_says()
    {
        using SimulatedModelExecutor executor = NewExecutor();
        Batch batch = BatchOf(Sequences.OfLength(4));
        _context.Run(async () =>
        {
            _ = await executor.ExecuteBatchAsync(batch);
            _ = await executor.ExecuteBatchAsync(batch);
        });
        Assert.That(_context.Clock.Elapsed, Is.EqualTo(TimeSpan.FromMilliseconds(2 * 1.2345)));
        Assert.That(executor.BusyTime, Is.EqualTo(_context.Clock.Elapsed));
        Assert.That(executor.Steps, Is.EqualTo(2));
        Assert.That(executor.EstimateDuration(batch), Is.EqualTo(TimeSpan.FromMilliseconds(1.2345)));
    }

    [Test]
    public void A_request_gets_the_number_of_tokens_that_its_trace_says_and_then_ends()
    {
        using SimulatedModelExecutor executor = NewExecutor();
        Sequence sequence = Sequences.OfLength(4, outputTokens: 3);
        List<(int Token, bool Ended)> steps = Decode(executor, sequence, 3);
        Assert.That(steps.Select(s => s.Ended), Is.EqualTo(new[] { false, false, true }));
        Assert.That(steps[2].Token, Is.EqualTo(SimulatedTokenizer.EosTokenId));
        Assert.That(steps[..2].Select(s => s.Token), Has.None.EqualTo(SimulatedTokenizer.EosTokenId));
    }

    [Test]
    public void A_prefill_chunk_that_does_not_reach_the_end_yields_no_token()
    {
        using SimulatedModelExecutor executor = NewExecutor();
        Sequence sequence = Sequences.OfLength(10, outputTokens: 1);
        var batch = new Batch(1);
        batch.AddScheduled(sequence, 0, 9);
        BatchOutput output = Run(executor, batch);
        Assert.That(output.GeneratedTokens, Is.Empty);
        Assert.That(output.IsEosReached, Is.EqualTo(new[] { false }));
    }

    [Test]
    public void Tokens_depend_on_seed_and_context_but_not_on_the_batch()
    {
        List<int> alone = Tokens(seed: 1, neighbours: 0);
        Assert.That(Tokens(seed: 1, neighbours: 5), Is.EqualTo(alone));
        Assert.That(Tokens(seed: 2, neighbours: 0), Is.Not.EqualTo(alone));
    }

    [Test]
    public void Flags_are_as_many_as_the_batch_has_requests_when_its_size_changes()
    {
        using SimulatedModelExecutor executor = NewExecutor();
        Sequence ending = Sequences.OfLength(4, outputTokens: 1);
        Assert.That(Run(executor, BatchOf(Sequences.OfLength(4), ending)).IsEosReached, Is.EqualTo(new[] { false, true }));
        Assert.That(Run(executor, BatchOf(Sequences.OfLength(4))).IsEosReached, Is.EqualTo(new[] { false }));
        Assert.That(Run(executor, BatchOf(Sequences.OfLength(4), Sequences.OfLength(4))).IsEosReached, Is.EqualTo(new[] { false, false }));
    }

    [Test]
    public void A_step_that_is_given_up_ends_cancelled_and_the_next_one_runs()
    {
        using SimulatedModelExecutor executor = NewExecutor();
        using var giveUp = new CancellationTokenSource();
        Batch batch = BatchOf(Sequences.OfLength(4));
        _context.Run(async () =>
        {
            Task<BatchOutput> abandoned = executor.ExecuteBatchAsync(batch, giveUp.Token);
            giveUp.Cancel(); // CancelAsync would leave the simulation's thread
            Assert.That(async () => await abandoned, Throws.InstanceOf<OperationCanceledException>());
            _ = await executor.ExecuteBatchAsync(batch);
        });
        Assert.That(_context.Clock.Elapsed, Is.EqualTo(TimeSpan.FromMilliseconds(1.2345)));
    }

    [Test]
    public void A_batch_without_a_schedule_is_refused()
    {
        using SimulatedModelExecutor executor = NewExecutor();
        var batch = new Batch(1);
        batch.AddRequest(Sequences.OfLength(4).Request);
        Assert.That(() => executor.ExecuteBatchAsync(batch), Throws.ArgumentException.With.Message.Contains("batch manager"));
    }

    private static Batch BatchOf(params Sequence[] sequences)
    {
        var batch = new Batch(1);
        foreach (Sequence sequence in sequences)
        {
            batch.AddScheduled(sequence, sequence.TokenCount - 1, 1);
        }

        return batch;
    }

    private SimulatedModelExecutor NewExecutor(ulong seed = 0) => new(Cost, _context.Clock, seed);

    private List<int> Tokens(ulong seed, int neighbours)
    {
        using SimulatedModelExecutor executor = NewExecutor(seed);
        Sequence[] others = [.. Enumerable.Range(0, neighbours).Select(i => Sequences.OfLength(5 + i))];
        return [.. Decode(executor, Sequences.OfLength(4, outputTokens: 20), 10, others).Select(s => s.Token)];
    }

    /// <summary>What the scheduler does with an output, for one sequence: append and go on.</summary>
    private List<(int Token, bool Ended)> Decode(SimulatedModelExecutor executor, Sequence sequence, int steps, params Sequence[] others)
    {
        var log = new List<(int Token, bool Ended)>();
        for (int i = 0; i < steps; i++)
        {
            BatchOutput output = Run(executor, BatchOf([.. others, sequence]));
            int token = output.GeneratedTokens[sequence.Request.Id];
            log.Add((token, output.IsEosReached[^1]));
            sequence.AppendToken(token);
            sequence.Request.GeneratedTokens++;
        }

        return log;
    }

    private BatchOutput Run(SimulatedModelExecutor executor, Batch batch)
    {
        BatchOutput? output = null;
        _context.Run(async () => output = await executor.ExecuteBatchAsync(batch));
        return output!;
    }
}
