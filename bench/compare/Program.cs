using System.CommandLine;
using MLFramework.Compare;
using MLFramework.Cpu;

var root = new RootCommand("Measures MLFramework against llama.cpp on the same GGUF files, in one process, step by step in turn.") { HelpName = "bench/compare" };
new SpeedCommand().AddTo(root);
root.Add(new FidelityCommand().Create());
root.Add(new GreedyCommand().Create());
root.Add(new CeilingsCommand().Create());
root.Add(new AttentionCommand().Create());
root.Add(new FootprintCommand().Create());
try
{
    return root.Parse(args).Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
}
catch (Exception e) when (e is CompareException or GgufException or IOException or UnauthorizedAccessException)
{
    Console.Error.WriteLine($"compare: {e.Message}");
    return 1;
}
