using System.Text.Json.Serialization;
using MLFramework.Simulation;

namespace MLFramework.Cli;

/// <summary>What <c>mlf simulate --json</c> prints: what was simulated, and what came of it.</summary>
/// <param name="Load">The load in words.</param>
/// <param name="Speed">How many times as fast it was played.</param>
/// <param name="Preset">Name of the model and its machine.</param>
/// <param name="Policy">Who was served first.</param>
/// <param name="Seed">Seed of the run.</param>
/// <param name="Report">What was measured.</param>
internal sealed record class SimulateDocument(string Load, double Speed, string Preset, SchedulingOrder Policy, ulong Seed, SimulationReport Report);

/// <summary>Its serializer, generated at compile time.</summary>
[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true)]
[JsonSerializable(typeof(SimulateDocument))]
internal sealed partial class SimulateJsonContext : JsonSerializerContext;
