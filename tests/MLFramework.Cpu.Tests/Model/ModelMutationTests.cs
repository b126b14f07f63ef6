using System.Buffers.Binary;
using System.Text;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cpu.Tests;

/// <summary>
/// Damaged models, whole: whatever a file says, it is refused with a <see cref="GgufException"/>, or it runs, and then each request ends, with tokens or
/// with a reason. Time and memory are bounded by the length of the file.
/// </summary>
public sealed class ModelMutationTests
{
    private const int Rounds = 1200, MostTokens = 3;

    /// <summary>Managed bytes that opening, loading and running may take per byte of the file; packed weights are at most floats made of 4-bit integers.</summary>
    private const int AllocationFactor = 64, AllocationBase = 8 << 20, PackingFactor = 16;

    private static readonly int[] s_prompt = [.. Enumerable.Range(5, 12)];

    private enum Outcome
    {
        Refused,
        Answered,
        Failed,
    }

    [TestCase("llama", TensorType.F32, 1)]
    [TestCase("llama", TensorType.Q4_0, 2)]
    [TestCase("qwen2", TensorType.Q8_0, 3)]
    [TestCase("gemma3", TensorType.F16, 4)]
    [TestCase("phi3", TensorType.BF16, 5)]
    public void A_damaged_model_is_refused_or_answers_or_fails_with_a_reason(string architecture, TensorType type, int seed)
    {
        byte[] original = TinyModels.Write(architecture, type);
        int headerLength = HeaderLength(original);
        Assert.That(Use(original), Is.EqualTo(Outcome.Answered));
        int[] outcomes = new int[3];
        for (int round = 0; round < Rounds; round++)
        {
            byte[] damaged = Damage(original, headerLength, new Random(seed * 1_000_000 + round));
            try
            {
                outcomes[(int)Use(damaged)]++;
            }
            catch (Exception e) when (e is not AssertionException)
            {
                Assert.Fail($"Round {round}: {e}");
            }
        }
        TestContext.Out.WriteLine($"{outcomes[0]} refused, {outcomes[1]} answered, {outcomes[2]} failed");
        Assert.That(outcomes, Is.All.GreaterThan(0), "Damage of all kinds.");
        Assert.That(outcomes[..2], Is.All.GreaterThan(Rounds / 4));
    }

    [Test]
    public void A_parameter_of_any_size_is_refused_or_harmless()
    {
        Dictionary<string, object> metadata = [];
        TinyModels.Write(change: original => metadata = new(original));
        int refused = 0, used = 0;
        foreach ((string key, object value) in metadata)
        {
            object[] extremes = value switch
            {
                int => [0, 1, 2, 3, 7, 8, -1, 1 << 16, 1 << 20, (1 << 24) - 1, int.MaxValue, uint.MaxValue, long.MaxValue, ulong.MaxValue, 0.5f, "8", true],
                float => [0f, -1f, float.NaN, float.PositiveInfinity, float.MaxValue, float.Epsilon, 1, "1"],
                _ => ["", new string('x', 10_000), 1],
            };
            foreach (object extreme in extremes)
            {
                if (Use(TinyModels.Write(change: changed => changed[key] = extreme)) == Outcome.Refused) refused++;
                else used++;
            }
        }
        Assert.That((refused > 50, used > 10), Is.EqualTo((true, true)), $"{refused} refused, {used} used");
    }

    [Test]
    public void Each_tensor_is_needed_and_only_in_its_own_shape([Values("llama", "qwen2", "qwen3", "gemma3", "phi3")] string architecture)
    {
        byte[] original = TinyModels.Write(architecture);
        using GgufFile file = GgufFile.FromMemory(original);
        foreach (GgufTensor tensor in file.Tensors)
        {
            // What is fused in a family's files may also come in parts; then the first of these is missing.
            string named = tensor.Name.Replace("attn_qkv", "attn_q", StringComparison.Ordinal);
            if (tensor.Name != "output.weight") AssertRefused(TinyModels.Write(architecture, skip: tensor.Name), $"'{named}' is missing");
            foreach (long extreme in (long[])[0, 1, 31, 33, 64, 1L << 31, 1L << 40, 1L << 62, -1])
            {
                for (int dimension = 0; dimension < tensor.Dimensions.Length; dimension++)
                    if (extreme != tensor.Dimensions[dimension]) AssertRefused(WithDimension(original, tensor, dimension, extreme), tensor.Name);
            }
        }
    }

    private static void AssertRefused(byte[] file, string says)
    {
        GgufException refusal = Assert.Throws<GgufException>(() => TinyModels.Load(file).Dispose());
        Assert.That(refusal.Message, Does.Contain(says));
    }

    /// <summary>Opens and loads a model, and lets it answer two requests together.</summary>
    private static Outcome Use(byte[] file)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            using CpuModel model = TinyModels.Load(file);
            Assert.That(model.PackedBytes, Is.LessThan(PackingFactor * (long)file.Length));
            using var rig = new CpuRig(model, new CpuExecutorOptions { Threads = 1, KVCacheTokens = 64 });
            Request[] requests = [.. Enumerable.Range(0, 2).Select(i => CpuRig.NewRequest(s_prompt[i..], MostTokens, GenerationOptions.Default with { Temperature = 0, TopLogProbs = 1 }))];
            foreach (Request request in requests) rig.Enqueue(request);
            rig.RunDry(requests);
            foreach (RequestResult result in requests.Select(request => request.Result!))
            {
                if (result.Reason == CompletionReason.Failed) Assert.That(result.Exception, Is.TypeOf<ModelOutputException>().Or.TypeOf<ArgumentException>());
                else Assert.That(result.LogProbs!.Select(entry => entry.Chosen.LogProb), Is.All.InRange(float.MinValue, 0f));
            }
            return requests.Any(request => request.Result!.Reason == CompletionReason.Failed) ? Outcome.Failed : Outcome.Answered;
        }
        catch (GgufException e)
        {
            Assert.That(e.Field, Is.Not.Empty);
            return Outcome.Refused;
        }
        catch (PromptTooLongException)
        {
            return Outcome.Failed; // The damaged model says that it sees fewer tokens.
        }
        finally
        {
            Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(AllocationBase + AllocationFactor * (long)file.Length));
        }
    }

    /// <summary>Damages metadata and descriptions of tensors, or weights, which no check can see.</summary>
    private static byte[] Damage(byte[] original, int headerLength, Random random)
    {
        byte[] damaged = [.. original];
        bool inHeader = random.Next(2) == 0;
        int from = inHeader ? 0 : headerLength, to = inHeader ? headerLength : original.Length;
        switch (random.Next(3))
        {
            case 0:
                for (int flips = random.Next(1, 9); flips > 0; flips--) damaged[random.Next(from, to)] ^= (byte)(1 << random.Next(8));
                break;
            case 1:
                ulong[] extremes = [0, 1, 0xFF, int.MaxValue, uint.MaxValue, long.MaxValue, 0x7F80_0000, 0xFFC0_0000, 0x7F7F_FFFF, 0x7C00_7C00, 0x7BFF_FBFF];
                BinaryPrimitives.WriteUInt32LittleEndian(damaged.AsSpan(random.Next(from, to - 4)), (uint)extremes[random.Next(extremes.Length)]);
                break;
            default:
                random.NextBytes(damaged.AsSpan(random.Next(from, to - 64), random.Next(1, 64)));
                break;
        }
        return damaged;
    }

    private static int HeaderLength(byte[] bytes)
    {
        using GgufFile file = GgufFile.FromMemory(bytes);
        return (int)file.Tensors.Min(tensor => tensor.Offset);
    }

    /// <summary>The same file with another dimension in the description of a tensor: its name, the number of dimensions, the dimensions.</summary>
    private static byte[] WithDimension(byte[] original, GgufTensor tensor, int dimension, long value)
    {
        byte[] name = Encoding.UTF8.GetBytes(tensor.Name), changed = [.. original];
        int at = original.AsSpan().IndexOf((ReadOnlySpan<byte>)[.. BitConverter.GetBytes((ulong)name.Length), .. name]);
        BinaryPrimitives.WriteInt64LittleEndian(changed.AsSpan(at + sizeof(ulong) + name.Length + sizeof(uint) + dimension * sizeof(long)), value);
        return changed;
    }
}
