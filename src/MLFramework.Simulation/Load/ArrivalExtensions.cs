using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Simulation;

/// <summary>Reshapes a load: each takes requests in order of arrival and gives them in that order.</summary>
public static class ArrivalExtensions
{
    /// <summary>Plays the load faster.</summary>
    /// <param name="arrivals">The load.</param>
    /// <param name="speed">How many times as fast, more than 0; below 1 is slower.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="speed"/> is not a positive number.</exception>
    public static IEnumerable<Arrival> AtSpeed(this IEnumerable<Arrival> arrivals, double speed)
    {
        if (!(speed > 0 && double.IsFinite(speed)))
        {
            throw new ArgumentOutOfRangeException(nameof(speed), speed, "The speed must be a positive number; 2 plays twice as fast.");
        }

        return speed == 1 ? arrivals : arrivals.Select(arrival => arrival with { Time = arrival.Time / speed });
    }

    /// <summary>Deals the requests out to tenants at random, named <c>tenant-1</c> and so on.</summary>
    /// <param name="arrivals">The load.</param>
    /// <param name="tenants">How many, at least 1.</param>
    /// <param name="seed">The same seed deals alike.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="tenants"/> is less than 1.</exception>
    public static IEnumerable<Arrival> WithTenants(this IEnumerable<Arrival> arrivals, int tenants, ulong seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(tenants, 1);
        ulong key = CounterHash.Derive(seed, 4);
        string[] names = [.. Enumerable.Range(1, tenants).Select(i => $"tenant-{i}")];
        return arrivals.Select((arrival, i) => arrival with { Tenant = names[CounterHash.Below(CounterHash.At(key, (ulong)i), tenants)] });
    }

    /// <summary>Makes the prompts of one tenant longer.</summary>
    /// <param name="arrivals">The load.</param>
    /// <param name="tenant">Whose.</param>
    /// <param name="factor">How many times as long, at least 1.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="factor"/> is less than 1.</exception>
    public static IEnumerable<Arrival> WithLongerPrompts(this IEnumerable<Arrival> arrivals, string tenant, int factor)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(factor, 1);
        return arrivals.Select(arrival => arrival.Tenant != tenant
            ? arrival
            : arrival with { Prompt = [.. arrival.Prompt.Select(s => s with { Length = checked(s.Length * factor) })] });
    }

    /// <summary>Begins every prompt with its tenant's own system prompt.</summary>
    /// <param name="arrivals">The load.</param>
    /// <param name="tokens">Length of the system prompt, at least 1.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="tokens"/> is less than 1.</exception>
    public static IEnumerable<Arrival> WithSharedPrefix(this IEnumerable<Arrival> arrivals, int tokens)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(tokens, 1);
        // Traces and generators name their content by numbers of 0 and more.
        var idByTenant = new Dictionary<string, long>();
        return arrivals.Select(arrival =>
        {
            idByTenant.TryAdd(arrival.Tenant, -1 - idByTenant.Count);
            return arrival with { Prompt = [new PromptSegment(idByTenant[arrival.Tenant], tokens), .. arrival.Prompt] };
        });
    }

    /// <summary>Gives the requests priorities at random.</summary>
    /// <param name="arrivals">The load.</param>
    /// <param name="weights">Weight of each class from <see cref="Priority.Low"/> to <see cref="Priority.Urgent"/>: four numbers, none negative, not all 0.</param>
    /// <param name="seed">The same seed deals alike.</param>
    /// <exception cref="ArgumentException"><paramref name="weights"/> is not four such numbers.</exception>
    public static IEnumerable<Arrival> WithPriorities(this IEnumerable<Arrival> arrivals, IReadOnlyList<int> weights, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(weights);
        Priority[] classes = Enum.GetValues<Priority>();
        if (weights.Count != classes.Length || weights.Any(w => w < 0) || weights.Sum() == 0)
        {
            throw new ArgumentException($"Priorities need {classes.Length} weights (low, normal, high, urgent), none negative and not all 0.", nameof(weights));
        }

        ulong key = CounterHash.Derive(seed, 5);
        return arrivals.Select((arrival, i) => arrival with { Priority = Draw(CounterHash.At(key, (ulong)i)) });

        Priority Draw(ulong uniform)
        {
            int ticket = CounterHash.Below(uniform, weights.Sum());
            int chosen = 0;
            while (ticket >= weights[chosen])
            {
                ticket -= weights[chosen++];
            }

            return classes[chosen];
        }
    }

    /// <summary>Plays two loads at once.</summary>
    /// <param name="first">One load; of two requests at the same time, its own come first.</param>
    /// <param name="second">The other.</param>
    public static IEnumerable<Arrival> MergeWith(this IEnumerable<Arrival> first, IEnumerable<Arrival> second) =>
        first.Concat(second).OrderBy(arrival => arrival.Time);
}
