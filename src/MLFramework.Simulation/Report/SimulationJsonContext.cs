using System.Text.Json.Serialization;

namespace MLFramework.Simulation;

/// <summary>JSON of the simulator's data, generated at compile time: reports out, Mooncake rows in.</summary>
[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true)]
[JsonSerializable(typeof(SimulationReport))]
[JsonSerializable(typeof(MooncakeRow))]
internal sealed partial class SimulationJsonContext : JsonSerializerContext;
