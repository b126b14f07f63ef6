namespace MLFramework.Cpu;

/// <summary>Describes GGUF models.</summary>
public static class GgufInspector
{
    private const int LongestValue = 100;

    /// <summary>Describes a model. Reads metadata only, no tensor data.</summary>
    /// <exception cref="GgufException">Metadata that the memory need follows from are of a wrong kind or absurd.</exception>
    public static ModelReport Inspect(GgufFile file)
    {
        GgufMetadata metadata = file.Metadata;
        string? architecture = metadata.FindString("general.architecture");
        return new ModelReport(
            file.Paths, file.Version, architecture, metadata.FindString("general.name"), file.Tensors.Sum(tensor => tensor.ElementCount), file.ByteLength,
            new MemoryReport(file.Tensors.Sum(tensor => tensor.ByteLength), metadata.FindInt32($"{architecture}.context_length", 1),
                KvBytesPerToken(metadata, architecture)),
            [.. metadata.Select(entry => new MetadataReport(entry.Key, TypeName(entry.Value), Shorten(entry.Value.ToString())))],
            [.. file.Tensors.GroupBy(tensor => tensor.Type)
                .Select(group => new TensorTypeReport(group.Key, group.Count(), group.Sum(tensor => tensor.ElementCount),
                    group.Sum(tensor => tensor.ByteLength)))
                .OrderByDescending(type => type.Bytes)],
            [.. file.Tensors.Select(tensor => new TensorReport(tensor.Name, tensor.Type, tensor.Dimensions, tensor.ByteLength))]);
    }

    /// <summary>Two halves per layer, KV head and dimension of a head; null where a key is missing. Head counts can be given per layer.</summary>
    private static long? KvBytesPerToken(GgufMetadata metadata, string? architecture)
    {
        const int Largest = 1 << 20;
        string kvKey = $"{architecture}.attention.head_count_kv";
        bool IsArray(string key) => metadata.TryGet(key, out GgufValue? value) && value.Type == GgufValueType.Array;
        int? Find(string key) => IsArray($"{architecture}.{key}") ? null : metadata.FindInt32($"{architecture}.{key}", 0, Largest);

        int? heads = Find("attention.head_count"), width = heads > 0 ? Find("embedding_length") / heads : null;
        long? kvHeads = IsArray(kvKey) ? metadata.FindInt32s(kvKey)!.Sum(count => (long)count)
            : (long?)(Find("attention.head_count_kv") ?? heads) * Find("block_count");
        return kvHeads * sizeof(ushort) * ((Find("attention.key_length") ?? width) + (Find("attention.value_length") ?? width));
    }

    private static string TypeName(GgufValue value) => value.ElementType is { } element ? $"{element}[]" : $"{value.Type}";

    private static string Shorten(string value) => value.Length <= LongestValue ? value : value[..LongestValue] + "…";
}
