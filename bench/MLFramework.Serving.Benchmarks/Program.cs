using BenchmarkDotNet.Running;
using MLFramework.Serving.Benchmarks;

// The numbers in README.md come from these commands; `dotnet run -c Release --project … -- help` lists them.
switch (args.FirstOrDefault())
{
    case "throughput":
        await Throughput.RunAsync();
        break;
    case "latency":
        await Latency.RunAsync();
        break;
    case "load":
        VirtualLoad.Run();
        break;
    case "load-real":
        await RealLoad.RunAsync();
        break;
    case "micro":
        BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(args[1..]);
        break;
    default:
        Console.WriteLine("""
            throughput   requests/s and bytes/request through batches of 64 on 2 threads, no-op processor
            latency      added latency of one request in flight
            load         throughput and waiting at 0.2 to 3 times capacity, in virtual time: exact and repeatable
            load-real    the same in real time, with a processor that occupies a thread
            micro        BenchmarkDotNet microbenchmarks; further arguments are its own
            """);
        break;
}
