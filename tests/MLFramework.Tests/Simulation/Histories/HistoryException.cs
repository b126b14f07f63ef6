namespace MLFramework.Tests.Simulation.Histories;

/// <summary>A history in which something happened that must never happen. Its message is all that is needed to live through it again.</summary>
internal sealed class HistoryException(ulong seed, HistorySetup? setup, IReadOnlyList<string> log, Exception inner) : Exception(
    $"Seed {seed}: {inner.Message}\nReplay: {SchedulerHistoryTests.SeedVariable}={seed} dotnet test --project tests/MLFramework.Tests --filter \"FullyQualifiedName~SchedulerHistoryTests\"\n{setup}\n" +
    string.Join('\n', log.TakeLast(40)),
    inner);
