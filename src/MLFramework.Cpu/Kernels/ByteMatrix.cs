namespace MLFramework.Cpu;

/// <summary>
/// 8-bit weights with a half as scale per 32. A block of a panel holds the weights of its 32 rows, one vector of rows after the other as
/// [pair of columns][row][2], then their 32 scales: 1088 bytes, as many as in the file.
/// </summary>
internal sealed unsafe class ByteMatrix<TSimd, TFloats, TInts, TShorts> : PackedMatrix
    where TSimd : struct, ISimdVectors<TFloats, TInts, TShorts>
    where TFloats : struct
    where TInts : struct
    where TShorts : struct
{
    private const int BlockLength = Padding.Unit, CodeBytes = PanelRows * BlockLength, BlockBytes = CodeBytes + PanelRows * sizeof(ushort), MostTokens = 6;

    /// <param name="rows">Number of rows.</param>
    /// <param name="columns">Number of columns, a multiple of 32.</param>
    /// <param name="readRow">Writes a row; called from several threads.</param>
    public ByteMatrix(int rows, int columns, CodeRowReader readRow)
        : base(rows, columns, (long)(columns / BlockLength) * BlockBytes)
    {
        PackWith(panel =>
        {
            var codes = new sbyte[columns];
            var scales = new Half[columns / BlockLength];
            for (int lane = 0; lane < PanelRows && panel * PanelRows + lane < rows; lane++)
            {
                readRow(panel * PanelRows + lane, codes, scales);
                for (int block = 0; block < scales.Length; block++)
                {
                    byte* target = Panel(panel) + (long)block * BlockBytes, pairs = target + lane / TSimd.Lanes * GroupBytes + lane % TSimd.Lanes * 2;
                    for (int i = 0; i < BlockLength; i++) pairs[i / 2 * 2 * TSimd.Lanes + i % 2] = (byte)codes[block * BlockLength + i];
                    ((Half*)(target + CodeBytes))[lane] = scales[block];
                }
            }
        });
    }

    public override ActivationFormat Format => ActivationFormat.Int16;

    /// <summary>Bytes of a vector of rows in a block.</summary>
    private static int GroupBytes => BlockLength * TSimd.Lanes;

    public override void ReadRow(int row, Span<float> weights)
    {
        int lane = row % PanelRows;
        for (int block = 0; block < Columns / BlockLength; block++)
        {
            byte* source = Panel(row / PanelRows) + (long)block * BlockBytes, pairs = source + lane / TSimd.Lanes * GroupBytes + lane % TSimd.Lanes * 2;
            float scale = (float)((Half*)(source + CodeBytes))[lane];
            for (int i = 0; i < BlockLength; i++) weights[block * BlockLength + i] = (sbyte)pairs[i / 2 * 2 * TSimd.Lanes + i % 2] * scale;
        }
    }

    public override void Multiply(ActivationRows input, float* output, int outputStride, int firstPanel, int endPanel)
    {
        int tiles = (input.Count + MostTokens - 1) / MostTokens;
        for (int panel = firstPanel; panel < endPanel; panel++)
        {
            for (int tile = 0, row = 0; tile < tiles; tile++)
            {
                // As even as can be: tiles of one activation waste most of what they load.
                int count = input.Count / tiles + (tile < input.Count % tiles ? 1 : 0);
                float* y = output + (long)row * outputStride + panel * PanelRows, scales = input.Scales + (long)row * (input.Stride / BlockLength);
                short* x = input.Codes + (long)row * input.Stride;
                switch (count)
                {
                    case 1: Tiles<Four, One>(panel, x, input.Stride, scales, y, outputStride); break;
                    case 2: Tiles<Four, Two>(panel, x, input.Stride, scales, y, outputStride); break;
                    case 3: Tiles<Two, Three>(panel, x, input.Stride, scales, y, outputStride); break;
                    case 4: Tiles<Two, Four>(panel, x, input.Stride, scales, y, outputStride); break;
                    case 5: Tiles<Two, Five>(panel, x, input.Stride, scales, y, outputStride); break;
                    default: Tiles<Two, Six>(panel, x, input.Stride, scales, y, outputStride); break;
                }
                row += count;
            }
        }
    }

    /// <summary>Goes over a panel's rows.</summary>
    private void Tiles<TGroups, TTokens>(int panel, short* x, int stride, float* scales, float* y, int outputStride)
        where TGroups : struct, ITileSize
        where TTokens : struct, ITileSize
    {
        if (TGroups.Value * TSimd.Lanes > PanelRows)
        {
            Tiles<Two, TTokens>(panel, x, stride, scales, y, outputStride);
            return;
        }
        for (int row = 0; row < PanelRows; row += TGroups.Value * TSimd.Lanes)
            ByteTile<TSimd, TFloats, TInts, TShorts, TGroups, TTokens>.Multiply(
                Panel(panel) + row * BlockLength, GroupBytes, (ushort*)(Panel(panel) + CodeBytes) + row, BlockBytes, x, stride, scales, Columns / BlockLength, y + row, outputStride);
    }
}
