namespace MLFramework.Cpu;

/// <summary>The metadata of a model's family, by the part of their keys behind the family's name. What nobody reads is refused in the end.</summary>
/// <param name="metadata">Metadata of the model.</param>
/// <param name="family">The family's name, with which its keys begin.</param>
internal sealed class ParameterReader(GgufMetadata metadata, string family)
{
    /// <summary>Keys that say nothing about what is computed.</summary>
    private static readonly string[] Remarks = ["vocab_size", "tensor_data_layout", "rope.scaling.finetuned", "pooling_type"];

    private readonly HashSet<string> _read = [.. Remarks.Select(name => $"{family}.{name}")];

    /// <summary>Whether the file says it.</summary>
    public bool Contains(string name) => metadata.Contains(Key(name));

    /// <summary>An integer, or null.</summary>
    /// <exception cref="GgufException">It is no integer or out of range.</exception>
    public int? FindInt32(string name, int minimum = int.MinValue, int maximum = int.MaxValue) => metadata.FindInt32(Key(name), minimum, maximum);

    /// <summary>An integer.</summary>
    /// <exception cref="GgufException">It is missing, no integer, or out of range.</exception>
    public int GetInt32(string name, int minimum = int.MinValue, int maximum = int.MaxValue) => metadata.GetInt32(Key(name), minimum, maximum);

    /// <summary>A float above a bound, or null.</summary>
    /// <exception cref="GgufException">It is no finite float, or not above the bound.</exception>
    public float? FindSingle(string name, float above = 0) => metadata.FindSingle(Key(name)) is not { } value ? null
        : value > above ? value : throw Error(name, above == 0 ? $"is {value}; it must be positive" : $"is {value}; it must be more than {above}");

    /// <summary>A string, or null.</summary>
    /// <exception cref="GgufException">It is no string.</exception>
    public string? FindString(string name) => metadata.FindString(Key(name));

    /// <summary>A boolean, or null.</summary>
    /// <exception cref="GgufException">It is no boolean.</exception>
    public bool? FindBoolean(string name) => metadata.FindBoolean(Key(name));

    /// <summary>A boolean for each layer, or null if the file has none or a single value.</summary>
    /// <exception cref="GgufException">It is an array of something else.</exception>
    public bool[]? FindBooleans(string name) => metadata.TryGet(Key(name), out GgufValue? value) && value.Content is Array array
        ? array as bool[] ?? throw Error(name, "is an array of something else than booleans") : null;

    /// <summary>An error about a key.</summary>
    public GgufException Error(string name, string problem) => metadata.Error(Key(name), problem);

    /// <summary>Refuses what was declared and not read: this engine does not compute it.</summary>
    /// <exception cref="GgufException">There is such a key.</exception>
    public void RefuseUnread()
    {
        foreach ((string key, _) in metadata)
            if (key.StartsWith(family + ".", StringComparison.Ordinal) && !_read.Contains(key))
                throw metadata.Error(key, $"is not known to this engine for the architecture {family}; without it the model might compute something else");
    }

    private string Key(string name)
    {
        string key = $"{family}.{name}";
        _read.Add(key);
        return key;
    }
}
