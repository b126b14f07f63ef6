using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace MLFramework.DemoModel;

/// <summary>How a run is trained. One step is <see cref="RowsPerStep"/> tokens, cut into micro-batches over the threads.</summary>
internal sealed record TrainOptions(
    int Steps, int Warmup = 200, float PeakRate = 2e-3f, float FinalRate = 2e-5f, float WeightDecay = 0.05f, float Clip = 1f,
    int RowsPerStep = 2048, int RowsPerMicroBatch = 1024, int Threads = 2, int Seed = 1, int StopAfter = int.MaxValue);

/// <summary>Data-parallel AdamW training with warm-up and cosine decay, resumable from its checkpoints.</summary>
internal sealed class Trainer(Parameters parameters, Dataset data, Dataset validation, TrainOptions options)
{
    private const float Beta1 = 0.9f, Beta2 = 0.99f, Epsilon = 1e-9f;
    private const int ChunkLength = 1 << 14;   // parameters per unit of parallel work in the optimizer

    private readonly float[] _mean = new float[parameters.Data.Length];
    private readonly float[] _variance = new float[parameters.Data.Length];
    private readonly float[] _decay = DecayMask(parameters, options.WeightDecay);
    private readonly Transformer[] _workers = [.. Enumerable.Range(0, options.Threads).Select(_ => new Transformer(parameters, options.RowsPerMicroBatch))];
    private readonly Batch[] _batches = [.. Enumerable.Range(0, options.RowsPerStep / options.RowsPerMicroBatch).Select(_ => new Batch(options.RowsPerMicroBatch))];
    private int _step;
    private double _seconds;

    public void Run(string checkpoint, string csv)
    {
        if (File.Exists(checkpoint)) Restore(checkpoint);
        if (_step == 0) File.WriteAllText(csv, "step,tokens,epoch,loss,validation_loss,learning_rate,gradient_norm,tokens_per_second,seconds\n");
        Console.WriteLine($"{parameters.Data.Length:N0} parameters, {data.Documents:N0} documents, {data.TokenCount:N0} tokens, step {_step} of {options.Steps}");

        double recent = -1;
        long begun = TimeProvider.System.GetTimestamp();
        double before = _seconds;
        int end = Math.Min(options.Steps, options.StopAfter);
        while (_step < end)
        {
            long started = TimeProvider.System.GetTimestamp();
            (double loss, double norm) = Step();
            _step++;
            recent = recent < 0 ? loss : 0.98 * recent + 0.02 * loss;
            _seconds = before + TimeProvider.System.GetElapsedTime(begun).TotalSeconds;
            double rate = options.RowsPerStep / TimeProvider.System.GetElapsedTime(started).TotalSeconds;
            bool report = _step == 1 || _step % 50 == 0 || _step == end, validate = _step % 500 == 0 || _step == end;
            double held = validate ? Validate() : double.NaN;
            if (report)
            {
                string line = string.Create(CultureInfo.InvariantCulture,
                    $"{_step},{(long)_step * options.RowsPerStep},{data.Epoch},{recent:F4},{(validate ? held.ToString("F4") : "")},{Rate(_step):E2},{norm:F3},{rate:F0},{_seconds:F0}");
                File.AppendAllText(csv, line + "\n");
                Console.WriteLine($"step {_step,5}  loss {recent:F4}{(validate ? $"  validation {held:F4}" : "")}  lr {Rate(_step):E1}  norm {norm:F2}  {rate:F0} tokens/s  {_seconds:F0} s");
            }
            if (_step % 250 == 0 || _step == end) Save(checkpoint);
        }
    }

    /// <summary>The loss per learned token on documents from another seed.</summary>
    private double Validate()
    {
        double loss = 0, weight = 0;
        for (int i = 0; i < 4; i++)
        {
            validation.Fill(_batches[0]);
            loss += _workers[0].Loss(_batches[0]);
            weight += _batches[0].LossWeights.Take(_batches[0].Count).Sum();
        }
        validation.Resume(0, 0);
        return loss / weight;
    }

    private (double Loss, double Norm) Step()
    {
        foreach (Batch batch in _batches) data.Fill(batch);
        double weight = _batches.Sum(b => b.LossWeights.Take(b.Count).Sum(w => (double)w));
        var losses = new double[options.Threads];
        Parallel.For(0, options.Threads, new ParallelOptions { MaxDegreeOfParallelism = options.Threads }, w =>
        {
            Array.Clear(_workers[w].Gradient);
            for (int b = w; b < _batches.Length; b += options.Threads) losses[w] += _workers[w].ForwardBackward(_batches[b], (float)(1 / weight));
        });

        float[] gradient = _workers[0].Gradient;
        int chunks = (gradient.Length + ChunkLength - 1) / ChunkLength;
        var squares = new double[chunks];
        Parallel.For(0, chunks, new ParallelOptions { MaxDegreeOfParallelism = options.Threads }, c =>
        {
            Span<float> mine = Chunk(gradient, c);
            for (int w = 1; w < _workers.Length; w++) Kernels.Add(mine, Chunk(_workers[w].Gradient, c));
            squares[c] = Kernels.Dot(mine, mine);
        });
        double norm = Math.Sqrt(squares.Sum());
        float scale = norm > options.Clip ? (float)(options.Clip / norm) : 1f, rate = Rate(_step + 1);
        Parallel.For(0, chunks, new ParallelOptions { MaxDegreeOfParallelism = options.Threads }, c =>
            AdamW(Chunk(parameters.Data, c), Chunk(gradient, c), Chunk(_mean, c), Chunk(_variance, c), Chunk(_decay, c), scale, rate));
        return (losses.Sum() / weight, norm);
    }

    private void AdamW(Span<float> w, ReadOnlySpan<float> g, Span<float> m, Span<float> v, ReadOnlySpan<float> wd, float scale, float rate)
    {
        float correct1 = 1f / (1 - MathF.Pow(Beta1, _step + 1)), correct2 = 1f / (1 - MathF.Pow(Beta2, _step + 1));
        int i = 0;
        for (; i <= w.Length - Vector256<float>.Count; i += Vector256<float>.Count)
        {
            Vector256<float> gi = Vector256.Create(g[i..]) * scale, wi = Vector256.Create((ReadOnlySpan<float>)w[i..]);
            Vector256<float> mi = Beta1 * Vector256.Create((ReadOnlySpan<float>)m[i..]) + (1 - Beta1) * gi;
            Vector256<float> vi = Beta2 * Vector256.Create((ReadOnlySpan<float>)v[i..]) + (1 - Beta2) * gi * gi;
            mi.CopyTo(m[i..]);
            vi.CopyTo(v[i..]);
            Vector256<float> update = mi * correct1 / (Vector256.Sqrt(vi * correct2) + Vector256.Create(Epsilon)) + Vector256.Create(wd[i..]) * wi;
            (wi - rate * update).CopyTo(w[i..]);
        }
        for (; i < w.Length; i++)
        {
            float gi = g[i] * scale;
            m[i] = Beta1 * m[i] + (1 - Beta1) * gi;
            v[i] = Beta2 * v[i] + (1 - Beta2) * gi * gi;
            w[i] -= rate * (m[i] * correct1 / (MathF.Sqrt(v[i] * correct2) + Epsilon) + wd[i] * w[i]);
        }
    }

    private float Rate(int at)
    {
        if (at <= options.Warmup) return options.PeakRate * at / options.Warmup;
        double progress = (at - options.Warmup) / (double)Math.Max(1, options.Steps - options.Warmup);
        return (float)(options.FinalRate + 0.5 * (options.PeakRate - options.FinalRate) * (1 + Math.Cos(Math.PI * progress)));
    }

    private static Span<float> Chunk(float[] values, int c) => values.AsSpan(c * ChunkLength, Math.Min(ChunkLength, values.Length - c * ChunkLength));

    /// <summary>Matrices decay, norms do not.</summary>
    private static float[] DecayMask(Parameters parameters, float _decay)
    {
        var mask = new float[parameters.Data.Length];
        foreach (Weight weight in parameters.All)
            if (weight.IsMatrix) weight.Of(mask).Fill(_decay);
        return mask;
    }

    private void Save(string path)
    {
        using (var writer = new BinaryWriter(File.Create(path + ".tmp")))
        {
            Checkpoint.WriteHeader(writer, parameters.Config);
            Checkpoint.Write(writer, parameters.Data);
            writer.Write(_step);
            writer.Write(_seconds);
            writer.Write(data.Epoch);
            writer.Write(data.Position);
            Checkpoint.Write(writer, _mean);
            Checkpoint.Write(writer, _variance);
        }
        File.Move(path + ".tmp", path, overwrite: true);
    }

    private void Restore(string path)
    {
        using var reader = new BinaryReader(File.OpenRead(path));
        if (Checkpoint.ReadHeader(reader) != parameters.Config) throw new InvalidDataException("The checkpoint belongs to another model.");
        Checkpoint.Read(reader, parameters.Data);
        _step = reader.ReadInt32();
        _seconds = reader.ReadDouble();
        data.Resume(reader.ReadInt32(), reader.ReadInt32());
        Checkpoint.Read(reader, _mean);
        Checkpoint.Read(reader, _variance);
    }
}

/// <summary>The checkpoint format: the shape, the weights, then what only training needs.</summary>
internal static class Checkpoint
{
    public static Parameters Load(string path)
    {
        using var reader = new BinaryReader(File.OpenRead(path));
        var parameters = new Parameters(ReadHeader(reader));
        Read(reader, parameters.Data);
        return parameters;
    }

    public static void WriteHeader(BinaryWriter writer, ModelConfig c)
    {
        foreach (int value in (ReadOnlySpan<int>)[c.Vocab, c.Dim, c.Layers, c.Heads, c.KvHeads, c.Ffn, c.Context]) writer.Write(value);
    }

    public static ModelConfig ReadHeader(BinaryReader reader) =>
        new(reader.ReadInt32(), reader.ReadInt32(), reader.ReadInt32(), reader.ReadInt32(), reader.ReadInt32(), reader.ReadInt32(), reader.ReadInt32());

    public static void Write(BinaryWriter writer, float[] values) => writer.Write(MemoryMarshal.AsBytes<float>(values));

    public static void Read(BinaryReader reader, float[] values) => reader.BaseStream.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan()));
}
