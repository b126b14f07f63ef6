namespace MLFramework.Cpu;

/// <summary>
/// Rows of activations and panels of weights are padded with zeros to whole multiples, so that no kernel has a tail. What is computed from padding is
/// zero again.
/// </summary>
internal static class Padding
{
    /// <summary>Elements that a row of activations is padded to, and rows of a matrix that one panel holds.</summary>
    public const int Unit = 32;

    /// <summary>The next multiple of <see cref="Unit"/>.</summary>
    public static int Pad(int length) => checked((length + Unit - 1) / Unit * Unit);
}
