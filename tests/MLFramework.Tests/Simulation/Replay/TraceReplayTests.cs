using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;

namespace MLFramework.Tests.Simulation.Replay;

/// <summary>Replays of published traces, where a checkout of them lies beside the repository in <c>shared/traces</c>.</summary>
public class TraceReplayTests
{
    private static readonly SimulationOptions Options = new(ModelPreset.Llama8BOnH100);

    [Test]
    public void The_azure_conversations_are_served_in_time_at_their_own_speed()
    {
        IReadOnlyList<Arrival> trace = Read("azure-llm-2023", "AzureLLMInferenceTrace_conv.csv");
        Assert.That((trace.Count, trace.Sum(a => (long)a.OutputTokens)), Is.EqualTo((19_366, 4_088_665L)));
        SimulationReport report = SimulationRun.Execute(trace.Take(1500), Options);
        Assert.That(report.Requests.Completed, Is.EqualTo(1500));
        Assert.That(report.Goodput.Share, Is.GreaterThan(0.99));
    }

    [Test]
    public void Ten_times_the_azure_conversations_end_in_refusals_not_in_collapse()
    {
        IReadOnlyList<Arrival> trace = Read("azure-llm-2023", "AzureLLMInferenceTrace_conv.csv");
        double peak = new[] { 3.0, 4.0 }.Max(speed => Replay(speed).Goodput.RequestsPerSecond);
        SimulationReport overload = Replay(10);
        Assert.That(overload.Requests.Rejected.Keys, Is.EqualTo(new[] { RejectionReason.QueueDelay }));
        Assert.That(overload.Requests.Completed + overload.Requests.Rejected.Values.Sum(), Is.EqualTo(4000), "every request has an ending");
        Assert.That(overload.Engine.PeakQueuedRequests, Is.LessThan(55), "a second's arrivals");
        Assert.That(overload.Goodput.RequestsPerSecond, Is.GreaterThan(0.85 * peak));

        SimulationReport Replay(double speed) => SimulationRun.Execute(trace.Take(4000).AtSpeed(speed), Options);
    }

    [Test]
    public void The_mooncake_conversations_find_their_shared_blocks_in_the_cache()
    {
        IReadOnlyList<Arrival> trace = Read("mooncake", "conversation_trace.jsonl");
        Assert.That(trace, Has.Count.EqualTo(12_031));

        // A cache without end, a machine without load: every block that came before is found, but for the last of each prompt, which is partial.
        ModelPreset roomy = ModelPreset.Llama8BOnH100 with { Cache = new KVCacheConfiguration(2_000_000) };
        Arrival[] load = [.. trace.Take(300).AtSpeed(0.02)];
        EngineReport engine = SimulationRun.Execute(load, new SimulationOptions(roomy) { Admission = AdmissionLimits.Default }).Engine;
        Assert.That(engine.CacheHitRate, Is.EqualTo(ExpectedHitRate(load)).Within(0.01));
    }

    private static double ExpectedHitRate(Arrival[] load)
    {
        var seen = new HashSet<PromptSegment>();
        long hits = 0;
        foreach (Arrival arrival in load)
        {
            hits += arrival.Prompt.TakeWhile(seen.Contains).Sum(segment => segment.Length);
            seen.UnionWith(arrival.Prompt);
        }

        return hits / load.Sum(a => (double)a.PromptTokens);
    }

    private static IReadOnlyList<Arrival> Read(params string[] path)
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string file = Path.Combine([folder.FullName, "shared", "traces", .. path]);
            if (File.Exists(file))
            {
                return TraceFile.Read(file);
            }
        }

        Assert.Ignore($"{Path.Combine(path)} is not beside this repository in shared/traces.");
        return [];
    }
}
