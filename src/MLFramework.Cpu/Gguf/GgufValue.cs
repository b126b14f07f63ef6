using System.Globalization;

namespace MLFramework.Cpu;

/// <summary>One metadata value: a scalar, a string, or an array of either.</summary>
public sealed class GgufValue
{
    private GgufValue(GgufValueType type, GgufValueType? elementType, object content) => (Type, ElementType, Content) = (type, elementType, content);

    /// <summary>Type of the value.</summary>
    public GgufValueType Type { get; }

    /// <summary>Type of the elements if <see cref="Type"/> is <see cref="GgufValueType.Array"/>, else null.</summary>
    public GgufValueType? ElementType { get; }

    /// <summary>The value as the .NET type of the same width (<see cref="uint"/>, <see cref="string"/>, arrays of these…).</summary>
    public object Content { get; }

    /// <summary>Wraps a scalar or string.</summary>
    /// <param name="content">An integer of 8 to 64 bits, float, double, bool or string.</param>
    /// <exception cref="ArgumentException">The type has no counterpart in GGUF.</exception>
    public static GgufValue Of(object content) => new(TypeOf(content.GetType()), null, content);

    /// <summary>Wraps an array.</summary>
    /// <param name="content">Elements of a type that <see cref="Of"/> takes. The array is not copied.</param>
    /// <exception cref="ArgumentException">The element type has no counterpart in GGUF.</exception>
    public static GgufValue OfArray<T>(T[] content) => new(GgufValueType.Array, TypeOf(typeof(T)), content);

    /// <summary>The value for display: arrays show their length and first elements.</summary>
    public override string ToString()
    {
        const int Shown = 4;
        if (Content is not Array array) return Text(Content);
        string elements = string.Join(", ", array.Cast<object>().Take(Shown).Select(Text));
        return string.Create(CultureInfo.InvariantCulture, $"[{elements}{(array.Length > Shown ? ", …" : "")}] ({array.Length} × {ElementType})");
    }

    private static string Text(object scalar) => scalar as string ?? Convert.ToString(scalar, CultureInfo.InvariantCulture)!;

    private static GgufValueType TypeOf(Type type) => System.Type.GetTypeCode(type) switch
    {
        TypeCode.Byte => GgufValueType.UInt8,
        TypeCode.SByte => GgufValueType.Int8,
        TypeCode.UInt16 => GgufValueType.UInt16,
        TypeCode.Int16 => GgufValueType.Int16,
        TypeCode.UInt32 => GgufValueType.UInt32,
        TypeCode.Int32 => GgufValueType.Int32,
        TypeCode.Single => GgufValueType.Float32,
        TypeCode.Boolean => GgufValueType.Bool,
        TypeCode.String => GgufValueType.String,
        TypeCode.UInt64 => GgufValueType.UInt64,
        TypeCode.Int64 => GgufValueType.Int64,
        TypeCode.Double => GgufValueType.Float64,
        _ => throw new ArgumentException($"GGUF has no type for {type}.", nameof(type)),
    };
}
