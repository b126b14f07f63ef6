using System.Runtime.CompilerServices;

namespace MLFramework.Cpu;

/// <summary>A panel and all that it is multiplied with: what a <see cref="TileLoop"/> goes through.</summary>
internal interface ITiledProduct
{
    /// <summary>Rows of a vector.</summary>
    static abstract int Lanes { get; }

    /// <summary>Whether four vectors of rows are multiplied with two activations at once, and not only with one.</summary>
    static abstract bool HasFourByTwo { get; }

    /// <summary>Computes a tile.</summary>
    /// <typeparam name="TGroups">Vectors of rows.</typeparam>
    /// <typeparam name="TTokens">Activations.</typeparam>
    /// <param name="row">First row, of those of the panel.</param>
    /// <param name="first">First activation.</param>
    /// <param name="ahead">Weights to ask for meanwhile.</param>
    void Multiply<TGroups, TTokens>(int row, int first, Lookahead ahead)
        where TGroups : struct, ITileSize
        where TTokens : struct, ITileSize;
}

/// <summary>Goes through the tiles of a panel, for all kinds of weights. Compiled for each, so that nothing is looked up per tile.</summary>
internal static class TileLoop
{
    /// <summary>Computes a run of tiles.</summary>
    /// <param name="product">The panel and its activations.</param>
    /// <param name="run">Which activations, and how many at once: 1 to 8.</param>
    /// <param name="walk">What the tiles ask for ahead.</param>
    public static void Run<TProduct>(in TProduct product, TileRun run, in PanelWalk walk) where TProduct : struct, ITiledProduct
    {
        switch (run.Tokens)
        {
            case 1: Run<TProduct, Four, One>(product, run, walk); break;
            case 2 when TProduct.HasFourByTwo: Run<TProduct, Four, Two>(product, run, walk); break;
            case 2: Run<TProduct, Two, Two>(product, run, walk); break;
            case 3: Run<TProduct, Two, Three>(product, run, walk); break;
            case 4: Run<TProduct, Two, Four>(product, run, walk); break;
            case 5: Run<TProduct, Two, Five>(product, run, walk); break;
            case 6: Run<TProduct, Two, Six>(product, run, walk); break;
            case 7: Run<TProduct, Two, Seven>(product, run, walk); break;
            default: Run<TProduct, Two, Eight>(product, run, walk); break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Run<TProduct, TGroups, TTokens>(in TProduct product, TileRun run, in PanelWalk walk)
        where TProduct : struct, ITiledProduct
        where TGroups : struct, ITileSize
        where TTokens : struct, ITileSize
    {
        if (TGroups.Value * TProduct.Lanes > PackedMatrix.PanelRows)
        {
            Run<TProduct, Two, TTokens>(product, run, walk);
            return;
        }
        int rows = TGroups.Value * TProduct.Lanes, passes = PackedMatrix.PanelRows / rows;
        for (int pass = 0; pass < passes; pass++)
            for (int tile = 0, first = run.First; tile < run.Count; tile++, first += TTokens.Value)
                product.Multiply<TGroups, TTokens>(pass * rows, first, walk.Of(run.FirstTile + tile, pass, passes));
    }
}
