using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace MLFramework.DemoModel;

/// <summary>A strided view of a float matrix: element (i, j) is <c>Data[i * RowStride + j * ColStride]</c>.</summary>
internal readonly ref struct Mat(ReadOnlySpan<float> data, int rowStride, int colStride = 1)
{
    public readonly ReadOnlySpan<float> Data = data;
    public readonly int RowStride = rowStride;
    public readonly int ColStride = colStride;

    /// <summary>The same memory seen transposed.</summary>
    public Mat T => new(Data, ColStride, RowStride);
}

/// <summary>
/// Single-threaded blocked matrix multiplication. The inner tile is 6 rows by 16 columns: twelve 256-bit
/// accumulators, two registers of B and one broadcast of A, which is all that AVX2's sixteen registers hold.
/// Panels of B (and of A, where its columns are not contiguous) are packed so that the tile reads them in order.
/// </summary>
internal static class Gemm
{
    private const int TileRows = 6, TileCols = 16;
    private const int BlockK = 256;      // one packed panel of B: 256 x 16 floats = 16 KiB, half of L1
    private const int BlockRows = 96;    // one packed block of A: 96 x 256 floats = 96 KiB, well inside L2

    [ThreadStatic] private static float[]? _packedA, _packedB, _edge;

    /// <summary>C[m, n] = A[m, k] * B[k, n], or C += A * B when <paramref name="accumulate"/> is set.</summary>
    public static void Run(int m, int n, int k, Mat a, Mat b, Span<float> c, int ldc, bool accumulate = false)
    {
        if (m == 0 || n == 0) return;
        ArgumentOutOfRangeException.ThrowIfLessThan(a.Data.Length, (m - 1) * a.RowStride + (k - 1) * a.ColStride + 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(b.Data.Length, (k - 1) * b.RowStride + (n - 1) * b.ColStride + 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(c.Length, (m - 1) * ldc + n);

        int panels = (n + TileCols - 1) / TileCols;
        int needB = panels * TileCols * Math.Min(k, BlockK);
        if (_packedB is null || _packedB.Length < needB) _packedB = GC.AllocateUninitializedArray<float>(needB);
        _packedA ??= new float[BlockRows * BlockK];
        _edge ??= new float[TileRows * TileCols];

        for (int p = 0; p < k; p += BlockK)
        {
            int depth = Math.Min(BlockK, k - p);
            bool add = accumulate || p > 0;
            PackB(b, p, depth, n, _packedB);

            for (int i0 = 0; i0 < m; i0 += BlockRows)
            {
                int rows = Math.Min(BlockRows, m - i0);
                bool direct = a.ColStride == 1;
                if (!direct) PackA(a, i0, rows, p, depth, _packedA);

                for (int panel = 0; panel < panels; panel++)
                {
                    int j = panel * TileCols, cols = Math.Min(TileCols, n - j);
                    ref float bRef = ref _packedB[panel * TileCols * depth];
                    for (int i = 0; i < rows; i += TileRows)
                    {
                        int count = Math.Min(TileRows, rows - i), at = (i0 + i) * ldc + j;
                        ref float aRef = ref direct ? ref Unsafe.AsRef(in a.Data[(i0 + i) * a.RowStride + p]) : ref _packedA[i * depth];
                        nint rowStride = direct ? a.RowStride : 1, colStride = direct ? 1 : TileRows;
                        if (count == TileRows && cols == TileCols)
                        {
                            Tile(ref aRef, rowStride, colStride, TileRows, ref bRef, depth, ref c[at], ldc, add);
                            continue;
                        }

                        // A partial tile is computed whole, on the side, and only its valid part is kept.
                        Tile(ref aRef, rowStride, colStride, count, ref bRef, depth, ref _edge[0], TileCols, false);
                        for (int r = 0; r < count; r++)
                        {
                            Span<float> target = c.Slice(at + r * ldc, cols);
                            ReadOnlySpan<float> source = _edge.AsSpan(r * TileCols, cols);
                            if (add) Kernels.Add(target, source); else source.CopyTo(target);
                        }
                    }
                }
            }
        }
    }

    /// <summary>Packs <paramref name="depth"/> rows of B into panels of sixteen columns, padded with zeros.</summary>
    private static void PackB(Mat b, int p, int depth, int n, float[] packed)
    {
        for (int j = 0, at = 0; j < n; j += TileCols, at += TileCols * depth)
        {
            int cols = Math.Min(TileCols, n - j);
            Span<float> panel = packed.AsSpan(at, TileCols * depth);
            if (cols < TileCols) panel.Clear();
            if (b.ColStride == 1)
            {
                for (int r = 0; r < depth; r++)
                    b.Data.Slice((p + r) * b.RowStride + j, cols).CopyTo(panel.Slice(r * TileCols, cols));
            }
            else
            {
                for (int col = 0; col < cols; col++)
                {
                    ref float source = ref Unsafe.AsRef(in b.Data[p * b.RowStride + (j + col) * b.ColStride]);
                    ref float target = ref panel[col];
                    for (int r = 0; r < depth; r++)
                        Unsafe.Add(ref target, r * TileCols) = Unsafe.Add(ref source, r * b.RowStride);
                }
            }
        }
    }

    /// <summary>Packs rows of a transposed A into panels of six rows, padded with zeros.</summary>
    private static void PackA(Mat a, int i0, int rows, int p, int depth, float[] packed)
    {
        for (int i = 0; i < rows; i += TileRows)
        {
            int count = Math.Min(TileRows, rows - i);
            Span<float> panel = packed.AsSpan(i * depth, TileRows * depth);
            if (count < TileRows) panel.Clear();
            ref float source = ref Unsafe.AsRef(in a.Data[(i0 + i) * a.RowStride + p * a.ColStride]);
            ref float target = ref MemoryMarshal.GetReference(panel);
            if (count == TileRows && a.RowStride == 1)
            {
                // The usual case, a transposed row-major matrix: six neighbours, as four and two.
                for (int r = 0; r < depth; r++)
                {
                    Vector128.LoadUnsafe(ref source).StoreUnsafe(ref target);
                    Unsafe.As<float, long>(ref Unsafe.Add(ref target, 4)) = Unsafe.As<float, long>(ref Unsafe.Add(ref source, 4));
                    source = ref Unsafe.Add(ref source, a.ColStride);
                    target = ref Unsafe.Add(ref target, TileRows);
                }
                continue;
            }
            for (int r = 0; r < depth; r++)
                for (int q = 0; q < count; q++)
                    Unsafe.Add(ref target, r * TileRows + q) = Unsafe.Add(ref source, r * a.ColStride + q * a.RowStride);
        }
    }

    /// <summary>
    /// One 6 x 16 tile. Rows past <paramref name="readable"/> re-read the last one, so that a partial tile never
    /// reads outside the matrix. The method calls nothing: a call would make the JIT spill the accumulators.
    /// </summary>
    private static void Tile(ref float a, nint rowStride, nint colStride, int readable, ref float b, int depth,
        ref float c, nint ldc, bool add)
    {
        int lastRow = readable - 1;
        ref float a1 = ref Unsafe.Add(ref a, rowStride * (lastRow < 1 ? lastRow : 1));
        ref float a2 = ref Unsafe.Add(ref a, rowStride * (lastRow < 2 ? lastRow : 2));
        ref float a3 = ref Unsafe.Add(ref a, rowStride * (lastRow < 3 ? lastRow : 3));
        ref float a4 = ref Unsafe.Add(ref a, rowStride * (lastRow < 4 ? lastRow : 4));
        ref float a5 = ref Unsafe.Add(ref a, rowStride * (lastRow < 5 ? lastRow : 5));

        Vector256<float> c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default;
        Vector256<float> c30 = default, c31 = default, c40 = default, c41 = default, c50 = default, c51 = default;

        nint at = 0;
        for (int k = 0; k < depth; k++, at += colStride)
        {
            Vector256<float> b0 = Vector256.LoadUnsafe(ref b);
            Vector256<float> b1 = Vector256.LoadUnsafe(ref b, 8);
            b = ref Unsafe.Add(ref b, TileCols);
            Vector256<float> x = Vector256.Create(Unsafe.Add(ref a, at));
            c00 = Vector256.MultiplyAddEstimate(x, b0, c00);
            c01 = Vector256.MultiplyAddEstimate(x, b1, c01);
            x = Vector256.Create(Unsafe.Add(ref a1, at));
            c10 = Vector256.MultiplyAddEstimate(x, b0, c10);
            c11 = Vector256.MultiplyAddEstimate(x, b1, c11);
            x = Vector256.Create(Unsafe.Add(ref a2, at));
            c20 = Vector256.MultiplyAddEstimate(x, b0, c20);
            c21 = Vector256.MultiplyAddEstimate(x, b1, c21);
            x = Vector256.Create(Unsafe.Add(ref a3, at));
            c30 = Vector256.MultiplyAddEstimate(x, b0, c30);
            c31 = Vector256.MultiplyAddEstimate(x, b1, c31);
            x = Vector256.Create(Unsafe.Add(ref a4, at));
            c40 = Vector256.MultiplyAddEstimate(x, b0, c40);
            c41 = Vector256.MultiplyAddEstimate(x, b1, c41);
            x = Vector256.Create(Unsafe.Add(ref a5, at));
            c50 = Vector256.MultiplyAddEstimate(x, b0, c50);
            c51 = Vector256.MultiplyAddEstimate(x, b1, c51);
        }

        Store(ref c, c00, c01, add);
        Store(ref Unsafe.Add(ref c, ldc), c10, c11, add);
        Store(ref Unsafe.Add(ref c, ldc * 2), c20, c21, add);
        Store(ref Unsafe.Add(ref c, ldc * 3), c30, c31, add);
        Store(ref Unsafe.Add(ref c, ldc * 4), c40, c41, add);
        Store(ref Unsafe.Add(ref c, ldc * 5), c50, c51, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(ref float c, Vector256<float> lo, Vector256<float> hi, bool add)
    {
        if (add)
        {
            lo += Vector256.LoadUnsafe(ref c);
            hi += Vector256.LoadUnsafe(ref c, 8);
        }
        lo.StoreUnsafe(ref c);
        hi.StoreUnsafe(ref c, 8);
    }
}
