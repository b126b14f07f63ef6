namespace MLFramework.Simulation;

/// <summary>A stretch of a prompt. Segments of equal id begin with equal tokens, whatever request they are in.</summary>
/// <param name="Id">Names the content.</param>
/// <param name="Length">Tokens, at least 1.</param>
public readonly record struct PromptSegment(long Id, int Length);
