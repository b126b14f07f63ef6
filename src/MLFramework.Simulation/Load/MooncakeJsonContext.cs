using System.Text.Json.Serialization;

namespace MLFramework.Simulation;

/// <summary>Parsers of trace rows, generated at compile time.</summary>
[JsonSerializable(typeof(MooncakeRow))]
internal sealed partial class MooncakeJsonContext : JsonSerializerContext;
