namespace MLFramework.Cpu;

/// <summary>Weights that are filled from a tensor part by part.</summary>
internal interface IPackable : IDisposable
{
    /// <summary>Bytes that the weights take.</summary>
    long Bytes { get; }

    /// <summary>Parts, of about the same size.</summary>
    int PartCount { get; }

    /// <summary>Takes the memory, zeros.</summary>
    /// <param name="memory"><see cref="Bytes"/> bytes, which belong to the weights from now on.</param>
    void Take(MemorySlice memory);

    /// <summary>Reads and packs one part. Different parts can be packed on several threads at once, each once, after <see cref="Take"/>.</summary>
    void Pack(int part);

    /// <summary>Says that all parts are packed: where they came from is let go.</summary>
    void FinishPacking();
}
