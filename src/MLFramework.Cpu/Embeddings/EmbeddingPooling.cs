namespace MLFramework.Cpu;

/// <summary>How the hidden states of a text's tokens become one vector.</summary>
public enum EmbeddingPooling
{
    /// <summary>The last token's: in a model that looks backwards only, the one that has seen all.</summary>
    Last = 0,

    /// <summary>The average of all.</summary>
    Mean = 1,

    /// <summary>The first token's, which models trained for it use as a summary ("CLS").</summary>
    First = 2,
}
