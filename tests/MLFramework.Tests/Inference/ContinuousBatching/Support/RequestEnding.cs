using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Support;

internal static class RequestEnding
{
    /// <summary>Waits, on the caller's context, until a request has ended in whatever way; how is then asserted on the request.</summary>
    public static async Task EndAsync(this Request request) =>
        await ((Task)request.CompletionSource.Task).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);

    /// <summary>What the caller's task failed with; null when it did not fail.</summary>
    public static Exception? Fault(this Request request) => request.CompletionSource.Task.Exception?.InnerException;
}
