using System.Globalization;
using MLFramework.Cpu;

namespace MLFramework.DemoModel;

/// <summary>Writes the model as GGUF, and reads such a file back for evaluation.</summary>
internal static class ModelFile
{
    private const int ControlToken = 3, NormalToken = 1;

    private const string ChatTemplate =
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}" +
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

    /// <summary>
    /// Matrices are stored as <paramref name="type"/> (the embedding, which is also the output, as <paramref name="embeddingType"/>), norms as F32.
    /// </summary>
    public static void Write(string path, Parameters parameters, BpeTokenizer tokenizer, TensorType type, TensorType embeddingType)
    {
        ModelConfig c = parameters.Config;
        var writer = new GgufWriter()
            .Add("general.architecture", "llama")
            .Add("general.type", "model")
            .Add("general.name", "MLFramework Demo")
            .Add("general.size_label", string.Create(CultureInfo.InvariantCulture, $"{parameters.Data.Length / 1e6:F1}M"))
            .Add("general.description", "A tiny model trained from scratch by the MLFramework project on synthetic text.")
            .Add("general.file_type", FileType(type))
            .Add("general.quantization_version", 2u)
            .Add("llama.vocab_size", (uint)c.Vocab)
            .Add("llama.context_length", (uint)c.Context)
            .Add("llama.embedding_length", (uint)c.Dim)
            .Add("llama.block_count", (uint)c.Layers)
            .Add("llama.feed_forward_length", (uint)c.Ffn)
            .Add("llama.attention.head_count", (uint)c.Heads)
            .Add("llama.attention.head_count_kv", (uint)c.KvHeads)
            .Add("llama.attention.layer_norm_rms_epsilon", c.NormEps)
            .Add("llama.rope.dimension_count", (uint)c.HeadDim)
            .Add("llama.rope.freq_base", c.RopeBase)
            .Add("tokenizer.ggml.model", "gpt2")
            .Add("tokenizer.ggml.pre", "gpt-2")
            .AddArray("tokenizer.ggml.tokens", tokenizer.Tokens.ToArray())
            .AddArray("tokenizer.ggml.token_type",
                Enumerable.Range(0, c.Vocab).Select(id => id < BpeTokenizer.Specials.Length ? ControlToken : NormalToken).ToArray())
            .AddArray("tokenizer.ggml.merges", tokenizer.Merges.ToArray())
            .Add("tokenizer.ggml.bos_token_id", (uint)BpeTokenizer.EndOfTextId)
            .Add("tokenizer.ggml.eos_token_id", (uint)BpeTokenizer.ImEndId)
            .Add("tokenizer.ggml.eot_token_id", (uint)BpeTokenizer.ImEndId)
            .Add("tokenizer.ggml.padding_token_id", (uint)BpeTokenizer.EndOfTextId)
            .Add("tokenizer.ggml.add_bos_token", false)
            .Add("tokenizer.ggml.add_eos_token", false)
            .Add("tokenizer.chat_template", ChatTemplate);
        foreach (Weight weight in parameters.All)
        {
            TensorType stored = !weight.IsMatrix ? TensorType.F32 : weight == parameters.Embedding ? embeddingType : type;
            writer.AddTensor(weight.Name, stored, weight.IsMatrix ? [weight.Cols, weight.Rows]
                : [weight.Cols], (ReadOnlySpan<float>)weight.Of(parameters.Data));
        }
        using FileStream stream = File.Create(path);
        writer.Write(stream);
    }

    /// <summary>Reads a file written by <see cref="Write"/>, dequantized to float.</summary>
    /// <exception cref="GgufException">It is no such file.</exception>
    public static (Parameters Parameters, BpeTokenizer Tokenizer) Read(string path)
    {
        using GgufFile file = GgufFile.Open(path);
        GgufMetadata metadata = file.Metadata;
        int Size(string key) => metadata.GetInt32("llama." + key, 1, 1 << 20);
        var parameters = new Parameters(new ModelConfig(
            Size("vocab_size"), Size("embedding_length"), Size("block_count"), Size("attention.head_count"), Size("attention.head_count_kv"),
                Size("feed_forward_length"),
            Size("context_length"), metadata.GetSingle("llama.rope.freq_base"), metadata.GetSingle("llama.attention.layer_norm_rms_epsilon")));
        foreach (Weight weight in parameters.All)
        {
            GgufTensor tensor = file.GetTensor(weight.Name);
            if (tensor.ElementCount != weight.Length)
                throw new GgufException($"tensor '{weight.Name}'", $"has {tensor.ElementCount} elements, not {weight.Length}", path);
            file.Dequantize(tensor, 0, weight.Of(parameters.Data));
        }
        string[] Strings(string key) => metadata.FindStrings(key) ?? throw new GgufException(key, "is missing", path);
        return (parameters, BpeTokenizer.FromTokens(Strings("tokenizer.ggml.tokens"), Strings("tokenizer.ggml.merges")));
    }

    /// <summary>What <c>general.file_type</c> says of a file that is mostly of one type.</summary>
    private static uint FileType(TensorType type) => type switch
    {
        TensorType.F32 => 0,
        TensorType.F16 => 1,
        TensorType.Q4_0 => 2,
        TensorType.Q8_0 => 7,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "Not one of the exported types."),
    };
}
