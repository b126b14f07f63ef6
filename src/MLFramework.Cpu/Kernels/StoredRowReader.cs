namespace MLFramework.Cpu;

/// <summary>Reads one row of a matrix as a file stores it.</summary>
/// <param name="row">Which row.</param>
/// <returns>Its blocks; valid until the next call.</returns>
internal delegate ReadOnlySpan<byte> StoredRowReader(int row);
