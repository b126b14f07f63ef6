namespace MLFramework.Simulation;

/// <summary>
/// Measures how evenly tenants are served, in weighted tokens: a prompt token counts <c>w_p</c>, a generated one <c>w_q</c>.
/// </summary>
/// <param name="promptWeight">w_p.</param>
/// <param name="generatedWeight">w_q.</param>
/// <remarks>
/// The service difference is that of Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024: over every interval in which two
/// tenants are both backlogged (each has requests waiting), the difference of what they were served. They bound it by
/// <c>2 · max(w_p · L_input, w_q · M)</c>, L_input the longest prompt and M the most tokens in a running batch.
/// </remarks>
internal sealed class FairnessMeter(double promptWeight, double generatedWeight)
{
    private readonly List<Tenant> _tenants = [];
    private readonly Dictionary<string, int> _indexByName = [];
    private readonly Dictionary<(int First, int Second), JointBacklog> _pairs = [];
    private readonly List<int> _backlogged = [];
    private int _longestPrompt;
    private int _largestBatchTokens;

    /// <summary>Largest service difference of any two tenants over any interval of common backlog.</summary>
    public double ServiceDifference { get; private set; }

    /// <summary>What the theorem allows.</summary>
    public double ServiceDifferenceBound => 2 * Math.Max(promptWeight * _longestPrompt, generatedWeight * _largestBatchTokens);

    /// <summary>Tenants in order of first appearance.</summary>
    public IReadOnlyList<Tenant> Tenants => _tenants;

    /// <summary>A request arrived.</summary>
    /// <returns>Index of its tenant.</returns>
    public int Arrived(Arrival arrival)
    {
        if (!_indexByName.TryGetValue(arrival.Tenant, out int index))
        {
            index = _tenants.Count;
            _indexByName.Add(arrival.Tenant, index);
            _tenants.Add(new Tenant(arrival.Tenant));
        }

        Tenant tenant = _tenants[index];
        tenant.Requests++;
        tenant.Demand += (promptWeight * arrival.PromptTokens) + (generatedWeight * arrival.OutputTokens);
        _longestPrompt = Math.Max(_longestPrompt, arrival.PromptTokens);
        return index;
    }

    /// <summary>A request of the tenant began to wait.</summary>
    public void WaitBegan(int tenant)
    {
        if (_tenants[tenant].Waiting++ == 0)
        {
            _backlogged.Add(tenant);
        }
    }

    /// <summary>A waiting request of the tenant was started or ended.</summary>
    public void WaitEnded(int tenant)
    {
        if (--_tenants[tenant].Waiting == 0)
        {
            _backlogged.Remove(tenant);
            _tenants[tenant].BacklogsEnded++;
        }
    }

    /// <summary>Tokens were computed for a tenant.</summary>
    public void Served(int tenant, int promptTokens, int generatedTokens) =>
        _tenants[tenant].Service += (promptWeight * promptTokens) + (generatedWeight * generatedTokens);

    /// <summary>A step ended: compares all tenants that are backlogged.</summary>
    /// <param name="batchTokens">Tokens in the batch: prompts and answers so far.</param>
    public void StepEnded(int batchTokens)
    {
        _largestBatchTokens = Math.Max(_largestBatchTokens, batchTokens);
        for (int i = 1; i < _backlogged.Count; i++)
        {
            for (int j = 0; j < i; j++)
            {
                Compare(Math.Min(_backlogged[i], _backlogged[j]), Math.Max(_backlogged[i], _backlogged[j]));
            }
        }
    }

    /// <summary>
    /// Jain's index of service over demand, (Σx)² / (n Σx²): 1 when every tenant got the same share of what it asked for,
    /// 1/n when one got everything. 1 without tenants.
    /// </summary>
    public double JainIndex()
    {
        double sum = 0;
        double squares = 0;
        foreach (Tenant tenant in _tenants)
        {
            double share = tenant.Service / tenant.Demand;
            sum += share;
            squares += share * share;
        }

        return squares == 0 ? 1 : sum * sum / (_tenants.Count * squares);
    }

    private void Compare(int first, int second)
    {
        Tenant a = _tenants[first];
        Tenant b = _tenants[second];
        double difference = a.Service - b.Service;
        int epoch = a.BacklogsEnded + b.BacklogsEnded;
        if (!_pairs.TryGetValue((first, second), out JointBacklog? pair) || pair.Epoch != epoch)
        {
            _pairs[(first, second)] = new JointBacklog(epoch, difference);
            return;
        }

        pair.Min = Math.Min(pair.Min, difference);
        pair.Max = Math.Max(pair.Max, difference);
        ServiceDifference = Math.Max(ServiceDifference, pair.Max - pair.Min);
    }

    /// <summary>One tenant's account.</summary>
    public sealed class Tenant(string name)
    {
        public string Name => name;

        public int Requests { get; set; }

        public double Demand { get; set; }

        public double Service { get; set; }

        public int Waiting { get; set; }

        public int BacklogsEnded { get; set; }
    }

    /// <summary>Extremes of the service difference since two tenants became backlogged together.</summary>
    private sealed class JointBacklog(int epoch, double difference)
    {
        public int Epoch => epoch;

        public double Min { get; set; } = difference;

        public double Max { get; set; } = difference;
    }
}
