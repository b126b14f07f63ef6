namespace MLFramework.Serving.Benchmarks;
internal static class VirtualLoad { public static void Run() {} }
internal static class RealLoad { public static Task RunAsync() => Task.CompletedTask; }
