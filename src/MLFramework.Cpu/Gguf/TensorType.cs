using System.Diagnostics.CodeAnalysis;

namespace MLFramework.Cpu;

/// <summary>How the elements of a tensor are stored, with the numbers and names of ggml.</summary>
/// <remarks>Quantized types hold blocks of consecutive elements of one row; <see cref="TensorTypes.Layout"/> has their sizes.</remarks>
[SuppressMessage("Naming", "CA1707:Identifiers should not contain underscores", Justification = "These are the names of the formats.")]
public enum TensorType
{
    /// <summary>32-bit float.</summary>
    F32 = 0,

    /// <summary>16-bit float (IEEE half).</summary>
    F16 = 1,

    /// <summary>4-bit, x = d (q − 8); blocks of 32 with a half d.</summary>
    Q4_0 = 2,

    /// <summary>4-bit, x = d q + m; blocks of 32 with halves d and m.</summary>
    Q4_1 = 3,

    /// <summary>5-bit, x = d (q − 16); blocks of 32 with a half d.</summary>
    Q5_0 = 6,

    /// <summary>5-bit, x = d q + m; blocks of 32 with halves d and m.</summary>
    Q5_1 = 7,

    /// <summary>8-bit, x = d q; blocks of 32 with a half d.</summary>
    Q8_0 = 8,

    /// <summary>4-bit; super-blocks of 256: eight sub-blocks with 6-bit scales and minima under two halves.</summary>
    Q4_K = 12,

    /// <summary>5-bit; super-blocks of 256: eight sub-blocks with 6-bit scales and minima under two halves.</summary>
    Q5_K = 13,

    /// <summary>6-bit; super-blocks of 256: sixteen sub-blocks with 8-bit scales under one half.</summary>
    Q6_K = 14,

    /// <summary>16-bit brain float: the upper half of a 32-bit float.</summary>
    BF16 = 30,
}
