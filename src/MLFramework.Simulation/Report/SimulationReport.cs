using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Simulation;

/// <summary>What a simulation measured. The same load, options and seed give the same report, to the last digit.</summary>
/// <param name="DurationSeconds">Virtual time from the first arrival's origin to the end of the last request.</param>
/// <param name="Requests">How requests ended.</param>
/// <param name="Latency">Latencies of requests that completed.</param>
/// <param name="Throughput">Rates over the whole duration.</param>
/// <param name="Goodput">What met the objectives.</param>
/// <param name="Engine">How the scheduler used the machine.</param>
/// <param name="Fairness">How evenly tenants were served.</param>
public sealed record class SimulationReport(
    double DurationSeconds,
    RequestCounts Requests,
    LatencyReport Latency,
    ThroughputReport Throughput,
    GoodputReport Goodput,
    EngineReport Engine,
    FairnessReport Fairness);

/// <summary>How requests ended.</summary>
/// <param name="Arrived">All.</param>
/// <param name="Completed">Ended with their whole answer.</param>
/// <param name="Rejected">Refused at admission, by reason.</param>
/// <param name="TimedOut">Ended by deadline.</param>
/// <param name="Cancelled">Cancelled.</param>
/// <param name="Failed">Could not be served: longer than the context or than the whole KV cache.</param>
public sealed record class RequestCounts(
    int Arrived,
    int Completed,
    IReadOnlyDictionary<RejectionReason, int> Rejected,
    int TimedOut,
    int Cancelled,
    int Failed);

/// <summary>Latencies in milliseconds; null where nothing was measured.</summary>
/// <param name="Queue">From arrival to the first iteration.</param>
/// <param name="TimeToFirstToken">From arrival to the first token (TTFT).</param>
/// <param name="InterToken">Between two tokens of one request (ITL), over all tokens of all requests.</param>
/// <param name="EndToEnd">From arrival to the end.</param>
public sealed record class LatencyReport(
    LatencySummary? Queue,
    LatencySummary? TimeToFirstToken,
    LatencySummary? InterToken,
    LatencySummary? EndToEnd);

/// <summary>Rates over the whole duration.</summary>
/// <param name="RequestsPerSecond">Requests completed.</param>
/// <param name="PromptTokensPerSecond">Prompt tokens computed; those found in the prefix cache are not.</param>
/// <param name="GeneratedTokensPerSecond">Tokens generated.</param>
/// <param name="GeneratedTokens">Tokens generated in all.</param>
public sealed record class ThroughputReport(
    double RequestsPerSecond,
    double PromptTokensPerSecond,
    double GeneratedTokensPerSecond,
    long GeneratedTokens);

/// <summary>Requests that met every objective.</summary>
/// <param name="RequestsPerSecond">Their rate.</param>
/// <param name="Share">Their share of all that arrived, 0–1.</param>
/// <param name="TimeToFirstTokenMs">The objective; null for none.</param>
/// <param name="MeanInterTokenMs">The objective; null for none.</param>
/// <param name="P99InterTokenMs">The objective; null for none.</param>
public sealed record class GoodputReport(
    double RequestsPerSecond,
    double Share,
    double? TimeToFirstTokenMs,
    double? MeanInterTokenMs,
    double? P99InterTokenMs);

/// <summary>How the scheduler used the machine.</summary>
/// <param name="Utilization">Share of the time in which the executor computed, 0–1.</param>
/// <param name="Iterations">Steps of the executor.</param>
/// <param name="MeanBatchSize">Requests per step.</param>
/// <param name="CacheHitRate">Share of prompt tokens found in the prefix cache, 0–1, over requests that completed.</param>
/// <param name="Preemptions">Times that a running request gave up its blocks.</param>
/// <param name="PeakQueuedRequests">Most requests that waited at once for their first iteration.</param>
/// <param name="PeakCacheUse">Largest share of the KV cache that running requests held, 0–1.</param>
/// <param name="MedianWaitEstimateError">
/// Median of |estimated − actual| / actual wait, over requests that completed and for which the scheduler could give an estimate when they arrived; null when there were none.
/// </param>
public sealed record class EngineReport(
    double Utilization,
    long Iterations,
    double MeanBatchSize,
    double CacheHitRate,
    int Preemptions,
    int PeakQueuedRequests,
    double PeakCacheUse,
    double? MedianWaitEstimateError);

/// <summary>How evenly tenants were served, in tokens weighted as the queue's policy weighs them.</summary>
/// <param name="JainIndex">Jain's index of service over demand: 1 is even, 1/n is all for one.</param>
/// <param name="ServiceDifference">Largest difference of service of two tenants while both were backlogged.</param>
/// <param name="ServiceDifferenceBound">What the virtual token counter guarantees: 2 × max(w_p × longest prompt, w_q × largest batch in tokens).</param>
/// <param name="Tenants">Each tenant's account.</param>
public sealed record class FairnessReport(
    double JainIndex,
    double ServiceDifference,
    double ServiceDifferenceBound,
    IReadOnlyList<TenantReport> Tenants);

/// <summary>One tenant's account.</summary>
/// <param name="Name">The tenant; empty for requests of nobody in particular.</param>
/// <param name="Requests">Requests that arrived.</param>
/// <param name="Demand">Weighted tokens asked for.</param>
/// <param name="Service">Weighted tokens served.</param>
/// <param name="TimeToFirstToken">Of its completed requests; null when there were none.</param>
public sealed record class TenantReport(string Name, int Requests, double Demand, double Service, LatencySummary? TimeToFirstToken);
