namespace MLFramework.Serving;

/// <summary>A bar of a histogram.</summary>
/// <param name="LowerBound">The least value in the bar.</param>
/// <param name="UpperBound">The largest value in the bar.</param>
/// <param name="Count">How many values fell into it; at least 1.</param>
public readonly record struct HistogramBucket(double LowerBound, double UpperBound, long Count);
