namespace MLFramework.Serving;

/// <summary>Hands the responses of a batch to the callers of its requests.</summary>
/// <typeparam name="TRequest">Type of the payloads.</typeparam>
/// <typeparam name="TResponse">Type of the responses.</typeparam>
public sealed class ResponseScatterer<TRequest, TResponse>
{
    /// <summary>Gives request i response i, or every request the exception. A request whose caller has gone is passed over.</summary>
    /// <param name="requests">The requests, in the order in which their payloads were processed.</param>
    /// <param name="responses">One response for each request; a list of another length, or none, fails them all with a <see cref="BatchResponseException"/>.</param>
    /// <param name="exception">What the processor failed with, or null.</param>
    /// <returns>How many callers got their answer from this call.</returns>
    public int Scatter(List<QueuedRequest<TRequest, TResponse>> requests, List<TResponse>? responses, Exception? exception = null)
    {
        ArgumentNullException.ThrowIfNull(requests);
        exception ??= BatchResponseException.Check(requests.Count, responses);
        int answered = 0;
        for (int i = 0; i < requests.Count; i++)
        {
            if (exception is null ? requests[i].Deliver(responses![i]) : requests[i].Fail(exception))
            {
                answered++;
            }
        }

        return answered;
    }
}
