namespace MLFramework.Cpu.Tests;

public sealed class PairMergerTests
{
    /// <summary>Lengths on both sides of <see cref="PairMerger.ShortText"/>, few letters, many rules: most pairs merge, and ranks tie.</summary>
    [Test]
    public void Merges_are_those_of_the_definition([Range(1, 40)] int seed)
    {
        var random = new Random(seed);
        var rules = new Dictionary<(int Left, int Right), (uint Rank, int Merged)>();
        for (int id = 4; id < 40; id++) rules[(random.Next(id), random.Next(id))] = ((uint)random.Next(12), id);
        int[] letters = [.. Enumerable.Range(0, random.Next(1, 5 * PairMerger.ShortText)).Select(_ => random.Next(4))];
        var merger = new PairMerger();
        foreach (int letter in letters) merger.Add(1, letter);

        List<(int, int)> merged = [];
        foreach (MergeSymbol symbol in merger.Merge(new Rules(rules)))
            if (symbol.Length > 0) merged.Add((symbol.Start, symbol.Id));

        Assert.That(merged, Is.EqualTo(ByDefinition(letters, rules)));
    }

    [Test]
    public void A_merger_can_be_used_again()
    {
        var merger = new PairMerger();
        var rules = new Rules(new() { [(0, 0)] = (0, 1) });
        foreach (int length in (int[])[50, 3, 40, 0, 2])
        {
            merger.Clear();
            for (int i = 0; i < length; i++) merger.Add(1, 0);
            int left = 0;
            foreach (MergeSymbol symbol in merger.Merge(rules)) left += Math.Sign(symbol.Length);
            Assert.That(left, Is.EqualTo((length + 1) / 2));
        }
    }

    /// <summary>Again and again: the best rank of all pairs, the leftmost of equals.</summary>
    private static List<(int Start, int Id)> ByDefinition(int[] letters, Dictionary<(int Left, int Right), (uint Rank, int Merged)> rules)
    {
        List<(int Start, int Id)> symbols = [.. letters.Index()];
        while (true)
        {
            int best = -1;
            for (int i = 0; i + 1 < symbols.Count; i++)
                if (rules.TryGetValue((symbols[i].Id, symbols[i + 1].Id), out (uint Rank, int) rule)
                    && (best < 0 || rule.Rank < rules[(symbols[best].Id, symbols[best + 1].Id)].Rank)) best = i;
            if (best < 0) return symbols;
            symbols[best] = (symbols[best].Start, rules[(symbols[best].Id, symbols[best + 1].Id)].Merged);
            symbols.RemoveAt(best + 1);
        }
    }

    private readonly struct Rules(Dictionary<(int Left, int Right), (uint Rank, int Merged)> rules) : IMergeRules
    {
        public bool TryMerge(in MergeSymbol left, in MergeSymbol right, out uint rank, out int merged)
        {
            bool found = rules.TryGetValue((left.Id, right.Id), out (uint Rank, int Merged) rule);
            (rank, merged) = rule;
            return found;
        }
    }
}
