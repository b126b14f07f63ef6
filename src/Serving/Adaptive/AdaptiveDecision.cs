namespace MLFramework.Serving;

/// <summary>What <see cref="TimeoutStrategy.Adaptive"/> has learned, and the batch size that it waits for because of it.</summary>
/// <param name="ArrivalsPerSecond">Requests submitted a second, averaged over about the last second.</param>
/// <param name="BatchOverhead">The part of a batch's processing time that does not depend on its size.</param>
/// <param name="TimePerRequest">The part of the processing time that each request adds.</param>
/// <param name="TargetBatchSize">The size at which a batch goes out without further waiting, 1 to <see cref="BatchingConfiguration.MaxBatchSize"/>.</param>
public sealed record AdaptiveDecision(double ArrivalsPerSecond, TimeSpan BatchOverhead, TimeSpan TimePerRequest, int TargetBatchSize);
