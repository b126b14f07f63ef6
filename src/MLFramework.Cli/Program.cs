using MLFramework.Cli;

using var cancellation = new CancellationTokenSource();
Console.CancelKeyPress += (_, pressed) =>
{
    // The first Ctrl+C ends the command in order; the second ends the process.
    pressed.Cancel = !cancellation.IsCancellationRequested;
    cancellation.Cancel();
};
return MlfCommand.Run(args, Terminal.ForProcess(), cancellation.Token);
