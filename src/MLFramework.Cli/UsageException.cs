namespace MLFramework.Cli;

/// <summary>What the user asked makes no sense; the message says what would.</summary>
internal sealed class UsageException(string message, Exception? inner = null) : Exception(message, inner);
