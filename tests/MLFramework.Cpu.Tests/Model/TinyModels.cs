namespace MLFramework.Cpu.Tests;

/// <summary>Random models of a few thousand weights.</summary>
internal static class TinyModels
{
    public const int VocabularySize = SyntheticModel.VocabularySize;

    /// <summary>A model file.</summary>
    /// <param name="architecture">Its family.</param>
    /// <param name="type">Type of its matrices.</param>
    /// <param name="isTied">Whether the embeddings are the output matrix too.</param>
    /// <param name="change">Changes the metadata before they are written.</param>
    /// <param name="skip">A tensor to leave out.</param>
    /// <param name="extra">A vector of half a head to add.</param>
    public static byte[] Write(
        string architecture = "llama", TensorType type = TensorType.F32, bool isTied = false, Action<Dictionary<string, object>>? change = null, string? skip = null, string? extra = null) =>
        new SyntheticModel(architecture) { Type = type, IsTied = isTied, Change = change, Skip = skip, Extra = extra }.Write();

    public static CpuModel Load(byte[] file, KernelSet? kernels = null, int? contextLength = null) => CpuModel.Load(GgufFile.FromMemory(file), kernels ?? KernelSet.Best, contextLength);
}
