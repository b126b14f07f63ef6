namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// A request's place in the order of service. Ranks that compare lower come first.
/// </summary>
/// <remarks>
/// The effective class of a request is its class plus one for each aging interval that it has waited, counted on a fixed grid:
/// <c>Class + (now − Epoch)</c>, with both times in whole intervals. <c>now</c> is the same for two requests that are compared, so
/// the order between them is that of <see cref="Level"/>, and never changes while they wait: it can be kept sorted.
/// Because the level has no ceiling, nothing starves: whatever arrives more than (3 − Class) intervals later ranks lower.
/// </remarks>
/// <param name="Class">Priority class, 0–3.</param>
/// <param name="Epoch">Aging interval of the grid in which the request arrived.</param>
/// <param name="Deadline">Timestamp of the caller's deadline; <see cref="long.MaxValue"/> for none.</param>
/// <param name="Arrival">Sequential number of arrival, unique.</param>
internal readonly record struct Rank(int Class, long Epoch, long Deadline, long Arrival) : IComparable<Rank>
{
    /// <summary>Effective class but for a constant that all requests share; higher comes first.</summary>
    public long Level => Class - Epoch;

    public int CompareTo(Rank other)
    {
        int byLevel = other.Level.CompareTo(Level);
        return byLevel != 0 ? byLevel : CompareWithinLevel(other);
    }

    /// <summary>Whether this rank is to be served before <paramref name="other"/>.</summary>
    public bool IsAbove(Rank other) => CompareTo(other) < 0;

    private int CompareWithinLevel(Rank other)
    {
        int byClass = other.Class.CompareTo(Class);
        if (byClass != 0)
        {
            return byClass;
        }

        int byDeadline = Deadline.CompareTo(other.Deadline);
        return byDeadline != 0 ? byDeadline : Arrival.CompareTo(other.Arrival);
    }
}
