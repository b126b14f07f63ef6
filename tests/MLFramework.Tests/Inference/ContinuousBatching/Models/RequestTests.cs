using MLFramework.Inference.ContinuousBatching;
using MLFramework.Simulation;

namespace MLFramework.Tests.Inference.ContinuousBatching.Models;

public class RequestTests
{
    [Test]
    public void A_new_request_holds_what_it_was_given_and_has_generated_nothing()
    {
        using var source = new CancellationTokenSource();
        var id = RequestId.New();
        var request = new Request(id, "prompt", 7, source.Token, Priority.High);
        Assert.That(request.Id, Is.EqualTo(id));
        Assert.That(request.Prompt, Is.EqualTo("prompt"));
        Assert.That(request.MaxTokens, Is.EqualTo(7));
        Assert.That(request.CancellationToken, Is.EqualTo(source.Token));
        Assert.That(request.Priority, Is.EqualTo(Priority.High));
        Assert.That(request.GeneratedTokens, Is.Zero);
        Assert.That(request.GeneratedTokenIds, Is.Empty);
        Assert.That(request.IsCompleted, Is.False);
        Assert.That(request.Result, Is.Null);
        Assert.That(request.CompletionSource.Task.IsCompleted, Is.False);
    }

    [Test]
    public void The_default_priority_is_normal() =>
        Assert.That(new Request(RequestId.New(), "p", 1, CancellationToken.None).Priority, Is.EqualTo(Priority.Normal));

    [Test]
    public void Its_time_is_that_of_the_clock_in_utc()
    {
        var clock = new VirtualTimeProvider();
        clock.Advance(TimeSpan.FromSeconds(5));
        var request = new Request(RequestId.New(), "p", 1, CancellationToken.None, timeProvider: clock);
        Assert.That(request.EnqueuedTime, Is.EqualTo(clock.GetUtcNow().UtcDateTime));
        Assert.That(request.EnqueuedTime.Kind, Is.EqualTo(DateTimeKind.Utc));
    }

    [Test]
    public void A_null_prompt_is_refused() =>
        Assert.That(() => new Request(RequestId.New(), null!, 1, CancellationToken.None), Throws.ArgumentNullException.With.Property("ParamName").EqualTo("prompt"));

    [Test]
    public async Task Continuations_of_its_completion_do_not_run_on_the_thread_that_completes_it()
    {
        var request = new Request(RequestId.New(), "p", 1, CancellationToken.None);
        Thread? continuedOn = null;
        Task continued = request.CompletionSource.Task.ContinueWith(
            _ => continuedOn = Thread.CurrentThread, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        var completer = new Thread(() => request.CompletionSource.SetResult("done"));
        completer.Start();
        completer.Join();
        await continued;
        Assert.That(continuedOn, Is.Not.SameAs(completer));
    }

    [Test]
    public void Its_progress_may_be_read_while_another_thread_writes_it()
    {
        var request = new Request(RequestId.New(), "p", 100_000, CancellationToken.None);
        var writer = new Thread(() =>
        {
            for (int i = 1; i <= request.MaxTokens; i++)
            {
                request.GeneratedTokens = i;
            }

            request.IsCompleted = true;
        });
        writer.Start();
        int last = 0;
        bool wentBack = false;
        while (!request.IsCompleted)
        {
            int now = request.GeneratedTokens;
            wentBack |= now < last;
            last = now;
        }

        writer.Join();
        Assert.That(wentBack, Is.False);
        Assert.That(request.GeneratedTokens, Is.EqualTo(request.MaxTokens));
    }

    [TestCase("option", "metadata", "metadata of options", ExpectedResult = "option")]
    [TestCase(null, "metadata", "metadata of options", ExpectedResult = "metadata")]
    [TestCase(null, null, "metadata of options", ExpectedResult = "metadata of options")]
    [TestCase(null, null, null, ExpectedResult = "")]
    public string Its_tenant_is_named_by_the_option_then_the_metadata(string? option, string? metadata, string? optionsMetadata)
    {
        var request = new Request(RequestId.New(), "p", 1, CancellationToken.None)
        {
            Metadata = Of(metadata),
            Options = GenerationOptions.Default with { Tenant = option, Metadata = Of(optionsMetadata) },
        };
        return request.TenantName;

        static Dictionary<string, object>? Of(string? tenant) => tenant is null ? null : new() { ["tenant"] = tenant };
    }

    [Test]
    public void A_tenant_that_is_not_text_names_nobody()
    {
        var request = new Request(RequestId.New(), "p", 1, CancellationToken.None) { Metadata = new() { ["tenant"] = 7 } };
        Assert.That(request.TenantName, Is.Empty);
    }
}
