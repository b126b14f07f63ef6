namespace MLFramework.Cpu;

/// <summary>What a family of tokenizers assumes where a file says nothing.</summary>
/// <param name="BosId">The token in front of a text.</param>
/// <param name="EosId">The token after a text.</param>
/// <param name="UnknownId">The token for what cannot be spelled.</param>
/// <param name="AddBos">Whether a prompt starts with the first of them.</param>
internal readonly record struct VocabularyDefaults(int? BosId, int? EosId, int? UnknownId, bool AddBos);
