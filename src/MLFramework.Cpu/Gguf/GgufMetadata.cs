using System.Collections;
using System.Diagnostics.CodeAnalysis;

namespace MLFramework.Cpu;

/// <summary>
/// The key-value pairs of a GGUF file, in the order of the file. <c>Find…</c> returns null for a missing key, <c>Get…</c> refuses it;
/// both refuse a value of another kind. Writers differ in the width of their integers and floats, so every width is accepted.
/// </summary>
public sealed class GgufMetadata : IEnumerable<KeyValuePair<string, GgufValue>>
{
    private readonly OrderedDictionary<string, GgufValue> _values = new(StringComparer.Ordinal);
    private readonly string? _file;

    internal GgufMetadata(string? file) => _file = file;

    /// <summary>Number of keys.</summary>
    public int Count => _values.Count;

    /// <summary>Whether the key is there.</summary>
    public bool Contains(string key) => _values.ContainsKey(key);

    /// <summary>Looks a value up, whatever its type.</summary>
    public bool TryGet(string key, [MaybeNullWhen(false)] out GgufValue value) => _values.TryGetValue(key, out value);

    /// <summary>A string, or null if the key is missing.</summary>
    /// <exception cref="GgufException">The value is no string.</exception>
    public string? FindString(string key) => Find<string>(key, "a string");

    /// <summary>A string.</summary>
    /// <exception cref="GgufException">The key is missing or its value no string.</exception>
    public string GetString(string key) => FindString(key) ?? throw Missing(key);

    /// <summary>A boolean, or null if the key is missing.</summary>
    /// <exception cref="GgufException">The value is no boolean.</exception>
    public bool? FindBoolean(string key) => Find<object>(key, "a boolean") switch { null => null, bool flag => flag, _ => throw Wrong(key, "a boolean") };

    /// <summary>An integer of any width, or null if the key is missing.</summary>
    /// <param name="key">The key.</param>
    /// <param name="minimum">The smallest value that makes sense.</param>
    /// <param name="maximum">The largest value that makes sense.</param>
    /// <exception cref="GgufException">The value is no integer or out of range.</exception>
    public int? FindInt32(string key, int minimum = int.MinValue, int maximum = int.MaxValue)
    {
        if (!_values.TryGetValue(key, out GgufValue? value)) return null;
        Int128 number = Integer(value.Content) ?? throw Wrong(key, "an integer");
        return number >= minimum && number <= maximum ? (int)number : throw Error(key, $"is {number}, outside {minimum} to {maximum}");
    }

    /// <summary>An integer of any width.</summary>
    /// <param name="key">The key.</param>
    /// <param name="minimum">The smallest value that makes sense.</param>
    /// <param name="maximum">The largest value that makes sense.</param>
    /// <exception cref="GgufException">The key is missing, its value no integer, or out of range.</exception>
    public int GetInt32(string key, int minimum = int.MinValue, int maximum = int.MaxValue) => FindInt32(key, minimum, maximum) ?? throw Missing(key);

    /// <summary>A finite float of either width, or null if the key is missing.</summary>
    /// <exception cref="GgufException">The value is no float, infinite or NaN.</exception>
    public float? FindSingle(string key)
    {
        if (!_values.TryGetValue(key, out GgufValue? value)) return null;
        float number = value.Content switch { float single => single, double wide => (float)wide, _ => throw Wrong(key, "a float") };
        return float.IsFinite(number) ? number : throw Error(key, "is not a finite number");
    }

    /// <summary>A finite float of either width.</summary>
    /// <exception cref="GgufException">The key is missing, or its value no finite float.</exception>
    public float GetSingle(string key) => FindSingle(key) ?? throw Missing(key);

    /// <summary>An array of strings, or null if the key is missing. Not a copy: not to be changed.</summary>
    /// <exception cref="GgufException">The value is something else.</exception>
    public string[]? FindStrings(string key) => Find<string[]>(key, "an array of strings");

    /// <summary>An array of 32-bit floats, or null if the key is missing. Not a copy: not to be changed.</summary>
    /// <exception cref="GgufException">The value is something else.</exception>
    public float[]? FindSingles(string key) => Find<float[]>(key, "an array of 32-bit floats");

    /// <summary>An array of integers of any width, or null if the key is missing.</summary>
    /// <exception cref="GgufException">The value is something else, or an element does not fit 32 bits.</exception>
    public int[]? FindInt32s(string key)
    {
        if (!_values.TryGetValue(key, out GgufValue? value)) return null;
        if (value.Content is int[] same) return same;
        if (value.Content is not Array array || value.ElementType is GgufValueType.String) throw Wrong(key, "an array of integers");
        return [.. array.Cast<object>().Select(element => Integer(element) is Int128 number
            ? number >= int.MinValue && number <= int.MaxValue ? (int)number : throw Error(key, $"holds {number}, which does not fit 32 bits")
            : throw Wrong(key, "an array of integers"))];
    }

    /// <inheritdoc/>
    public IEnumerator<KeyValuePair<string, GgufValue>> GetEnumerator() => _values.GetEnumerator();

    /// <inheritdoc/>
    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>An error about one of these keys, which names the file too.</summary>
    internal GgufException Error(string key, string problem) => new(key, problem, _file);

    internal bool TryAdd(string key, GgufValue value) => _values.TryAdd(key, value);

    private T? Find<T>(string key, string kind) where T : class =>
        !_values.TryGetValue(key, out GgufValue? value) ? null : value.Content as T ?? throw Wrong(key, kind);

    private static Int128? Integer(object content) => content switch
    {
        byte n => n, sbyte n => n, ushort n => n, short n => n, uint n => n, int n => n, ulong n => n, long n => n, _ => null,
    };

    private GgufException Missing(string key) => Error(key, "is missing");

    private GgufException Wrong(string key, string expected)
    {
        GgufValue value = _values[key];
        return Error(key, $"is {(value.ElementType is { } element ? $"an array of {element}" : value.Type)}, not {expected}");
    }
}
