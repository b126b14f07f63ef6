namespace MLFramework.Cpu;

/// <summary>Writes a conversation as the prompt that a model was trained on.</summary>
public interface IChatTemplate
{
    /// <summary>Renders a conversation.</summary>
    /// <param name="messages">The messages, first to last.</param>
    /// <param name="addGenerationPrompt">Whether the prompt ends where the assistant's next message begins.</param>
    /// <returns>
    /// Marks of the template, which may hold control tokens, and contents of messages, which may not: for
    /// <see cref="Tokenizer.Encode(ReadOnlySpan{PromptSegment}, bool)"/>.
    /// </returns>
    /// <exception cref="ArgumentException">There are no messages, or one cannot be rendered.</exception>
    PromptSegment[] Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt);
}
