namespace MLFramework.Cpu;

/// <summary>How rotary positions are stretched for contexts longer than those of the training.</summary>
public enum RotaryScalingKind
{
    /// <summary>Not at all.</summary>
    None,

    /// <summary>All angles are divided by a factor (Chen et al., "Position Interpolation", 2023).</summary>
    Linear,

    /// <summary>Slow pairs as with <see cref="Linear"/>, fast ones not at all, with a ramp between (Peng et al., "YaRN", 2023).</summary>
    Yarn,

    /// <summary>Each pair has a factor of its own, with one set for short and one for long contexts (Ding et al., "LongRoPE", 2024).</summary>
    LongRope,
}

/// <summary>How a model's rotary positions are scaled.</summary>
/// <param name="Kind">By which method.</param>
/// <param name="Factor">What angles are divided by; 1 for none.</param>
/// <param name="OriginalContext">Tokens that the model saw before it was stretched.</param>
/// <param name="AttentionFactor">What rotated queries and keys are multiplied by.</param>
/// <param name="BetaFast">YaRN: pairs that turn more often than this within the original context are not scaled.</param>
/// <param name="BetaSlow">YaRN: pairs that turn less often than this are scaled fully.</param>
public sealed record RotaryScaling(RotaryScalingKind Kind, float Factor, int OriginalContext, float AttentionFactor, float BetaFast, float BetaSlow)
{
    /// <summary>Reads what a file declares.</summary>
    /// <param name="parameters">The family's metadata.</param>
    /// <param name="context">Tokens that the model can see.</param>
    /// <exception cref="GgufException">A value is absurd, contradicts another, or asks for what this engine does not do.</exception>
    internal static RotaryScaling Read(ParameterReader parameters, int context)
    {
        RotaryScalingKind kind = KindOf(parameters);
        float factor = parameters.FindSingle("rope.scaling.factor") ?? 1, linear = parameters.FindSingle("rope.scale_linear") ?? 1;
        if (!parameters.Contains("rope.scaling.factor")) factor = linear;
        if (kind == RotaryScalingKind.None) factor = 1;
        if (kind == RotaryScalingKind.Linear && factor == 1) kind = RotaryScalingKind.None;
        if (kind == RotaryScalingKind.LongRope && factor != 1)
            throw parameters.Error("rope.scaling.factor", $"is {factor}, but longrope scales by the factors in the tensors rope_factors_long and rope_factors_short");
        float fast = 32, slow = 1;
        if (kind == RotaryScalingKind.Yarn)
        {
            (fast, slow) = (parameters.FindSingle("rope.scaling.yarn_beta_fast") ?? fast, parameters.FindSingle("rope.scaling.yarn_beta_slow") ?? slow);
            if (fast < slow) throw parameters.Error("rope.scaling.yarn_beta_fast", $"is {fast}, less than yarn_beta_slow, {slow}");
        }
        return new RotaryScaling(
            kind, factor, parameters.FindInt32("rope.scaling.original_context_length", 1) ?? context, parameters.FindSingle("rope.scaling.attn_factor") ?? 1, fast, slow);
    }

    /// <summary>A file that names no method, but a factor, means the linear one.</summary>
    private static RotaryScalingKind KindOf(ParameterReader parameters) => parameters.FindString("rope.scaling.type") switch
    {
        "none" => RotaryScalingKind.None,
        null or "linear" => RotaryScalingKind.Linear,
        "yarn" => RotaryScalingKind.Yarn,
        "longrope" => RotaryScalingKind.LongRope,
        var other => throw parameters.Error("rope.scaling.type", $"is '{other}', which is not supported; supported are none, linear, yarn and longrope"),
    };
}
