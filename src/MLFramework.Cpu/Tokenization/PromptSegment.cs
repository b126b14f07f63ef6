namespace MLFramework.Cpu;

/// <summary>A part of a prompt that is trusted, or not, to hold special tokens.</summary>
/// <param name="Text">The text.</param>
/// <param name="ParseSpecial">
/// Whether texts of control tokens in it (<c>&lt;|im_start|&gt;</c>) become these tokens. True for what a template wrote, false for what a user wrote.
/// </param>
public readonly record struct PromptSegment(string Text, bool ParseSpecial);
