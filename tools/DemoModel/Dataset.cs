namespace MLFramework.DemoModel;

/// <summary>Tokenized documents in a random order, packed into batches.</summary>
internal sealed class Dataset
{
    private const float PromptWeight = 0.03f;

    private readonly List<(int[] Tokens, float[] Learn)> _documents = [];
    private readonly int _context;
    private readonly int _seed;
    private int[] _order = [];
    private int _next;

    public Dataset(IEnumerable<string> texts, BpeTokenizer tokenizer, int context, int seed)
    {
        (_context, _seed) = (context, seed);
        int assistant = tokenizer.Encode("assistant") is [var id] ? id : throw new InvalidOperationException("'assistant' should be one token.");
        foreach (string text in texts)
        {
            int[] tokens = [.. tokenizer.Encode(text), BpeTokenizer.EndOfTextId];
            if (tokens.Length > _context) Array.Resize(ref tokens, _context);
            _documents.Add((tokens, Weights(tokens, assistant)));
            TokenCount += tokens.Length;
        }
        Shuffle();
    }

    public long TokenCount { get; }
    public int Documents => _documents.Count;
    public int Epoch { get; private set; }
    public int Position => _next;

    /// <summary>
    /// Everything in a plain text is learned; in a chat what the assistant says, its end mark, and the end of the text.
    /// The rest of a chat, and which document follows, count only a little: enough to know what a chat looks like.
    /// </summary>
    private static float[] Weights(int[] tokens, int assistant)
    {
        var learn = new float[tokens.Length];
        if (tokens[0] != BpeTokenizer.ImStartId) { Array.Fill(learn, 1f); return learn; }
        Array.Fill(learn, PromptWeight);
        bool speaking = false;
        for (int i = 0; i < tokens.Length; i++)
        {
            if (tokens[i] == BpeTokenizer.ImStartId) { speaking = i + 1 < tokens.Length && tokens[i + 1] == assistant; i += 2; continue; }
            if (speaking || tokens[i] == BpeTokenizer.EndOfTextId) learn[i] = 1f;
            if (tokens[i] == BpeTokenizer.ImEndId) speaking = false;
        }
        return learn;
    }

    /// <summary>
    /// Fills the batch. Most documents stand alone; one segment in ten joins several up to the context length, so that
    /// the model also meets long contexts. Half of the lone documents follow an end-of-text mark, half start bare.
    /// </summary>
    public void Fill(Batch batch)
    {
        var random = new Random(HashCode(_seed, Epoch, _next));
        int row = 0;
        while (row < batch.Capacity)
        {
            int start = row, room = Math.Min(_context, batch.Capacity - row);
            int length = random.Next(10) == 0 ? random.Next(128, _context + 1) : 1;   // 1: stop after the first document
            bool mark = length > 1 || random.Next(2) == 0;
            do
            {
                (int[] tokens, float[] learn) = _documents[_order[_next]];
                if (row > start && row - start + tokens.Length > room) break;
                if (++_next == _order.Length) { Epoch++; Shuffle(); }
                for (int i = mark ? -1 : 0; i + 1 < tokens.Length && row - start < room; i++, row++)
                {
                    batch.Tokens[row] = i < 0 ? BpeTokenizer.EndOfTextId : tokens[i];
                    batch.Targets[row] = tokens[i + 1];
                    batch.LossWeights[row] = i < 0 ? PromptWeight : learn[i + 1];
                    batch.Start[row] = start;
                }
            }
            while (row - start < length && row - start < room);
        }
        batch.Count = row;
    }

    /// <summary>Skips documents that an interrupted run has already used.</summary>
    public void Resume(int epoch, int position)
    {
        Epoch = epoch;
        Shuffle();
        _next = position;
    }

    private void Shuffle()
    {
        _order = [.. Enumerable.Range(0, _documents.Count)];
        new Random(HashCode(_seed, Epoch, -1)).Shuffle(_order);
        _next = 0;
    }

    private static int HashCode(int a, int b, int c) => (a * 31 + b) * 1_000_003 + c;
}
