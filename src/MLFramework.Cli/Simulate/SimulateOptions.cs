using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using MLFramework.Simulation;

namespace MLFramework.Cli;

/// <summary>The options of <c>mlf simulate</c>.</summary>
internal sealed class SimulateOptions
{
    private static readonly Dictionary<string, ArrivalProcess> Processes = new()
    {
        ["poisson"] = ArrivalProcess.Poisson,
        ["gamma"] = ArrivalProcess.Gamma,
    };

    private static readonly Dictionary<string, SchedulingOrder> Orders = new()
    {
        ["full"] = SchedulingOrder.Full,
        ["fcfs"] = SchedulingOrder.FirstComeFirstServed,
        ["priority"] = SchedulingOrder.Priority,
        ["fair"] = SchedulingOrder.TenantFair,
    };

    private readonly Option<FileInfo?> _trace = Options.Parsed<FileInfo?>(
        "--trace", "FILE", "Replay FILE: an Azure LLM inference trace (.csv) or a Mooncake trace (.jsonl).", text =>
            text.Length > 0 ? new FileInfo(text) : throw new FormatException("must name a file"));

    private readonly Option<ArrivalProcess> _load = Options.Choice("--load", "Generate a load, even or bursty, if there is no trace [poisson].", Processes);

    private readonly Option<double?> _rate = Options.Number("--rate", "Requests per second of the generated load [half of what the machine could do].", GeneratedLoad.MinRate, GeneratedLoad.MaxRate);
    private readonly Option<int?> _requests = Options.Integer("--requests", "How many requests: of a trace the first, of a generated load all [1000].", 1, 10_000_000);
    private readonly Option<double?> _burstiness = Options.Number("--burstiness", "Coefficient of variation between arrivals, for --load gamma [2].", 0.01, 100);
    private readonly Option<LengthDistribution?> _promptTokens = Length("--prompt-tokens", "Prompt lengths of the generated load, fixed or MEDIAN~SPREAD [1020~0.5].");
    private readonly Option<LengthDistribution?> _outputTokens = Length("--output-tokens", "Answer lengths of the generated load [129~1].");
    private readonly Option<int?> _tenants = Options.Integer("--tenants", "Deal the requests out to this many tenants.", 1, 64);
    private readonly Option<int?> _heavyTenant = Options.Integer("--heavy-tenant", "Prompts of the first tenant are this many times as long.", 2, 100);
    private readonly Option<int?> _sharedPrefix = Options.Integer("--shared-prefix", "Tokens of a system prompt before each prompt, one per tenant.", 1, 1_000_000);

    private readonly Option<int[]?> _priorities = Options.Parsed<int[]?>(
        "--priorities", "L:N:H:U", "Weights of the classes low, normal, high and urgent, as 1:7:2:0 [all normal].", ParseWeights);

    private readonly Option<double?> _speed = Options.Number("--speed", "Play the load this many times as fast [1].", 1e-3, 1e6);

    private readonly Option<ulong> _seed = Options.Parsed("--seed", "N", "The same seed gives the same run [0].", text =>
        ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ulong seed) ? seed : throw new FormatException("must be a whole number of 0 or more"));

    private readonly Option<ModelPreset?> _preset = Options.Choice(
        "--preset", $"The model and its machine [{ModelPreset.Llama8BOnH100.Name}].", ModelPreset.All.ToDictionary(p => p.Name));

    private readonly Option<SchedulingOrder> _policy = Options.Choice("--policy", "What decides who is served first [full].", Orders);

    private readonly Option<TimeSpan?> _sloTtft = Options.Duration("--slo-ttft", "Goodput: longest time to first token [the preset's].");
    private readonly Option<TimeSpan?> _sloItl = Options.Duration("--slo-itl", "Goodput: longest mean time between a request's tokens [the preset's].");
    private readonly Option<TimeSpan?> _sloItlP99 = Options.Duration("--slo-itl-p99", "Goodput: longest time between tokens but for one gap in a hundred [none].");
    private readonly Option<TimeSpan?> _maxQueueDelay = Options.Duration("--max-queue-delay", "Refuse what would wait longer [half of the objective for the first token].");
    private readonly Option<int?> _maxBatch = Options.Integer("--max-batch", "Requests that run together [the preset's].", 1, 65_536);
    private readonly Option<int?> _kvBlocks = Options.Integer("--kv-blocks", "KV blocks of 16 tokens [the preset's].", 1, 10_000_000);
    private readonly Option<bool> _json = new("--json") { Description = "Print the report as JSON." };

    /// <summary>Options that a trace leaves nothing to say.</summary>
    private IEnumerable<Option> OfGeneratedLoads => [_load, _rate, _burstiness, _promptTokens, _outputTokens];

    /// <summary>Adds the options and the rules between them.</summary>
    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])
        [
            _trace, _load, _rate, _requests, _burstiness, _promptTokens, _outputTokens, _tenants, _heavyTenant, _sharedPrefix, _priorities,
            _speed, _seed, _preset, _policy, _sloTtft, _sloItl, _sloItlP99, _maxQueueDelay, _maxBatch, _kvBlocks, _json,
        ])
        {
            command.Add(option);
        }

        command.Validators.Add(CheckCombination);
    }

    /// <summary>Reads the values of a command line that has been checked.</summary>
    public SimulateSettings Read(ParseResult parsed) => new()
    {
        Trace = parsed.GetValue(_trace),
        Process = parsed.GetValue(_load),
        Rate = parsed.GetValue(_rate),
        Requests = parsed.GetValue(_requests),
        Burstiness = parsed.GetValue(_burstiness),
        PromptTokens = parsed.GetValue(_promptTokens) ?? LengthDistribution.ConversationPrompts,
        OutputTokens = parsed.GetValue(_outputTokens) ?? LengthDistribution.ConversationAnswers,
        Tenants = parsed.GetValue(_tenants),
        HeavyTenant = parsed.GetValue(_heavyTenant),
        SharedPrefix = parsed.GetValue(_sharedPrefix),
        // An array option that was not given is empty, not null.
        Priorities = parsed.GetValue(_priorities) is { Length: > 0 } weights ? weights : null,
        Speed = parsed.GetValue(_speed) ?? 1,
        Seed = parsed.GetValue(_seed),
        Preset = parsed.GetValue(_preset) ?? ModelPreset.Llama8BOnH100,
        Order = parsed.GetValue(_policy),
        SloTimeToFirstToken = parsed.GetValue(_sloTtft),
        SloInterToken = parsed.GetValue(_sloItl),
        SloInterTokenP99 = parsed.GetValue(_sloItlP99),
        MaxQueueDelay = parsed.GetValue(_maxQueueDelay),
        MaxBatch = parsed.GetValue(_maxBatch),
        KVBlocks = parsed.GetValue(_kvBlocks),
        Json = parsed.GetValue(_json),
    };

    private void CheckCombination(CommandResult result)
    {
        if (result.GetResult(_trace) is not null)
        {
            foreach (Option option in OfGeneratedLoads.Where(o => result.GetResult(o) is not null))
            {
                result.AddError($"{option.Name} shapes a generated load; drop it, or --trace.");
            }
        }
        else if (result.GetResult(_burstiness) is not null && result.GetValue(_load) != ArrivalProcess.Gamma)
        {
            result.AddError("--burstiness needs --load gamma; a Poisson load has a burstiness of 1.");
        }

        if (result.GetResult(_heavyTenant) is not null && !(result.GetValue(_tenants) >= 2))
        {
            result.AddError("--heavy-tenant compares tenants; add --tenants 2 or more.");
        }
    }

    private static Option<LengthDistribution?> Length(string name, string description) =>
        Options.Parsed<LengthDistribution?>(name, "TOKENS", description, LengthDistribution.Parse);

    private static int[] ParseWeights(string text)
    {
        string[] parts = text.Split(':');
        int[] weights = [.. parts.Select(part => int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int w) && w <= 1000 ? w : -1)];
        return weights.Length == 4 && weights.All(w => w >= 0) && weights.Sum() > 0
            ? weights
            : throw new FormatException("must be four weights from 0 to 1000, not all 0, as 1:7:2:0");
    }
}
