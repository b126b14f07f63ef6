namespace MLFramework.Cpu;

/// <summary>A GGUF file that cannot be used: truncated, contradictory, or holding something that this engine does not know.</summary>
public sealed class GgufException : Exception
{
    /// <summary>Names what is wrong, and where.</summary>
    /// <param name="field">The metadata key, tensor or header field at fault, for example <c>tensor 'blk.0.attn_q.weight': offset</c>.</param>
    /// <param name="problem">What is wrong with it, as the rest of a sentence that starts with the field.</param>
    /// <param name="file">Path of the file, if there is one.</param>
    /// <param name="innerException">The cause, if another error led to this one.</param>
    public GgufException(string field, string problem, string? file = null, Exception? innerException = null)
        : base(ControlCharacters.Escape($"{(file is null ? "" : file + ": ")}{field} {problem}"), innerException) =>
        (Field, Problem, File) = (field, problem, file);

    /// <summary>The metadata key, tensor or header field at fault.</summary>
    public string Field { get; }

    /// <summary>What is wrong with <see cref="Field"/>.</summary>
    public string Problem { get; }

    /// <summary>Path of the file, or null for a model in memory.</summary>
    public string? File { get; }

    internal GgufException In(string? file) => file is null || File is not null ? this : new GgufException(Field, Problem, file, this);
}
