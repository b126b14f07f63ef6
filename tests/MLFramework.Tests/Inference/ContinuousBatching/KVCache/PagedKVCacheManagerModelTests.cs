using FsCheck;
using FsCheck.Fluent;
using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;

namespace MLFramework.Tests.Inference.ContinuousBatching.KVCache;

/// <summary>
/// Random histories of sequences that come, compute, fork, fail, grow and go, against <see cref="NaiveKVCache"/>. After each step the counters and
/// hits agree, all invariants hold, and every computed position of every sequence reads back the value that its own tokens give.
/// </summary>
public class PagedKVCacheManagerModelTests
{
    [TestCase(1, 12, 100, 300, true, false)]
    [TestCase(2, 24, 100, 300, true, false, TestName = "{m}: roomy")]
    [TestCase(3, 10, 100, 300, true, false, TestName = "{m}: tight")]
    [TestCase(2, 16, 2, 300, true, false, TestName = "{m}: few prefixes kept")]
    [TestCase(2, 16, 0, 300, true, false, TestName = "{m}: no prefixes kept")]
    [TestCase(2, 16, 100, 3, true, false, TestName = "{m}: short-lived")]
    [TestCase(2, 16, 3, 5, true, true, TestName = "{m}: all hashes collide")]
    [TestCase(4, 12, 100, 300, false, false, TestName = "{m}: nothing shared")]
    public void It_does_what_the_naive_cache_does(int blockSize, int totalBlocks, int maxPrefixes, int timeToLive, bool caching, bool collide)
    {
        var configuration = new KVCacheConfiguration(totalBlocks, blockSize);
        var prefill = new PrefillConfiguration
        {
            EnablePrefillCaching = caching,
            PrefillCacheMaxEntries = maxPrefixes,
            PrefillCacheTtlSeconds = timeToLive,
        };
        Arbitrary<int[]> histories = Arb.From(Gen.ArrayOf(Gen.Choose(0, int.MaxValue - 1)), Shorter);
        Config config = Config.QuickThrowOnFailure.WithMaxTest(150).WithQuietOnSuccess(true).WithEndSize(150).WithReplay(2026, 2027);

        Prop.ForAll(histories, seeds =>
        {
            using var history = new History(configuration, prefill, collide ? (_, _) => 7 : FoldedPrefixHash.Compute);
            history.Play(seeds);
        }).Check(config);
    }

    private static IEnumerable<int[]> Shorter(int[] history)
    {
        for (int length = history.Length / 2; length > 0; length /= 2)
        {
            for (int start = 0; start + length <= history.Length; start += length)
            {
                yield return [.. history[..start], .. history[(start + length)..]];
            }
        }
    }

    private sealed class History : IDisposable
    {
        private const int MaxLength = 20;

        private readonly VirtualTimeProvider _clock = new();
        private readonly PagedKVCacheManager _manager;
        private readonly IPagedKVCache _cache;
        private readonly NaiveKVCache _naive;
        private readonly int _blockSize;
        private readonly string?[,] _memory; // what each position of each block was last written with: all tokens up to it
        private readonly List<Sequence> _sequences = [];
        private readonly Dictionary<RequestId, NaiveKVCache.Holder> _opaque = [];

        public History(KVCacheConfiguration configuration, PrefillConfiguration prefill, PrefixHash hash)
        {
            _manager = new PagedKVCacheManager(configuration, prefill, _clock, hash);
            _cache = _manager;
            _blockSize = configuration.BlockSize;
            _memory = new string?[configuration.TotalBlocks, _blockSize];
            _naive = new NaiveKVCache(
                configuration.TotalBlocks,
                _blockSize,
                prefill.EnablePrefillCaching,
                prefill.PrefillCacheMaxEntries,
                TimeSpan.FromSeconds(prefill.PrefillCacheTtlSeconds));
        }

        public void Play(int[] seeds)
        {
            foreach (int seed in seeds)
            {
                Step(new Random(seed));
                Check();
            }

            _sequences.ToList().ForEach(End);
            _opaque.Keys.ToList().ForEach(EndOpaque);
            Check();
            Assert.That(_manager.ReferencedBlocks, Is.Zero);
        }

        public void Dispose() => _manager.Dispose();

        private void Step(Random random)
        {
            switch (random.Next(12))
            {
                case < 3:
                    Begin(random);
                    break;
                case < 8:
                    Iterate(random);
                    break;
                case 8:
                    Fork(random);
                    break;
                case 9 when _sequences.Count > 0:
                    End(_sequences[random.Next(_sequences.Count)]);
                    break;
                case 10:
                    var time = TimeSpan.FromSeconds(random.Next(4));
                    _clock.Advance(time);
                    _naive.Advance(time);
                    break;
                default:
                    Opaque(random);
                    break;
            }
        }

        private void Begin(Random random)
        {
            // Two salts and two tokens: nearly everything shares something.
            string text = "AB"[random.Next(2)] + new string([.. Enumerable.Range(0, random.Next(1, MaxLength)).Select(_ => "xy"[random.Next(8) / 7])]);
            var sequence = new Sequence(text);
            Assert.That(_cache.CountCached(sequence.Tokens(), sequence.Salt), Is.EqualTo(_naive.CountCached(text)));
            sequence.Computed = _cache.Attach(sequence.Table, sequence.Tokens(), sequence.Salt);
            Assert.That(sequence.Computed, Is.EqualTo(_naive.Attach(sequence.Naive, text)));
            _sequences.Add(sequence);
        }

        // One iteration as a scheduler does it: plan for several sequences, run them in any order and some of them twice, commit what did not fail.
        private void Iterate(Random random)
        {
            var plan = new List<(Sequence Sequence, int End, List<BlockCopy> Copies)>();
            foreach (Sequence sequence in _sequences.Where(_ => random.Next(4) > 0))
            {
                int end = random.Next(sequence.Computed + 1, sequence.Length + 1);
                var copies = new List<BlockCopy>();
                int missing = _cache.CountMissing(sequence.Table, sequence.Computed, end);
                Assert.That(missing, Is.EqualTo(_naive.CountMissing(sequence.Naive, sequence.Computed, end)));
                bool reserved = _cache.TryReserve(sequence.Table, sequence.Computed, end, copies);
                Assert.That(reserved, Is.EqualTo(_naive.TryReserve(sequence.Naive, sequence.Computed, end)));
                if (reserved)
                {
                    plan.Add((sequence, end, copies));
                }
            }

            var order = plan.Concat(plan.Where(_ => random.Next(2) == 0)).ToArray();
            random.Shuffle(order);
            foreach ((Sequence sequence, int end, List<BlockCopy> copies) in order)
            {
                Run(sequence, end, copies);
            }

            foreach ((Sequence sequence, int end, _) in plan.Where(_ => random.Next(5) > 0))
            {
                sequence.Computed = end;
                _cache.Commit(sequence.Table, sequence.Tokens().AsSpan(0, end));
                _naive.Commit(sequence.Naive, sequence.Text[..(end + 1)]);
                if (end == sequence.Length)
                {
                    sequence.Text += "xy"[random.Next(2)];
                }
            }
        }

        private void Run(Sequence sequence, int end, List<BlockCopy> copies)
        {
            foreach (BlockCopy copy in copies)
            {
                for (int offset = 0; offset < _blockSize; offset++)
                {
                    _memory[copy.Destination, offset] = _memory[copy.Source, offset];
                }
            }

            for (int position = sequence.Computed; position < end; position++)
            {
                _memory[sequence.Table[position / _blockSize], position % _blockSize] = sequence.Text[..(position + 2)];
            }
        }

        private void Fork(Random random)
        {
            Sequence[] parents = [.. _sequences.Where(sequence => sequence.Computed > 0 && sequence.Table.PendingCopy is null)];
            if (parents.Length == 0)
            {
                return;
            }

            Sequence parent = parents[random.Next(parents.Length)];
            int tokens = random.Next(2) == 0 ? parent.Computed : random.Next(1, parent.Computed + 1);
            var child = new Sequence(parent.Text[..(tokens + 1)] + "xy"[random.Next(2)]) { Computed = tokens };
            _cache.Fork(parent.Table, child.Table, tokens);
            _naive.Fork(parent.Naive, child.Naive, tokens);
            _sequences.Add(child);
        }

        private void End(Sequence sequence)
        {
            _cache.Release(sequence.Table);
            _naive.Release(sequence.Naive);
            _sequences.Remove(sequence);
        }

        private void Opaque(Random random)
        {
            if (_opaque.Count > 1)
            {
                EndOpaque(_opaque.Keys.First());
                return;
            }

            RequestId id = _opaque.Count > 0 && random.Next(2) == 0 ? _opaque.Keys.First() : RequestId.New();
            NaiveKVCache.Holder holder = _opaque.GetValueOrDefault(id) ?? new NaiveKVCache.Holder();
            int held = holder.Blocks.Count * _blockSize;
            int tokens = held + random.Next(1, MaxLength);
            if (_naive.TryReserve(holder, held, tokens))
            {
                _opaque[id] = holder;
                Assert.That(_manager.AllocateCache(id, tokens), Is.EqualTo(holder.Blocks.Count * _blockSize));
            }
            else
            {
                Assert.Throws<KVCacheExhaustedException>(() => _manager.AllocateCache(id, tokens));
            }
        }

        private void EndOpaque(RequestId id)
        {
            _manager.ReleaseCache(id);
            _opaque.Remove(id, out NaiveKVCache.Holder? holder);
            _naive.Release(holder!);
        }

        private void Check()
        {
            KVCacheInvariants.Check(_manager, _sequences.Select(sequence => sequence.Table));
            Assert.That(
                (_manager.FreeBlocks, _manager.CachedBlocks, _manager.ReferencedBlocks, _manager.CachedPrefixes),
                Is.EqualTo((_naive.Free, _naive.Cached, _naive.Held, _naive.CachedPrefixes)));
            foreach (Sequence sequence in _sequences)
            {
                // A copy that is still to be made fills the block that it goes to.
                bool awaitsCopy = sequence.Table.PendingCopy is not null;
                int readable = awaitsCopy ? sequence.Computed / _blockSize * _blockSize : sequence.Computed;
                for (int position = 0; position < readable; position++)
                {
                    Assert.That(
                        _memory[sequence.Table[position / _blockSize], position % _blockSize],
                        Is.EqualTo(sequence.Text[..(position + 2)]),
                        $"position {position} of {sequence.Text}");
                }
            }
        }

        /// <summary>A text is a salt and tokens, one character each.</summary>
        private sealed class Sequence(string text)
        {
            public string Text { get; set; } = text;

            public int Computed { get; set; }

            public BlockTable Table { get; } = new();

            public NaiveKVCache.Holder Naive { get; } = new();

            public string Salt => Text[..1];

            public int Length => Text.Length - 1;

            public int[] Tokens() => [.. Text.Skip(1).Select(token => (int)token)];
        }
    }
}
