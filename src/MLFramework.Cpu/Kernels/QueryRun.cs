namespace MLFramework.Cpu;

/// <summary>Queries at adjacent positions of one sequence, and where their results go: in each row the query heads of one head of keys and values, side by side.</summary>
internal readonly unsafe struct QueryRun
{
    /// <summary>The first position's query heads.</summary>
    public required float* Queries { get; init; }

    /// <summary>Floats from one position's queries to the next's.</summary>
    public required long QueryStride { get; init; }

    /// <summary>The first query's position; keys and values up to the last query's position are stored.</summary>
    public required int Position { get; init; }

    /// <summary>Positions, at least 1.</summary>
    public required int Count { get; init; }

    /// <summary>The sequence's blocks, from position 0 on.</summary>
    public required int* Blocks { get; init; }

    /// <summary>Takes the first position's results.</summary>
    public required float* Output { get; init; }

    /// <summary>Floats from one position's results to the next's.</summary>
    public required long OutputStride { get; init; }

    /// <summary>Blocks that will probably be attended to after this run, from the first on; their keys are asked for meanwhile.</summary>
    public int* NextBlocks { get; init; }

    /// <summary>Number of <see cref="NextBlocks"/>; 0 if nothing is known.</summary>
    public int NextCount { get; init; }

    /// <summary>Head of keys and values that will be attended to then.</summary>
    public int NextHead { get; init; }
}
