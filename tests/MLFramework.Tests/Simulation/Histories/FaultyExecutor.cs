using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;
using MLFramework.Tests.Inference.ContinuousBatching.Support;

namespace MLFramework.Tests.Simulation.Histories;

/// <summary>A model that fails in every way that models fail: it throws, hangs, lies, and returns numbers that are none.</summary>
internal sealed class FaultyExecutor(MockModelExecutor model, FaultRates rates, HistoryRandom random, VirtualTimeProvider clock) : IModelExecutor
{
    private int _running;

    public HashSet<RequestId> Poisonous { get; } = [];

    public async Task<BatchOutput> ExecuteBatchAsync(Batch batch, CancellationToken cancellationToken = default)
    {
        bool overlaps = _running++ > 0;
        try
        {
            int milliseconds = 1 + (batch.TokenCount / 8);
            bool isInstant = !overlaps && random.Chance(0.2);
            if (random.Chance(rates.Slow))
            {
                milliseconds *= 20;
            }

            if (random.Chance(rates.HangUntilCancelled))
            {
                await Task.Delay(Timeout.InfiniteTimeSpan, clock, cancellationToken);
            }

            if (random.Chance(rates.HangOn))
            {
                // Ignores its cancellation, and writes nothing when it ends at last.
                await Task.Delay(TimeSpan.FromSeconds(random.Next(0, 3)), clock, CancellationToken.None);
                throw new InvalidOperationException("It hung and failed at last.");
            }

            if (random.Chance(rates.ThrowBefore))
            {
                throw new InvalidOperationException("The step failed before it computed anything.");
            }

            if (!isInstant)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(milliseconds), clock, cancellationToken);
            }

            if (batch.Requests.Exists(r => Poisonous.Contains(r.Id)))
            {
                throw new InvalidOperationException("A request of this batch is poison.");
            }

            BatchOutput output = await model.ExecuteBatchAsync(batch, CancellationToken.None);
            if (random.Chance(rates.ThrowAfter))
            {
                throw new InvalidOperationException("The step failed after it had written keys and values.");
            }

            return Spoil(batch, output);
        }
        finally
        {
            _running--;
        }
    }

    private BatchOutput Spoil(Batch batch, BatchOutput output)
    {
        Request victim = batch.Requests[random.Next(0, batch.Size - 1)];
        if (random.Chance(rates.WrongTokenCount))
        {
            output.GeneratedTokens.Remove(victim.Id);
        }

        if (random.Chance(rates.OutOfVocabulary) && output.GeneratedTokens.ContainsKey(victim.Id))
        {
            output.GeneratedTokens[victim.Id] = random.Pick(-1, WordTokenizer.VocabularySize);
        }

        if (random.Chance(rates.NanLogits) && output.GeneratedTokens.ContainsKey(victim.Id))
        {
            float[] logits = new float[WordTokenizer.VocabularySize];
            Array.Fill(logits, float.NaN);
            output.Logits[victim.Id] = logits;
        }

        if (random.Chance(rates.OwnFailure))
        {
            return output with { Failures = new Dictionary<RequestId, Exception> { [victim.Id] = new InvalidOperationException("Its logits are not numbers.") } };
        }

        return random.Chance(rates.WrongFlagCount) ? output with { IsEosReached = new bool[batch.Size + 1] } : output;
    }
}
