namespace MLFramework.Cpu;

/// <summary>A tensor whose weights are made when they are written.</summary>
/// <param name="Name">Its name; the weights depend on it.</param>
/// <param name="Type">How it is stored.</param>
/// <param name="Rows">Rows; 1 for a vector.</param>
/// <param name="Columns">Elements of a row, whole blocks of <paramref name="Type"/>.</param>
/// <param name="Center">Mean of the weights.</param>
/// <param name="Deviation">Their standard deviation.</param>
internal sealed record RandomTensor(string Name, TensorType Type, long Rows, int Columns, float Center, float Deviation)
{
    private const int PieceLength = 1 << 17;

    public long ByteLength => Rows * Type.RowBytes(Columns);

    /// <summary>Makes pieces on all cores, and writes them in order.</summary>
    /// <param name="stream">Takes the blocks.</param>
    /// <param name="seed">Seed of the model.</param>
    /// <param name="progress">Is told the bytes written so far.</param>
    /// <param name="cancellationToken">Ends the writing between two pieces.</param>
    public void Write(Stream stream, ulong seed, IProgress<long> progress, CancellationToken cancellationToken)
    {
        int pieceRows = (int)Math.Clamp(PieceLength / Columns, 1, Rows), pieces = 2 * Environment.ProcessorCount;
        long rowBytes = Type.RowBytes(Columns), written = 0;
        var weights = new float[pieces][];
        var blocks = new byte[pieces][];
        var options = new ParallelOptions { CancellationToken = cancellationToken };
        for (long first = 0; first < Rows; first += (long)pieces * pieceRows)
        {
            long start = first;
            int RowsOf(int piece) => (int)Math.Clamp(Rows - start - (long)piece * pieceRows, 0, pieceRows);
            Parallel.For(0, pieces, options, piece =>
            {
                Span<float> values = (weights[piece] ??= new float[pieceRows * Columns]).AsSpan(0, RowsOf(piece) * Columns);
                RandomWeights.Fill(seed, Name, (start + (long)piece * pieceRows) * Columns, Center, Deviation, values);
                Quantizer.Quantize(Type, values, (blocks[piece] ??= new byte[pieceRows * rowBytes]).AsSpan(0, (int)(RowsOf(piece) * rowBytes)));
            });
            for (int piece = 0; piece < pieces; piece++) stream.Write(blocks[piece], 0, (int)(RowsOf(piece) * rowBytes));
            written = Math.Min(Rows, start + (long)pieces * pieceRows) * rowBytes;
            progress.Report(written);
        }
    }
}
