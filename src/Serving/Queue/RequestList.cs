namespace MLFramework.Serving;

/// <summary>A doubly linked list through the requests themselves: first in, first out, with removal from anywhere in O(1) and no allocation.</summary>
internal sealed class RequestList<TRequest, TResponse>
{
    private QueuedRequest<TRequest, TResponse>? _tail;

    /// <summary>The request that came first, or null.</summary>
    public QueuedRequest<TRequest, TResponse>? Head { get; private set; }

    public void Append(QueuedRequest<TRequest, TResponse> request)
    {
        request.Previous = _tail;
        if (_tail is null)
        {
            Head = request;
        }
        else
        {
            _tail.Next = request;
        }

        _tail = request;
    }

    public void Remove(QueuedRequest<TRequest, TResponse> request)
    {
        if (request.Previous is null)
        {
            Head = request.Next;
        }
        else
        {
            request.Previous.Next = request.Next;
        }

        if (request.Next is null)
        {
            _tail = request.Previous;
        }
        else
        {
            request.Next.Previous = request.Previous;
        }

        // Links of a removed request would keep its neighbours alive as long as its caller keeps the task.
        request.Next = request.Previous = null;
    }
}
