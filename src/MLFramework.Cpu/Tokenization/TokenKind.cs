namespace MLFramework.Cpu;

/// <summary>What a vocabulary entry is for, with the numbers of <c>tokenizer.ggml.token_type</c>.</summary>
public enum TokenKind
{
    /// <summary>Not stated; treated as <see cref="Normal"/>.</summary>
    Undefined = 0,

    /// <summary>A piece of text.</summary>
    Normal = 1,

    /// <summary>Stands for text that no other token can spell.</summary>
    Unknown = 2,

    /// <summary>Steers the model (begin, end, roles): yields no text, and no user text becomes one.</summary>
    Control = 3,

    /// <summary>A word that is kept whole wherever it occurs in a text.</summary>
    UserDefined = 4,

    /// <summary>Reserved; yields no text.</summary>
    Unused = 5,

    /// <summary>One byte, for characters without a token of their own.</summary>
    Byte = 6,
}
