using System.Text.Json;
using MLFramework.Cpu;
using MLFramework.DemoModel;
using MLFramework.DemoModel.Corpus;

// Every command takes "--name value" options; all files live in one folder (--out, by default ./demo-model).
const string Help = """
    DemoModel: trains the demo language model of MLFramework from scratch.

      corpus     writes corpus.txt                     --documents 200000 --seed 1 --phase 1
      train      tokenizer.json, then model.ckpt       --steps 6000 --rate 0.002 --threads 2 --vocab 2048 --layers 4 --ffn 512
      export     demo-{f32,f16,q8_0,q4_0}.gguf         --embedding-q4 Q8_0
      eval       eval.md, for each GGUF file           --per-cell 25 --models f16,q8_0,q4_0
      ask        answers one question                  --model f16 --question "..."   (or --prompt "..." for plain text)
      greedy     continues a JSON list of prompts      --model f16 --prompts FILE --tokens 64 --result FILE
      gradcheck  tests the backward pass against finite differences

    All commands: --out FOLDER
    """;

if (args.Length == 0 || args.Length % 2 == 0) { Console.WriteLine(Help); return 1; }
var options = args.Skip(1).Chunk(2).ToDictionary(pair => pair[0].TrimStart('-'), pair => pair[1]);
string Text(string name, string fallback) => options.GetValueOrDefault(name, fallback);
int Number(string name, int fallback) => int.Parse(Text(name, fallback.ToString()));
string folder = Directory.CreateDirectory(Text("out", "demo-model")).FullName;
string In(string file) => Path.Combine(folder, file);

switch (args[0])
{
    case "corpus": WriteCorpus(); return 0;
    case "train": Train(); return 0;
    case "export": Export(); return 0;
    case "eval": Evaluate(); return 0;
    case "ask": Ask(); return 0;
    case "greedy": Greedy(); return 0;
    case "gradcheck": return GradientCheck.Run(Console.Out) ? 0 : 1;
    default: Console.WriteLine(Help); return 1;
}

void WriteCorpus()
{
    var builder = new CorpusBuilder(Number("seed", 1), Number("phase", 1) == 1 ? Mixture.First : Mixture.Second);
    using var writer = new StreamWriter(In("corpus.txt")) { NewLine = "\n" };
    for (int i = Number("documents", 200_000); i > 0; i--) writer.Write(builder.Next() + BpeTokenizer.EndOfText + "\n");
}

IEnumerable<string> ReadCorpus() => File.ReadAllText(In("corpus.txt")).Split(BpeTokenizer.EndOfText + "\n", StringSplitOptions.RemoveEmptyEntries);

void Train()
{
    if (!File.Exists(In("tokenizer.json"))) BpeTokenizer.Train(ReadCorpus(), Number("vocab", 2048)).Save(In("tokenizer.json"));
    BpeTokenizer tokenizer = BpeTokenizer.Load(In("tokenizer.json"));
    int seed = Number("seed", 1);
    var config = new ModelConfig(tokenizer.VocabularySize, Layers: Number("layers", 4), Ffn: Number("ffn", 512));
    var parameters = new Parameters(config);
    parameters.Initialize(seed);
    var held = new CorpusBuilder(seed + 1_000_000, Mixture.First);
    var trainOptions = new TrainOptions(Number("steps", 6000), Threads: Number("threads", 2), Seed: seed, StopAfter: Number("stop-after", int.MaxValue),
        PeakRate: float.Parse(Text("rate", "0.002"), System.Globalization.CultureInfo.InvariantCulture));
    new Trainer(parameters, new Dataset(ReadCorpus(), tokenizer, config.Context, seed),
        new Dataset(Enumerable.Range(0, 400).Select(_ => held.Next()), tokenizer, config.Context, seed), trainOptions).Run(In("model.ckpt"), In("train.csv"));
}

void Export()
{
    Parameters parameters = Checkpoint.Load(In("model.ckpt"));
    BpeTokenizer tokenizer = BpeTokenizer.Load(In("tokenizer.json"));
    foreach (TensorType type in (ReadOnlySpan<TensorType>)[TensorType.F32, TensorType.F16, TensorType.Q8_0, TensorType.Q4_0])
    {
        TensorType embedding = type == TensorType.Q4_0 ? Enum.Parse<TensorType>(Text("embedding-q4", "Q8_0")) : type;
        string path = In($"demo-{type.ToString().ToLowerInvariant()}.gguf");
        ModelFile.Write(path, parameters, tokenizer, type, embedding);
        Console.WriteLine($"{path}: {new FileInfo(path).Length:N0} bytes");
    }
}

void Evaluate()
{
    using var wrong = new StreamWriter(In("eval-wrong.tsv"));
    string report = "# Evaluation\n\n";
    foreach (string model in Text("models", "f16,q8_0,q4_0").Split(','))
    {
        long started = TimeProvider.System.GetTimestamp();
        (Parameters parameters, BpeTokenizer tokenizer) = ModelFile.Read(In($"demo-{model}.gguf"));
        wrong.WriteLine($"# {model}");
        string part = new Evaluation(parameters, tokenizer).Report($"demo-{model}.gguf", Number("per-cell", 25), samples: true, wrong);
        report += part;
        Console.WriteLine(part + $"({TimeProvider.System.GetElapsedTime(started).TotalSeconds:F0} s)\n");
    }
    File.WriteAllText(In("eval.md"), report);
}

void Ask()
{
    (Parameters parameters, BpeTokenizer tokenizer) = ModelFile.Read(In($"demo-{Text("model", "f16")}.gguf"));
    string prompt = options.TryGetValue("prompt", out string? plain) ? plain : CorpusBuilder.Prompt(Text("question", "Hello!"));
    Console.WriteLine(new Evaluation(parameters, tokenizer).Complete([prompt], 320)[0]);
}

// Token ids for comparison with another implementation; generation does not stop at end tokens.
void Greedy()
{
    (Parameters parameters, BpeTokenizer tokenizer) = ModelFile.Read(In($"demo-{Text("model", "f16")}.gguf"));
    string[] prompts = JsonSerializer.Deserialize<string[]>(File.ReadAllText(Text("prompts", "prompts.json")))!;
    int[][] ids = [.. prompts.Select(tokenizer.Encode)];
    int tokens = Number("tokens", 64);
    List<int>[] greedy = tokens == 0 ? [.. ids.Select(_ => new List<int>())] : new Decoder(parameters).Generate(ids, tokens, stop: false);
    var results = prompts.Select((prompt, i) => new { prompt, prompt_ids = ids[i], greedy_ids = greedy[i], text = tokenizer.Decode(greedy[i]) });
    File.WriteAllText(Text("result", "greedy.json"), JsonSerializer.Serialize(results));
}
