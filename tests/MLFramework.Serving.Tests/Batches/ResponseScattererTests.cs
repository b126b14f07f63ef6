namespace MLFramework.Serving.Tests.Batches;

public class ResponseScattererTests
{
    private readonly ResponseScatterer<int, string> _scatterer = new();
    private readonly List<QueuedRequest<int, string>> _requests = [new(1), new(2)];

    [Test]
    public void Responses_go_to_their_requests_by_position()
    {
        Assert.That(_scatterer.Scatter(_requests, ["one", "two"]), Is.EqualTo(2));
        Assert.That(_requests.Select(request => request.ResponseSource.Task.Result), Is.EqualTo(new[] { "one", "two" }));
    }

    [Test]
    public void An_exception_goes_to_all()
    {
        Assert.That(_scatterer.Scatter(_requests, null, new InvalidDataException()), Is.EqualTo(2));
        Assert.That(_requests.Select(request => request.Task.Exception!.InnerException), Is.All.TypeOf<InvalidDataException>());
    }

    [Test]
    public void A_wrong_number_of_responses_goes_to_nobody()
    {
        _scatterer.Scatter(_requests, ["one"]);
        Assert.That(_requests.Select(request => request.Task.Exception!.InnerException), Is.All.TypeOf<BatchResponseException>());
    }

    [Test]
    public void A_request_whose_caller_has_gone_is_passed_over()
    {
        _requests[0].SetCanceled();
        Assert.That(_scatterer.Scatter(_requests, ["one", "two"]), Is.EqualTo(1));
        Assert.That(_requests[1].Task.Result, Is.EqualTo("two"));
    }
}
