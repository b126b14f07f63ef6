using System.Globalization;
using System.Text.RegularExpressions;

namespace MLFramework.Cpu;

/// <summary>
/// The rules of models in several files: <c>split.no</c>, <c>split.count</c>, <c>split.tensors.count</c>, and names that end in
/// <c>-00001-of-00003.gguf</c>.
/// </summary>
internal static partial class GgufSplit
{
    public const string NumberKey = "split.no", CountKey = "split.count", TensorCountKey = "split.tensors.count";

    private const int MaximumCount = 99999;   // what five digits hold

    /// <summary>Number of files of the model that this one belongs to.</summary>
    public static int Count(GgufShard shard) => Math.Max(1, shard.Header.Metadata.FindInt32(CountKey, 0, MaximumCount) ?? 1);

    /// <summary>Paths of all files, in order, from the path of one.</summary>
    public static IReadOnlyList<string> Paths(GgufShard shard, int count)
    {
        Match name = NamePattern().Match(shard.Path!);
        if (!name.Success || int.Parse(name.Groups["count"].ValueSpan, CultureInfo.InvariantCulture) != count)
            throw shard.Header.Metadata.Error(CountKey, $"is {count}, so the file should be named like model-00001-of-{count:D5}.gguf beside the others");
        return [.. Enumerable.Range(1, count).Select(number => $"{name.Groups["stem"].Value}-{number:D5}-of-{count:D5}.gguf")];
    }

    /// <summary>Opens one file of several.</summary>
    public static GgufShard Open(string path, int index, int count)
    {
        if (!File.Exists(path))
            throw new GgufException(CountKey, $"is {count}, but file {index + 1} of them is missing: all files of a split model must be in one folder", path);
        return GgufShard.Open(path, index);
    }

    /// <summary>Checks that the files belong together.</summary>
    public static void Validate(IReadOnlyList<GgufShard> shards)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach ((int index, GgufShard shard) in shards.Index())
        {
            GgufMetadata metadata = shard.Header.Metadata;
            if (metadata.GetInt32(CountKey) is int count && count != shards.Count)
                throw metadata.Error(CountKey, $"is {count}, but the first file says {shards.Count}");
            if (metadata.GetInt32(NumberKey) is int number && number != index)
                throw metadata.Error(NumberKey, $"is {number}, but the name of the file says {index}");
            foreach (GgufTensor tensor in shard.Header.Tensors)
                if (!names.Add(tensor.Name)) throw new GgufException($"tensor '{tensor.Name}'", "appears in two files", shard.Path);
        }
        GgufMetadata first = shards[0].Header.Metadata;
        if (first.FindInt32(TensorCountKey) is int total && total != names.Count)
            throw first.Error(TensorCountKey, $"is {total}, but the files hold {names.Count} tensors");
    }

    [GeneratedRegex(@"^(?<stem>.*)-(?<number>[0-9]{5})-of-(?<count>[0-9]{5})\.gguf$", RegexOptions.Singleline | RegexOptions.ExplicitCapture)]
    private static partial Regex NamePattern();
}
