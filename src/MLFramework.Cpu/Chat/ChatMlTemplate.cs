namespace MLFramework.Cpu;

/// <summary>ChatML: <c>&lt;|im_start|&gt;role\ncontent&lt;|im_end|&gt;\n</c> for every message.</summary>
public sealed class ChatMlTemplate : IChatTemplate
{
    private const string Start = "<|im_start|>", End = "<|im_end|>";
    private const string TemplateKey = "tokenizer.chat_template";

    /// <summary>Makes the template of a model, if it is ChatML.</summary>
    /// <param name="metadata">Metadata of the model.</param>
    /// <param name="vocabulary">Its tokens.</param>
    /// <exception cref="GgufException">The model has no ChatML tokens, or its template does not use them.</exception>
    public static ChatMlTemplate Load(GgufMetadata metadata, Vocabulary vocabulary)
    {
        foreach (string mark in (ReadOnlySpan<string>)[Start, End])
        {
            if (metadata.FindString(TemplateKey) is { } template && !template.Contains(mark, StringComparison.Ordinal))
                throw metadata.Error(TemplateKey, $"does not use {mark}; ChatML is the only template supported");
            if (vocabulary.FindControl(mark) is null)
                throw metadata.Error("tokenizer.ggml.tokens",
                    $"holds no control token {mark}, so this model was not trained on ChatML, the only template supported");
        }
        return new ChatMlTemplate();
    }

    /// <inheritdoc/>
    public PromptSegment[] Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt)
    {
        if (messages.Count == 0) throw new ArgumentException("A conversation has at least one message.", nameof(messages));
        var segments = new List<PromptSegment>(2 * messages.Count + 1);
        string before = "";
        foreach (ChatMessage message in messages)
        {
            if (!IsRole(message.Role)) throw new ArgumentException($"'{message.Role}' is no role: use letters, digits, '_' and '-'.", nameof(messages));
            segments.Add(new PromptSegment($"{before}{Start}{message.Role}\n", ParseSpecial: true));
            segments.Add(new PromptSegment(message.Content, ParseSpecial: false));
            before = $"{End}\n";
        }
        segments.Add(new PromptSegment(addGenerationPrompt ? $"{before}{Start}assistant\n" : before, ParseSpecial: true));
        return [.. segments];
    }

    /// <summary>Roles stand between marks that are trusted, so they must not be able to hold any.</summary>
    private static bool IsRole(string role) => role.Length > 0 && role.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-');
}
