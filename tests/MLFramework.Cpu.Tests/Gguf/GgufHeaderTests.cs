using System.Buffers.Binary;
using System.Text;

namespace MLFramework.Cpu.Tests;

/// <summary>Every way in which a header can be wrong, one at a time: the error names the field.</summary>
public sealed class GgufHeaderTests
{
    [Test]
    public void Every_truncation_of_a_small_file_is_refused()
    {
        byte[] bytes = TestModels.Write(new GgufWriter().Add("key", "value").AddArray("list", ["a", "b"])
            .AddTensor("t", TensorType.F32, [4], [1f, 2f, 3f, 4f]));
        int lastData = bytes.Length - 16;   // the writer pads 16 bytes of data to 32

        for (int length = 0; length < lastData; length++)
            Assert.That(() => GgufFile.FromMemory(bytes.AsMemory(0, length)), Throws.TypeOf<GgufException>(), $"{length} bytes");
        using GgufFile whole = GgufFile.FromMemory(bytes.AsMemory(0, lastData));
        Assert.That(whole.Tensors, Has.Length.EqualTo(1));
    }

    [TestCase(0u, "is 0")]
    [TestCase(1u, "is 1")]
    [TestCase(4u, "is 4")]
    [TestCase(0x03000000u, "big-endian")]
    public void Other_versions_are_refused(uint version, string message) =>
        AssertRefused(new Header { Version = version }, "header: version", message);

    [Test]
    public void Another_magic_is_no_GGUF() => AssertRefused(new Header { Magic = "GGML" }, "header: magic", "no GGUF file");

    [TestCase(1ul << 40)]
    [TestCase(ulong.MaxValue)]
    [TestCase(3ul)]
    public void More_tensors_than_fit_are_refused(ulong count) => AssertRefused(new Header { TensorCount = count }, "header: tensor count", "more than the");

    [TestCase(1ul << 40)]
    [TestCase(ulong.MaxValue)]
    public void More_metadata_than_fit_are_refused(ulong count) =>
        AssertRefused(new Header { MetadataCount = count }, "header: metadata count", "more than the");

    [Test]
    public void A_key_that_appears_twice_is_refused() => AssertRefused(new Header().Entry("k", 4, 1u).Entry("k", 4, 2u), "metadata 'k'", "appears twice");

    [Test]
    public void An_empty_key_is_refused() => AssertRefused(new Header().Entry("", 4, 1u), "metadata 0: key", "is empty");

    [Test]
    public void Control_characters_of_a_name_do_not_reach_a_log() =>
        Assert.That(new Header().Entry("\u001b[2J", 99, 1u).Open, Throws.TypeOf<GgufException>().With.Message.StartsWith("metadata '\\u001b[2J': type"));

    [TestCase(13u)]
    [TestCase(uint.MaxValue)]
    public void An_unknown_value_type_is_refused(uint type) => AssertRefused(new Header().Entry("k", type, 1u), "metadata 'k': type", "no GGUF value type");

    [Test]
    public void A_boolean_beyond_one_is_refused() => AssertRefused(new Header().Entry("k", 7, (byte)2), "metadata 'k'", "boolean of value 2");

    [Test]
    public void A_string_that_is_no_UTF8_is_refused() =>
        AssertRefused(new Header().Entry("k", 8, 2ul, (byte)0xC3, (byte)0x28), "metadata 'k'", "not valid UTF-8");

    [TestCase(ulong.MaxValue)]
    [TestCase(1ul << 62)]
    public void A_string_of_absurd_length_is_refused(ulong length) =>
        AssertRefused(new Header().Entry("k", 8, length), "metadata 'k': length", "more than the");

    [Test]
    public void A_string_beyond_the_file_is_cut_off() => AssertRefused(new Header().Entry("k", 8, 1000ul), "metadata 'k'", "is cut off: 1000 bytes needed");

    [TestCase(4u, 1ul << 60)]
    [TestCase(8u, 1ul << 60)]
    [TestCase(7u, ulong.MaxValue)]
    [TestCase(4u, 100ul)]
    public void An_array_beyond_the_file_is_refused(uint element, ulong count) =>
        AssertRefused(new Header().Entry("k", 9, element, count), "metadata 'k': count", "more than the");

    [Test]
    public void An_array_of_arrays_is_refused() => AssertRefused(new Header().Entry("k", 9, 9u, 1ul), "metadata 'k'", "array of arrays");

    [TestCase(0)]
    [TestCase(-8)]
    [TestCase(4)]
    [TestCase(48)]
    public void An_alignment_that_is_no_power_of_two_is_refused(int alignment) =>
        Assert.That(() => new Header().Entry("general.alignment", 5, alignment).Open(),
            Throws.TypeOf<GgufException>().With.Property("Field").EqualTo("general.alignment"));

    [Test]
    public void An_alignment_that_is_no_number_is_refused() =>
        AssertRefused(new Header().Entry("general.alignment", 8, 2ul, (byte)'3', (byte)'2'), "general.alignment", "not an integer");

    [Test]
    public void Tensors_follow_the_stated_alignment()
    {
        using GgufFile file = new Header().Entry("general.alignment", 4, 64u).Tensor("a", [4], 0, 0).Tensor("b", [4], 0, 64).Data(80).Open();

        Assert.That(file.Tensors.Select(tensor => tensor.Offset % 64), Is.All.Zero);
        AssertRefused(new Header().Entry("general.alignment", 4, 64u).Tensor("a", [4], 0, 32).Data(80), "tensor 'a': offset",
            "no multiple of the alignment 64");
    }

    [TestCase(0u)]
    [TestCase(5u)]
    [TestCase(uint.MaxValue)]
    public void A_rank_outside_1_to_4_is_refused(uint rank) =>
        AssertRefused(new Header().TensorBytes("t", rank), "tensor 't': number of dimensions", $"is {rank}");

    [TestCase(0ul)]
    [TestCase(1ul << 31)]
    [TestCase(ulong.MaxValue)]
    public void A_zero_or_huge_dimension_is_refused(ulong dimension)
    {
        AssertRefused(new Header().Tensor("t", [4, dimension], 0, 0).Data(64), "tensor 't': dimension 1", $"is {dimension}");
        AssertRefused(new Header().Tensor("t", [dimension], 0, 0).Data(64), "tensor 't': dimension 0", $"is {dimension}");
    }

    [Test]
    public void Dimensions_whose_product_overflows_are_refused() =>
        AssertRefused(new Header().Tensor("t", [1 << 20, int.MaxValue, int.MaxValue, int.MaxValue], 0, 0).Data(64), "tensor 't': data", "need");

    [Test]
    public void A_row_beyond_2_GiB_is_refused() => AssertRefused(new Header().Tensor("t", [1 << 30], 0, 0).Data(64), "tensor 't': dimension 0", "2 GiB");

    [TestCase(4u)]
    [TestCase(15u)]
    [TestCase(31u)]
    [TestCase(0x80000000u)]
    public void An_unknown_tensor_type_is_refused_with_the_known_ones(uint type) =>
        AssertRefused(new Header().Tensor("t", [256], type, 0).Data(1024), "tensor 't': type",
            "F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K, BF16");

    [TestCase(8u, 33ul, 32)]
    [TestCase(14u, 128ul, 256)]
    public void A_row_of_broken_blocks_is_refused(uint type, ulong length, int block) =>
        AssertRefused(new Header().Tensor("t", [length], type, 0).Data(1024), "tensor 't': dimension 0", $"no multiple of the {block}");

    [Test]
    public void A_misaligned_tensor_is_refused() =>
        AssertRefused(new Header().Tensor("t", [4], 0, 8).Data(64), "tensor 't': offset", "no multiple of the alignment 32");

    [TestCase(64ul)]
    [TestCase(ulong.MaxValue - 31)]
    public void A_tensor_beyond_the_file_is_refused(ulong offset) =>
        AssertRefused(new Header().Tensor("t", [4], 0, offset).Data(64), "tensor 't': data", "but the file has 64 bytes of data");

    [Test]
    public void Tensors_that_overlap_are_refused() =>
        AssertRefused(new Header().Tensor("a", [4], 0, 32).Tensor("b", [12], 0, 0).Data(64), "tensor 'a': offset", "overlaps tensor 'b'");

    [Test]
    public void Tensors_in_any_order_are_accepted()
    {
        using GgufFile file = new Header().Tensor("a", [4], 0, 32).Tensor("b", [8], 0, 0).Data(64).Open();

        Assert.That(file.Tensors.Select(tensor => tensor.Name), Is.EqualTo(new[] { "a", "b" }));
    }

    [Test]
    public void A_tensor_that_appears_twice_is_refused() =>
        AssertRefused(new Header().Tensor("t", [4], 0, 0).Tensor("t", [4], 0, 32).Data(64), "tensor 't'", "appears twice");

    [Test]
    public void A_tensor_name_is_neither_empty_nor_beyond_64_bytes()
    {
        AssertRefused(new Header().Tensor("", [4], 0, 0).Data(64), "tensor 0: name", "is empty");
        AssertRefused(new Header().Tensor(new string('n', 65), [4], 0, 0).Data(64), "tensor 0: name: length", "is 65");
    }

    private static void AssertRefused(Header header, string field, string message) => Assert.That(header.Open, Throws.TypeOf<GgufException>()
        .With.Property(nameof(GgufException.Field)).EqualTo(field).And.Message.Contains(message));

    /// <summary>A header that can be wrong in every way.</summary>
    private sealed class Header
    {
        private readonly List<byte> _entries = [], _tensors = [];
        private ulong _entryCount, _tensorCount;
        private int _data;

        public string Magic { get; init; } = "GGUF";

        public uint Version { get; init; } = 3;

        public ulong? TensorCount { get; init; }

        public ulong? MetadataCount { get; init; }

        public Header Entry(string key, uint type, params object[] parts)
        {
            _entryCount++;
            Put(_entries, [(ulong)Encoding.UTF8.GetByteCount(key), .. Encoding.UTF8.GetBytes(key).Cast<object>(), type, .. parts]);
            return this;
        }

        public Header Tensor(string name, ulong[] dimensions, uint type, ulong offset) =>
            TensorBytes(name, [(uint)dimensions.Length, .. dimensions.Cast<object>(), type, offset]);

        public Header TensorBytes(string name, params object[] parts)
        {
            _tensorCount++;
            Put(_tensors, [(ulong)name.Length, .. Encoding.UTF8.GetBytes(name).Cast<object>(), .. parts]);
            return this;
        }

        public Header Data(int bytes)
        {
            _data = bytes;
            return this;
        }

        public GgufFile Open()
        {
            List<byte> file = [];
            Put(file, [.. Encoding.ASCII.GetBytes(Magic).Cast<object>(), Version, TensorCount ?? _tensorCount, MetadataCount ?? _entryCount]);
            file.AddRange([.. _entries, .. _tensors]);
            return GgufFile.FromMemory((byte[])[.. file, .. new byte[(file.Count + 63) / 64 * 64 - file.Count + _data]]);
        }

        private static void Put(List<byte> bytes, object[] parts)
        {
            Span<byte> buffer = stackalloc byte[8];
            foreach (object part in parts)
            {
                int length = part switch { byte => 1, int or uint => 4, _ => 8 };
                ulong bits = part switch { byte b => b, int n => (uint)n, uint n => n, _ => (ulong)part };
                BinaryPrimitives.WriteUInt64LittleEndian(buffer, bits);
                bytes.AddRange(buffer[..length]);
            }
        }
    }
}
