namespace MLFramework.Cpu;

/// <summary>Writes the weights of one row of a matrix.</summary>
/// <param name="row">Which row.</param>
/// <param name="weights">Takes one float per column.</param>
internal delegate void WeightRowReader(int row, Span<float> weights);

/// <summary>Writes one row of a matrix of integer weights with a scale per 32.</summary>
/// <param name="row">Which row.</param>
/// <param name="codes">Takes one integer per column.</param>
/// <param name="scales">Takes one scale per block of 32 columns.</param>
internal delegate void CodeRowReader(int row, Span<sbyte> codes, Span<Half> scales);
