namespace MLFramework.Compare;

/// <summary>What was asked cannot be done here; the message says why, and what would help.</summary>
internal sealed class CompareException(string message, Exception? inner = null) : Exception(message, inner);
