using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;

namespace MLFramework.Tests.Simulation.Replay;

public class SimulationRunTests
{
    private static readonly SimulationOptions Options = new(ModelPreset.Llama8BOnH100);
    private static readonly AdmissionLimits NoDelayLimit = AdmissionLimits.Default;

    [Test]
    public void A_lone_request_takes_what_the_cost_model_says()
    {
        CostModel cost = ModelPreset.Llama8BOnH100.Cost;
        SimulationReport report = SimulationRun.Execute([At(0.5, prompt: 100, output: 3)], Options);
        TimeSpan ttft = cost.StepDuration(0, 100);
        TimeSpan end = ttft + cost.StepDuration(100, 1) + cost.StepDuration(101, 1);
        Assert.That(report.Latency.TimeToFirstToken!.Max, Is.EqualTo(ttft.TotalMilliseconds));
        Assert.That(report.Latency.EndToEnd!.Max, Is.EqualTo(end.TotalMilliseconds));
        Assert.That(report.DurationSeconds, Is.EqualTo(0.5 + end.TotalSeconds).Within(1e-9));
        Assert.That(report.Throughput.GeneratedTokens, Is.EqualTo(3));
        Assert.That(report.Engine.Utilization, Is.EqualTo(end.TotalSeconds / report.DurationSeconds).Within(1e-9));
    }

    [Test]
    public void Every_request_gets_exactly_the_tokens_that_its_row_says()
    {
        Arrival[] load = [.. new GeneratedLoad(15, 300) { Seed = 3 }.Generate()];
        SimulationReport report = SimulationRun.Execute(load, Options with { Admission = NoDelayLimit });
        Assert.That(report.Requests.Completed, Is.EqualTo(300));
        Assert.That(report.Throughput.GeneratedTokens, Is.EqualTo(load.Sum(a => (long)a.OutputTokens)));
        Assert.That(report.Throughput.PromptTokensPerSecond * report.DurationSeconds, Is.EqualTo(load.Sum(a => (double)a.PromptTokens)).Within(0.5));
    }

    [Test]
    public void An_answer_longer_than_callers_allow_is_not_cut() =>
        Assert.That(SimulationRun.Execute([At(0, 10, output: 50)], Options with { MaxTokens = 20 }).Throughput.GeneratedTokens, Is.EqualTo(50));

    [Test]
    public void The_same_seed_gives_the_same_report()
    {
        string first = Run();
        Assert.That(Run(), Is.EqualTo(first));

        static string Run() => Print(SimulationRun.Execute(
            new GeneratedLoad(20, 200) { Seed = 9, Burstiness = 3 }.Generate().WithTenants(3, 1).WithPriorities([1, 2, 1, 1], 1), Options));
    }

    [Test]
    public void What_the_recorder_measures_is_what_the_scheduler_reports()
    {
        var results = new List<RequestResult>();
        Arrival[] load = [.. new GeneratedLoad(15, 200).Generate()];
        SimulationReport report = SimulationRun.Execute(load, Options with { Admission = NoDelayLimit, RequestEnded = results.Add });
        Assert.That(results, Has.Count.EqualTo(200));
        Assert.That(report.Latency.TimeToFirstToken!.Mean, Is.EqualTo(results.Average(r => r.TimeToFirstToken!.Value.TotalMilliseconds)).Within(1e-6));
        Assert.That(report.Latency.Queue!.Mean, Is.EqualTo(results.Average(r => r.QueueTime.TotalMilliseconds)).Within(1e-6));
        Assert.That(report.Latency.EndToEnd!.Mean, Is.EqualTo(results.Average(r => r.TotalTime.TotalMilliseconds)).Within(1e-6));
    }

    [Test]
    public void Requests_of_equal_beginnings_share_their_prefix()
    {
        PromptSegment system = new(1, 1024);
        Arrival[] load = [.. Enumerable.Range(0, 10).Select(i => new Arrival(TimeSpan.FromSeconds(i), [system, new PromptSegment(100 + i, 16)], 5))];
        EngineReport engine = SimulationRun.Execute(load, Options).Engine;
        Assert.That(engine.CacheHitRate, Is.EqualTo(9 * 1024 / (10 * 1040.0)).Within(1e-9));
    }

    [Test]
    public void Tenants_do_not_share_prefixes_whatever_the_order()
    {
        Arrival[] load = [.. Enumerable.Range(0, 4).Select(i => At(i, 1024, 5) with { Prompt = [new PromptSegment(1, 1024)], Tenant = $"t{i}" })];
        Assert.That(SimulationRun.Execute(load, Options with { Order = SchedulingOrder.FirstComeFirstServed }).Engine.CacheHitRate, Is.Zero);
    }

    [Test]
    public void A_small_cache_preempts_and_still_completes_everything()
    {
        ModelPreset small = ModelPreset.Llama8BOnH100 with { Cache = new KVCacheConfiguration(64) };
        Arrival[] load = [.. Enumerable.Range(0, 12).Select(i => At(i * 0.001, prompt: 64, output: 200) with { Prompt = [new PromptSegment(i, 64)] })];
        SimulationReport report = SimulationRun.Execute(load, new SimulationOptions(small) { Admission = NoDelayLimit });
        Assert.That(report.Engine.Preemptions, Is.Positive);
        Assert.That(report.Engine.PeakCacheUse, Is.InRange(0.9, 1));
        Assert.That(report.Requests.Completed, Is.EqualTo(12));
        Assert.That(report.Throughput.GeneratedTokens, Is.EqualTo(12 * 200));
    }

    [Test]
    public void A_prompt_that_never_fits_fails_alone()
    {
        ModelPreset small = ModelPreset.Llama8BOnH100 with { Cache = new KVCacheConfiguration(64) };
        RequestCounts counts = SimulationRun.Execute([At(0, 5000, 5), At(0, 100, 5)], new SimulationOptions(small)).Requests;
        Assert.That((counts.Failed, counts.Completed), Is.EqualTo((1, 1)));
    }

    [Test]
    public void Overload_keeps_the_queue_short_refuses_with_a_reason_and_keeps_its_goodput()
    {
        SimulationReport peak = AtRate(18);
        SimulationReport overload = AtRate(60);
        Assert.That(overload.Requests.Rejected.Keys, Is.EqualTo(new[] { RejectionReason.QueueDelay }));
        Assert.That(overload.Engine.PeakQueuedRequests, Is.LessThan(60), "about the requests of a second");
        Assert.That(overload.Goodput.RequestsPerSecond, Is.GreaterThan(0.85 * peak.Goodput.RequestsPerSecond));

        static SimulationReport AtRate(int rate)
        {
            // Answers of one length: a few long ones at the end would stretch the time that rates are divided by.
            var load = new GeneratedLoad(rate, rate * 60) { OutputTokens = new LengthDistribution(150) };
            SimulationReport report = SimulationRun.Execute(load.Generate(), Options);
            TestContext.Out.WriteLine($"{rate}/s: goodput {report.Goodput.RequestsPerSecond:N2}/s, longest queue {report.Engine.PeakQueuedRequests}");
            return report;
        }
    }

    [Test]
    public void Priority_decides_who_waits_and_first_come_first_served_ignores_it()
    {
        Arrival[] load = [.. Enumerable.Range(0, 60).Select(i => At(0, 1000, 50) with
        {
            Prompt = [new PromptSegment(i, 1000)],
            Tenant = i % 4 == 0 ? "vip" : "others",
            Priority = i % 4 == 0 ? Priority.High : Priority.Normal,
        })];
        var options = new SimulationOptions(ModelPreset.Llama8BOnH100 with { MaxBatchSize = 4 }) { Admission = NoDelayLimit };
        Assert.That(VipOverOthers(SchedulingOrder.Priority), Is.LessThan(0.6));
        Assert.That(VipOverOthers(SchedulingOrder.FirstComeFirstServed), Is.EqualTo(1).Within(0.15));

        double VipOverOthers(SchedulingOrder order)
        {
            IReadOnlyList<TenantReport> tenants = SimulationRun.Execute(load, options with { Order = order }).Fairness.Tenants;
            return tenants[0].TimeToFirstToken!.Mean / tenants[1].TimeToFirstToken!.Mean;
        }
    }

    [TestCase(SchedulingOrder.Full)]
    [TestCase(SchedulingOrder.TenantFair)]
    public void Two_tenants_always_backlogged_are_served_within_the_bound_though_one_has_ten_times_longer_prompts(SchedulingOrder order)
    {
        FairnessReport fairness = TwoBackloggedTenants(order);
        Assert.That(fairness.ServiceDifference, Is.Positive.And.AtMost(fairness.ServiceDifferenceBound));
    }

    [Test]
    public void First_come_first_served_is_not_fair_to_tenants_so_the_bound_can_fail() =>
        Assert.That(TwoBackloggedTenants(SchedulingOrder.FirstComeFirstServed), Has.Property("ServiceDifference").GreaterThan(TwoBackloggedTenants(SchedulingOrder.Full).ServiceDifferenceBound));

    [Test]
    public void The_lowest_class_waits_no_longer_than_aging_allows()
    {
        TimeSpan interval = TimeSpan.FromSeconds(5);
        (double lowest, double high) = LongestWaits(interval);

        // Two intervals make a waiting low request the equal of a high one that arrives then; it goes before that one and all later ones.
        Assert.That(lowest, Is.GreaterThan(high).And.LessThan((2 * interval.TotalMilliseconds) + high + 1000));
        Assert.That(LongestWaits(TimeSpan.FromHours(1)).Lowest, Is.GreaterThan(40_000), "without aging it waits until the others have gone");

        static (double Lowest, double High) LongestWaits(TimeSpan agingInterval)
        {
            // High requests come a little faster than they can be served, for a minute.
            CostModel tenthOfASecond = new(PerStep: 0.1, WeightRead: 0, PerToken: 0, PerKVToken: 0, PerAttentionPair: 0);
            ModelPreset slow = ModelPreset.Cpu with { Cost = tenthOfASecond, MaxBatchSize = 4 };
            var shape = new GeneratedLoad(4.2, 250) { PromptTokens = new LengthDistribution(20), OutputTokens = new LengthDistribution(10) };
            IEnumerable<Arrival> high = shape.Generate().Select(a => a with { Tenant = "high", Priority = Priority.High });
            IEnumerable<Arrival> low = (shape with { RequestsPerSecond = 0.2, Requests = 6, Seed = 1 }).Generate().Select(a => a with { Tenant = "low", Priority = Priority.Low });
            var options = new SimulationOptions(slow)
            {
                Admission = NoDelayLimit,
                Order = SchedulingOrder.Priority,
                Policy = QueuePolicy.Default with { AgingInterval = agingInterval },
            };
            IReadOnlyList<TenantReport> tenants = SimulationRun.Execute(high.MergeWith(low), options).Fairness.Tenants;
            return (Longest("low"), Longest("high"));

            double Longest(string name) => tenants.Single(t => t.Name == name).TimeToFirstToken!.Max;
        }
    }

    [Test]
    public void A_long_prompt_that_arrives_on_running_streams_does_not_stall_them()
    {
        Arrival[] streams = [.. Enumerable.Range(0, 32).Select(i => At(0, 500, 1500) with { Prompt = [new PromptSegment(i, 500)] })];
        SimulationReport calm = SimulationRun.Execute(streams, Options);
        SimulationReport disturbed = SimulationRun.Execute([.. streams, At(2, 32_768, 10) with { Prompt = [new PromptSegment(99, 32_768)] }], Options);
        TestContext.Out.WriteLine($"between tokens, ms: calm {calm.Latency.InterToken}, disturbed {disturbed.Latency.InterToken}");
        Assert.That(disturbed.Requests.Completed, Is.EqualTo(33));
        Assert.That(disturbed.Latency.InterToken!.P99, Is.LessThanOrEqualTo(2 * disturbed.Latency.InterToken.P50));
        Assert.That(disturbed.Latency.InterToken.P99, Is.GreaterThan(1.2 * calm.Latency.InterToken!.P99), "the prompt was computed beside the streams");
    }

    /// <summary>From nearly idle, through waits for the prompts in line, to a backlog: with the slots as the bottleneck and without.</summary>
    [TestCase(8, 256)]
    [TestCase(16, 256)]
    [TestCase(20, 256)]
    [TestCase(12, 32)]
    [TestCase(16, 32)]
    public void The_estimated_wait_is_off_by_less_than_35_percent_in_the_median_under_Poisson_load(double rate, int maxBatchSize)
    {
        SimulationReport report = SimulationRun.Execute(
            new GeneratedLoad(rate, 1_000) { Seed = 5 }.Generate(),
            Options with { Preset = Options.Preset with { MaxBatchSize = maxBatchSize }, Admission = NoDelayLimit });
        Assert.That(report.Engine.MedianWaitEstimateError, Is.LessThan(0.35));
    }

    [Test]
    public void Progress_is_told_at_every_arrival_and_at_the_end()
    {
        var progress = new Recorded();
        SimulationRun.Execute([At(1, 10, 5), At(2, 10, 5)], Options, progress);
        Assert.That(progress.Values.Select(p => (p.Arrived, p.Ended)), Is.EqualTo(new[] { (1, 0), (2, 1), (2, 2) }));
        Assert.That(progress.Values[1].VirtualTime, Is.EqualTo(TimeSpan.FromSeconds(2)));
    }

    [Test]
    public void It_can_be_given_up() =>
        Assert.That(() => SimulationRun.Execute([At(0, 10, 5)], Options, cancellationToken: new CancellationToken(true)), Throws.InstanceOf<OperationCanceledException>());

    [Test]
    public void Options_out_of_range_are_refused() =>
        Assert.That(() => SimulationRun.Execute([], Options with { MaxTokens = 0 }), Throws.InstanceOf<ArgumentOutOfRangeException>());

    /// <summary>Two tenants send faster than they can be served, one of them prompts ten times as long.</summary>
    private static FairnessReport TwoBackloggedTenants(SchedulingOrder order)
    {
        var load = new GeneratedLoad(20, 200) { PromptTokens = new LengthDistribution(400), OutputTokens = new LengthDistribution(100) };
        IEnumerable<Arrival> light = (load with { RequestsPerSecond = 60, Requests = 600 }).Generate().Select(a => a with { Tenant = "light" });
        IEnumerable<Arrival> heavy = (load with { Seed = 1 }).Generate().Select(a => a with { Tenant = "heavy" }).WithLongerPrompts("heavy", 10);
        var options = new SimulationOptions(ModelPreset.Llama8BOnH100 with { MaxBatchSize = 16 }) { Admission = NoDelayLimit, Order = order };
        FairnessReport fairness = SimulationRun.Execute(light.MergeWith(heavy), options).Fairness;
        TestContext.Out.WriteLine($"{order}: difference {fairness.ServiceDifference:N0}, bound {fairness.ServiceDifferenceBound:N0}, Jain {fairness.JainIndex:N3}");
        return fairness;
    }

    private static Arrival At(double seconds, int prompt, int output) =>
        new(TimeSpan.FromSeconds(seconds), [new PromptSegment((long)(seconds * 1000) + 1_000_000, prompt)], output);

    /// <summary>Records print their members, but lists only their type.</summary>
    private static string Print(SimulationReport report) =>
        report + string.Join(';', report.Fairness.Tenants) + string.Join(';', report.Requests.Rejected);

    private sealed class Recorded : IProgress<SimulationProgress>
    {
        public List<SimulationProgress> Values { get; } = [];

        public void Report(SimulationProgress value) => Values.Add(value);
    }
}
