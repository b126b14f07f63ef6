namespace MLFramework.Cpu.Tests;

/// <summary>
/// Damages models at random, 6,000 times: whatever a file says, it either opens and can be used, or is refused with a <see cref="GgufException"/>.
/// Memory is bounded by the length of the file, not by what it claims.
/// </summary>
public sealed class GgufMutationTests
{
    private const int RoundsPerModel = 2000;

    /// <summary>Bytes that opening a file and its tokenizer may allocate per byte of metadata: strings are wider in memory, and tables hold them.</summary>
    private const int AllocationFactor = 64, AllocationBase = 1 << 20;

    [TestCase("mixed", 1)]
    [TestCase("sentencepiece", 2)]
    [TestCase("demo", 3)]
    public void A_damaged_model_is_refused_or_usable_in_bounded_memory(string model, int seed)
    {
        byte[] original = model switch { "mixed" => MixedModel(), "sentencepiece" => SentencePieceModel(), _ => File.ReadAllBytes(TestModels.Demo("q4_0")) };
        long headerLength;
        using (GgufFile intact = GgufFile.FromMemory(original)) headerLength = intact.Tensors.Min(tensor => tensor.Offset);
        Use(original);
        int refused = 0;
        for (int round = 0; round < RoundsPerModel; round++)
        {
            var random = new Random(seed * 1_000_000 + round);
            byte[] damaged = Damage(original, (int)headerLength, random);
            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                Use(damaged);
            }
            catch (GgufException e)
            {
                refused++;
                Assert.That(e.Field, Is.Not.Empty);
            }
            catch (Exception e)
            {
                Assert.Fail($"Round {round}: {e}");
            }
            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.That(allocated, Is.LessThan(AllocationBase + AllocationFactor * headerLength), $"Round {round}");
        }
        Assert.That(refused, Is.InRange(RoundsPerModel / 4, RoundsPerModel - 20), "the damage is neither harmless nor always fatal");
    }

    /// <summary>Does with a file what a program does with it first.</summary>
    private static void Use(byte[] bytes)
    {
        using GgufFile file = GgufFile.FromMemory(bytes);
        foreach (GgufTensor tensor in file.Tensors)
        {
            if (tensor.RowLength > 1 << 14) continue;   // the row is in the file; reading it whole would only take time
            var row = new float[tensor.RowLength];
            file.Dequantize(tensor, 0, row);
            file.Dequantize(tensor, tensor.RowCount - 1, row);
        }
        GgufInspector.Inspect(file).ToText();
        if (!file.Metadata.Contains("tokenizer.ggml.model")) return;
        Tokenizer tokenizer = Tokenizer.Load(file.Metadata);
        tokenizer.Decode(tokenizer.Encode("Hello, wörld! 12345 <|im_start|>\n\n", addSpecial: true, parseSpecial: true));
    }

    private static byte[] Damage(byte[] original, int headerLength, Random random)
    {
        switch (random.Next(4))
        {
            case 0:
                return original[..(random.Next(2) == 0 ? random.Next(headerLength) : random.Next(original.Length))];
            case 1:
            {
                byte[] damaged = [.. original];
                for (int flips = random.Next(1, 9); flips > 0; flips--) damaged[random.Next(headerLength)] ^= (byte)(1 << random.Next(8));
                return damaged;
            }
            case 2:
            {
                // The numbers of a header are where the harm is: extreme ones, anywhere.
                byte[] damaged = [.. original];
                ulong[] extremes = [0, 1, 0x7F, 0xFF, 0xFFFF, int.MaxValue, uint.MaxValue, long.MaxValue, ulong.MaxValue, 1ul << 40, (ulong)original.Length];
                byte[] number = BitConverter.GetBytes(extremes[random.Next(extremes.Length)])[..(random.Next(2) == 0 ? 4 : 8)];
                number.CopyTo(damaged, random.Next(random.Next(2) == 0 ? Math.Min(256, headerLength) : headerLength - 8));
                return damaged;
            }
            default:
            {
                int from = random.Next(headerLength), length = random.Next(1, Math.Min(4096, original.Length - from)), to = random.Next(headerLength);
                return [.. original.AsSpan(0, to), .. original.AsSpan(from, length),
                    .. original.AsSpan(random.Next(2) == 0 ? to : Math.Min(original.Length, to + length))];
            }
        }
    }

    private static byte[] MixedModel()
    {
        var random = new Random(11);
        GgufWriter writer = new GgufWriter().Add("general.architecture", "llama").Add("llama.block_count", 2u).Add("llama.attention.head_count", 4u)
            .AddArray("llama.attention.head_count_kv", [2, 2]).Add("llama.embedding_length", 256u).Add("llama.context_length", 128u)
                .Add("general.alignment", 32u);
        foreach (TensorType type in TensorTypes.All)
            writer.AddTensor($"blk.0.{type}.weight", type, [256, 2], [.. Enumerable.Range(0, 512).Select(_ => (float)random.NextDouble() - 0.5f)]);
        return TestModels.Write(writer);
    }

    private static byte[] SentencePieceModel()
    {
        string[] tokens = ["<unk>", "<s>", "</s>", .. Enumerable.Range(0, 256).Select(value => $"<0x{value:X2}>"), "▁", "l", "o", "e", "H", "lo", "▁H",
            "el", "▁Hel", "▁Hello"];
        int[] types = [2, 3, 3, .. Enumerable.Repeat(6, 256), .. Enumerable.Repeat(1, 10)];
        return TestModels.Write(new GgufWriter().Add("general.architecture", "llama").Add("general.name", "phi-3").Add("tokenizer.ggml.model", "llama")
            .AddArray("tokenizer.ggml.tokens", tokens).AddArray("tokenizer.ggml.scores", [.. tokens.Select((_, id) => (float)-id)])
                .AddArray("tokenizer.ggml.token_type", types)
            .Add("tokenizer.ggml.bos_token_id", 1u).Add("tokenizer.ggml.eos_token_id", 2u).AddTensor("t", TensorType.F16, [8], new byte[16]));
    }
}
