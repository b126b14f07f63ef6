using MLFramework.Inference.ContinuousBatching;
using MLFramework.Tests.Inference.ContinuousBatching.Support;

namespace MLFramework.Tests.Inference.ContinuousBatching.API;

/// <summary>Responses as they grow. The engine is driven by hand, so each test decides how far the reader lags behind.</summary>
public class StreamingTests
{
    [Test]
    public async Task The_pieces_make_up_the_result_and_its_tokens(
        [Values(1, 3, 100)] int iterationsPerRead, [Values(null, "STOP", "ab")] string? stop, [Values] bool echo)
    {
        using var rig = new SchedulerRig();
        rig.Model.Script["prompt"] = ['x', 'a', 'y', WordTokenizer.Word(" Paris"), 'a', 'b', 'S', 'T', 'O', 'P', 'z'];
        GenerationOptions options = GenerationOptions.Default with { StopSequences = stop is null ? null : [stop], EchoPrompt = echo };
        await using IAsyncEnumerator<GenerationChunk> stream = rig.Client.StreamTextAsync("prompt", 20, options).GetAsyncEnumerator();
        List<GenerationChunk> chunks = await ReadAll(rig, stream, iterationsPerRead);
        GenerationChunk last = chunks[^1];
        Assert.That(string.Concat(chunks.Select(c => c.Text)), Is.EqualTo(last.Result!.GeneratedText));
        Assert.That(last.Result.GeneratedText, Does.StartWith(echo ? "promptxay Paris" : "xay Paris"));
        Assert.That(stop is null || !last.Result.GeneratedText.Contains(stop));
        Assert.That(chunks.Sum(c => c.TokenIds.Count), Is.EqualTo(last.Result.TokensGenerated));
        Assert.That(last.FinishReason, Is.EqualTo(stop is null ? CompletionReason.MaxTokensReached : CompletionReason.StopString));
        Assert.That(chunks.SkipLast(1).Select(c => c.FinishReason), Is.All.Null);
        Assert.That(chunks.SkipLast(1).Select(c => c.Result), Is.All.Null);
    }

    [Test]
    public async Task What_may_be_the_beginning_of_a_stop_string_is_held_back_until_it_is_certain()
    {
        using var rig = new SchedulerRig();
        rig.Model.Script["prompt"] = ['a', 'S', 'T', 'x', WordTokenizer.Eos];
        await using IAsyncEnumerator<GenerationChunk> stream = rig.Client.StreamTextAsync(
            "prompt", 20, GenerationOptions.Default with { StopSequences = ["STOP"] }).GetAsyncEnumerator();
        List<GenerationChunk> chunks = await ReadAll(rig, stream, 1);
        Assert.That(chunks.Select(c => c.Text), Is.EqualTo(new[] { "a", "", "", "STx", "", "" }));
        Assert.That(chunks.Select(c => c.TokenIds.Count), Is.EqualTo(new[] { 1, 1, 1, 1, 1, 0 }));
    }

    [Test]
    public async Task The_last_piece_carries_reason_counts_and_times()
    {
        using var rig = new SchedulerRig();
        await using IAsyncEnumerator<GenerationChunk> stream = rig.Client.StreamTextAsync("prompt", 3).GetAsyncEnumerator();
        GenerationChunk last = (await ReadAll(rig, stream, 1))[^1];
        Assert.That(last.FinishReason, Is.EqualTo(CompletionReason.MaxTokensReached));
        Assert.That(last.TokenIds, Is.Empty);
        Assert.That((last.Result!.TokensGenerated, last.Result.PromptTokens), Is.EqualTo((3, 6)));
        Assert.That(last.Result.TimeToFirstToken, Is.EqualTo(TimeSpan.FromMilliseconds(10)));
    }

    [Test]
    public async Task Log_probabilities_come_with_their_tokens()
    {
        using var rig = new SchedulerRig();
        rig.Model.GiveLogits = true;
        await using IAsyncEnumerator<GenerationChunk> stream = rig.Client.StreamTextAsync(
            "prompt", 4, GenerationOptions.Default with { TopLogProbs = 2 }).GetAsyncEnumerator();
        List<GenerationChunk> chunks = await ReadAll(rig, stream, 3);
        foreach (GenerationChunk chunk in chunks.SkipLast(1))
        {
            Assert.That(chunk.LogProbs!.Select(p => p.Chosen.TokenId), Is.EqualTo(chunk.TokenIds));
            Assert.That(chunk.LogProbs!.Select(p => p.Top), Is.All.Count.EqualTo(2));
        }

        Assert.That(chunks[^1].Result!.LogProbs, Is.EqualTo(chunks.SkipLast(1).SelectMany(c => c.LogProbs!)));
    }

    [Test]
    public async Task A_slow_reader_gets_larger_pieces_and_holds_nobody_up()
    {
        using var rig = new SchedulerRig();
        await using IAsyncEnumerator<GenerationChunk> stream = rig.Client.StreamTextAsync("prompt", 50).GetAsyncEnumerator();
        ValueTask<bool> first = stream.MoveNextAsync();
        rig.RunDry();
        Assert.That(rig.Scheduler.ActiveRequestCount, Is.Zero, "All is generated before anything is read.");
        Assert.That(await first);
        List<GenerationChunk> chunks = [stream.Current, .. await ReadAll(rig, stream, 1)];
        Assert.That(chunks, Has.Count.LessThanOrEqualTo(3));
        Assert.That(chunks.Sum(c => c.TokenIds.Count), Is.EqualTo(50));
    }

    [Test]
    public async Task Leaving_the_enumeration_cancels_the_request_and_frees_what_it_holds()
    {
        using var rig = new SchedulerRig();
        IAsyncEnumerator<GenerationChunk> stream = rig.Client.StreamTextAsync("prompt", 500).GetAsyncEnumerator();
        ValueTask<bool> first = stream.MoveNextAsync();
        rig.Iterate();
        Assert.That(await first);
        Assert.That(rig.Paged.ReferencedBlocks, Is.Positive);
        await stream.DisposeAsync();
        rig.AssertIdle();
        Assert.That(rig.Client.GetStatistics().TotalCancelledRequests, Is.EqualTo(1));
    }

    [Test]
    public async Task Cancelling_ends_the_enumeration_with_an_exception_after_what_was_generated([Values] bool byTheEnumerationsToken)
    {
        using var rig = new SchedulerRig();
        using var source = new CancellationTokenSource();
        CancellationToken none = CancellationToken.None;
        await using IAsyncEnumerator<GenerationChunk> stream = rig.Client
            .StreamTextAsync("prompt", 500, cancellationToken: byTheEnumerationsToken ? none : source.Token)
            .GetAsyncEnumerator(byTheEnumerationsToken ? source.Token : none);
        ValueTask<bool> first = stream.MoveNextAsync();
        rig.Iterate();
        Assert.That(await first);
        await source.CancelAsync();
        await Assert.CatchAsync<OperationCanceledException>(async () => await stream.MoveNextAsync());
        rig.AssertIdle();
    }

    [Test]
    public async Task A_token_that_has_fired_before_ends_the_enumeration_at_once()
    {
        using var rig = new SchedulerRig();
        await using IAsyncEnumerator<GenerationChunk> stream =
            rig.Client.StreamTextAsync("prompt", cancellationToken: new CancellationToken(true)).GetAsyncEnumerator(CancellationToken.None);
        await Assert.CatchAsync<OperationCanceledException>(async () => await stream.MoveNextAsync());
        rig.AssertIdle();
    }

    [Test]
    public async Task Cancelling_while_waiting_for_a_turn_to_enqueue_ends_the_enumeration()
    {
        var tokenizer = new GatedTokenizer();
        using var rig = new SchedulerRig(tokenizer: tokenizer, client: SchedulerApiClientConfiguration.Default with { MaxConcurrentEnqueue = 1 });
        Task<string> other = Task.Run(() => rig.Client.GenerateTextAsync("other", 1));
        tokenizer.AwaitInside(1);
        using var source = new CancellationTokenSource();
        await using IAsyncEnumerator<GenerationChunk> stream =
            rig.Client.StreamTextAsync("prompt", cancellationToken: source.Token).GetAsyncEnumerator(CancellationToken.None);
        ValueTask<bool> first = stream.MoveNextAsync();
        await source.CancelAsync();
        await Assert.CatchAsync<OperationCanceledException>(async () => await first);
        tokenizer.Open();
        while (!other.IsCompleted)
        {
            rig.RunDry();
            await Task.Yield();
        }

        Assert.That(rig.Client.GetStatistics().TotalRequests, Is.EqualTo(1), "Only the other's.");
    }

    [Test]
    public async Task A_refusal_comes_out_of_the_enumeration()
    {
        using var rig = new SchedulerRig();
        await rig.Scheduler.StopAsync();
        await using IAsyncEnumerator<GenerationChunk> stopped = rig.Client.StreamTextAsync("prompt").GetAsyncEnumerator();
        await Assert.ThatAsync(async () => await stopped.MoveNextAsync(), Throws.TypeOf<RequestRejectedException>());
        await using IAsyncEnumerator<GenerationChunk> empty = rig.Client.StreamTextAsync(string.Empty).GetAsyncEnumerator();
        await Assert.ThatAsync(async () => await empty.MoveNextAsync(), Throws.ArgumentException);
        Assert.That(() => rig.Client.StreamTextAsync(null!), Throws.ArgumentNullException);
    }

    [Test]
    public async Task A_failure_of_the_model_comes_out_of_the_enumeration_after_what_was_generated()
    {
        using var rig = new SchedulerRig();
        int step = 0;
        rig.Model.BeforeStep = _ =>
        {
            if (++step > 2)
            {
                throw new InvalidDataException("The model's own.");
            }
        };
        await using IAsyncEnumerator<GenerationChunk> stream = rig.Client.StreamTextAsync("prompt", 10).GetAsyncEnumerator();
        ValueTask<bool> first = stream.MoveNextAsync();
        rig.RunDry();
        Assert.That(await first);
        int tokens = stream.Current.TokenIds.Count;
        await Assert.ThatAsync(
            async () =>
            {
                while (await stream.MoveNextAsync())
                {
                    tokens += stream.Current.TokenIds.Count;
                }
            },
            Throws.TypeOf<InvalidDataException>());
        Assert.That(tokens, Is.EqualTo(2));
    }

    [Test]
    public async Task A_request_is_streamed_once()
    {
        using var rig = new SchedulerRig();
        Request request = rig.NewRequest(maxTokens: 4);
        await using IAsyncEnumerator<GenerationChunk> stream = rig.Client.StreamAsync(request).GetAsyncEnumerator();
        ValueTask<bool> first = stream.MoveNextAsync();
        rig.Iterate();
        await using IAsyncEnumerator<GenerationChunk> second = rig.Client.StreamAsync(request).GetAsyncEnumerator();
        await Assert.ThatAsync(async () => await second.MoveNextAsync(), Throws.ArgumentException.With.Message.Contains("serves once"));
        Assert.That(await first);
        List<GenerationChunk> chunks = [stream.Current, .. await ReadAll(rig, stream, 1)];
        Assert.That(chunks.Sum(c => c.TokenIds.Count), Is.EqualTo(4), "The first reader lost nothing.");
    }

    [Test]
    public async Task Nothing_is_enqueued_before_the_enumeration_begins()
    {
        using var rig = new SchedulerRig();
        IAsyncEnumerable<GenerationChunk> stream = rig.Client.StreamTextAsync("prompt", 2);
        Assert.That(rig.Queue.IsEmpty);
        await using IAsyncEnumerator<GenerationChunk> reader = stream.GetAsyncEnumerator();
        Assert.That(await ReadAll(rig, reader, 1), Is.Not.Empty);
    }

    [Test]
    public async Task Streaming_does_not_change_the_text()
    {
        using var rig = new SchedulerRig();
        Request whole = rig.Enqueue("prompt", 20);
        rig.RunDry();
        await using IAsyncEnumerator<GenerationChunk> stream = rig.Client.StreamTextAsync("prompt", 20).GetAsyncEnumerator();
        List<GenerationChunk> chunks = await ReadAll(rig, stream, 2);
        Assert.That(string.Concat(chunks.Select(c => c.Text)), Is.EqualTo(whole.Result!.GeneratedText));
    }

    /// <summary>Reads to the end, letting the engine run so many iterations before each read.</summary>
    private static async Task<List<GenerationChunk>> ReadAll(SchedulerRig rig, IAsyncEnumerator<GenerationChunk> stream, int iterationsPerRead)
    {
        var chunks = new List<GenerationChunk>();
        while (true)
        {
            ValueTask<bool> next = stream.MoveNextAsync();
            for (int i = 0; i < iterationsPerRead && rig.Scheduler.Registry.Count > 0; i++)
            {
                rig.Iterate();
            }

            if (!await next)
            {
                return chunks;
            }

            chunks.Add(stream.Current);
        }
    }
}
