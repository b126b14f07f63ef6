using MLFramework.Inference.ContinuousBatching;
using MLFramework.Tests.Inference.ContinuousBatching.Support;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler.Completion;

/// <summary>The detector by itself, then each ending through the scheduler.</summary>
public class CompletionDetectorTests
{
    private static readonly WordTokenizer s_tokenizer = new();

    [Test]
    public void An_unfinished_response_goes_on() => Assert.That(Check(new(), "ab", 10).IsCompleted, Is.False);

    [Test]
    public void Without_tokens_nothing_is_complete() => Assert.That(Check(new(), "", 10).IsCompleted, Is.False);

    [Test]
    public void The_order_is_cancelled_token_limit_end_token_stop_string_length()
    {
        var configuration = new CompletionConfiguration(StopStrings: ["ab"], MaxResponseLength: 2);
        var cancelled = new CancellationToken(true);
        Assert.That(ReasonOf(configuration, "ab\u0002", 3, cancelled), Is.EqualTo(CompletionReason.Cancelled));
        Assert.That(ReasonOf(configuration, "ab\u0002", 3), Is.EqualTo(CompletionReason.MaxTokensReached));
        Assert.That(ReasonOf(configuration, "ab\u0002", 9), Is.EqualTo(CompletionReason.EosTokenReached));
        Assert.That(ReasonOf(configuration, "ab", 9), Is.EqualTo(CompletionReason.StopString));
        Assert.That(ReasonOf(configuration, "xy", 9), Is.EqualTo(CompletionReason.LengthReached));
    }

    [Test]
    public void The_token_count_that_the_caller_keeps_counts_too()
    {
        var request = NewRequest(5);
        request.GeneratedTokens = 5;
        Assert.That(new CompletionDetector(new(), s_tokenizer).CheckCompletion(request), Is.EqualTo((true, CompletionReason.MaxTokensReached)));
    }

    [Test]
    public void The_end_token_is_the_configured_one()
    {
        Assert.That(ReasonOf(new CompletionConfiguration(EosTokenId: 'z'), "z", 9), Is.EqualTo(CompletionReason.EosTokenReached));
        Assert.That(Check(new CompletionConfiguration(EosTokenId: 'z'), "\u0002", 9).IsCompleted, Is.False);
        Assert.That(Check(new CompletionConfiguration(EosTokenId: -1), "\u0002", 9).IsCompleted, Is.False);
        Assert.That(ReasonOf(new CompletionConfiguration { AdditionalEosTokenIds = ['x', 'y'] }, "y", 9), Is.EqualTo(CompletionReason.EosTokenReached));
    }

    [Test]
    public void An_end_token_in_the_middle_counts_only_when_it_is_the_newest() =>
        Assert.That(Check(new(), "a\u0002b", 9).IsCompleted, Is.False);

    [Test]
    public void Stop_strings_of_the_configuration_and_the_request_both_count()
    {
        var configuration = new CompletionConfiguration(StopStrings: ["xx"]);
        Assert.That(ReasonOf(configuration, "axx", 9), Is.EqualTo(CompletionReason.StopString));
        Assert.That(ReasonOf(configuration, "ayy", 9, stops: ["yy"]), Is.EqualTo(CompletionReason.StopString));
        Assert.That(Check(configuration, "ayx", 9, stops: ["yy"]).IsCompleted, Is.False);
    }

    [Test]
    public void Early_stopping_ends_a_response_that_only_repeats_itself_and_only_if_switched_on()
    {
        var on = new CompletionConfiguration(EnableEarlyStopping: true);
        string repeats = new('r', CompletionDetector.EarlyStoppingWindow);
        Assert.That(ReasonOf(on, repeats, 999), Is.EqualTo(CompletionReason.LengthReached));
        Assert.That(Check(on, repeats[1..], 999).IsCompleted, Is.False, "Too short to tell.");
        Assert.That(Check(on, "x" + repeats, 999).IsCompleted, "What lies before the window does not count.");
        Assert.That(Check(on, repeats[1..] + "x", 999).IsCompleted, Is.False);
        Assert.That(Check(new(), repeats, 999).IsCompleted, Is.False);
    }

    [TestCase(0.0, 1, false)]
    [TestCase(0.03, 3, true)]
    [TestCase(0.03, 4, false)]
    [TestCase(1.0, 26, true)]
    public void The_threshold_is_the_share_of_distinct_tokens(double threshold, int distinct, bool stops)
    {
        var configuration = new CompletionConfiguration(EnableEarlyStopping: true, EarlyStoppingThreshold: threshold);
        string text = string.Concat(Enumerable.Range(0, CompletionDetector.EarlyStoppingWindow).Select(i => (char)('a' + (i % distinct))));
        Assert.That(Check(configuration, text, 999).IsCompleted, Is.EqualTo(stops));
    }

    [Test]
    public void Bad_input_is_refused()
    {
        Assert.That(() => new CompletionDetector(null!, s_tokenizer), Throws.ArgumentNullException);
        Assert.That(() => new CompletionDetector(new(), null!), Throws.ArgumentNullException);
        Assert.That(() => new CompletionDetector(new(), s_tokenizer).CheckCompletion(null!), Throws.ArgumentNullException);
        Assert.That(() => new CompletionDetector(new(DefaultMaxTokens: 0), s_tokenizer), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => new CompletionDetector(new(MaxResponseLength: 0), s_tokenizer), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => new CompletionDetector(new(EarlyStoppingThreshold: 1.1), s_tokenizer), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => new CompletionDetector(new(EarlyStoppingThreshold: double.NaN), s_tokenizer), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => new CompletionDetector(new(StopStrings: ["a", ""]), s_tokenizer), Throws.ArgumentException);
    }

    // ---- Through the scheduler ----

    [Test]
    public void The_end_token_counts_as_generated_and_yields_no_text()
    {
        RequestResult result = Serve(new(), ['h', 'i', WordTokenizer.Eos], 9);
        Assert.That((result.GeneratedText, result.TokensGenerated, result.Reason), Is.EqualTo(("hi", 3, CompletionReason.EosTokenReached)));
    }

    [TestCase("a|STOP|b", "a|", 2 + 4)]
    [TestCase("STOP", "", 4)]
    [TestCase("STOSTOP", "STO", 7)]
    public void The_text_ends_before_the_stop_string_however_it_is_cut_into_tokens(string generated, string expected, int tokens)
    {
        RequestResult result = Serve(new CompletionConfiguration(StopStrings: ["STOP"]), [.. generated.Select(c => (int)c)], 50);
        Assert.That((result.GeneratedText, result.TokensGenerated, result.Reason), Is.EqualTo((expected, tokens, CompletionReason.StopString)));
    }

    [Test]
    public void A_token_limit_met_with_the_stop_string_still_cuts_the_text()
    {
        RequestResult result = Serve(new CompletionConfiguration(StopStrings: ["ST"]), ['a', 'S', 'T'], 3);
        Assert.That((result.GeneratedText, result.Reason), Is.EqualTo(("a", CompletionReason.MaxTokensReached)));
    }

    [Test]
    public void A_response_is_never_longer_than_its_most_characters()
    {
        RequestResult result = Serve(new CompletionConfiguration(MaxResponseLength: 8), ['a', 'b', WordTokenizer.Word(" Paris"), WordTokenizer.Word(" Paris")], 50);
        Assert.That((result.GeneratedText, result.TokensGenerated, result.Reason), Is.EqualTo(("ab Paris", 3, CompletionReason.LengthReached)));
        RequestResult cut = Serve(new CompletionConfiguration(MaxResponseLength: 5), ['a', 'b', WordTokenizer.Word(" Paris")], 50);
        Assert.That(cut.GeneratedText, Is.EqualTo("ab Pa"));
    }

    [Test]
    public void A_tokenizer_that_cannot_decode_fails_its_request_alone_and_stops_nothing([Values] bool streamedOrStops)
    {
        using var rig = new SchedulerRig(tokenizer: new BrittleTokenizer());
        rig.Model.Script["bad"] = ['a', 'b', BrittleTokenizer.Unreadable, 'c'];
        GenerationOptions? options = streamedOrStops ? GenerationOptions.Default with { StopSequences = ["never"] } : null;
        Request bad = rig.Enqueue(rig.NewRequest("bad", 10, options: options));
        Request good = rig.Enqueue(rig.NewRequest("good", 10, options: options));
        rig.StartAndDrain();
        Assert.That(bad.Result!.Reason, Is.EqualTo(CompletionReason.Failed));
        Assert.That(bad.Fault(), Is.TypeOf<InvalidDataException>());
        Assert.That(good.Result!.Reason, Is.EqualTo(CompletionReason.MaxTokensReached));
    }

    [Test]
    public void A_listener_that_throws_keeps_nobody_from_being_told()
    {
        using var rig = new SchedulerRig();
        rig.Scheduler.RequestEnded += (_, _) => throw new InvalidDataException("A listener's own.");
        Request request = rig.Enqueue();
        rig.StartAndDrain();
        Assert.That(request.CompletionSource.Task.IsCompletedSuccessfully);
    }

    private static RequestResult Serve(CompletionConfiguration configuration, int[] script, int maxTokens)
    {
        using var rig = new SchedulerRig(completion: configuration);
        rig.Model.Script["prompt"] = script;
        Request request = rig.Enqueue("prompt", maxTokens);
        rig.RunDry();
        return request.Result!;
    }

    private static (bool IsCompleted, CompletionReason Reason) Check(
        CompletionConfiguration configuration, string generated, int maxTokens, CancellationToken token = default, List<string>? stops = null)
    {
        Request request = NewRequest(maxTokens, token, stops);
        request.GeneratedTokenIds.AddRange(generated.Select(c => (int)c));
        return new CompletionDetector(configuration, s_tokenizer).CheckCompletion(request);
    }

    private static CompletionReason ReasonOf(
        CompletionConfiguration configuration, string generated, int maxTokens, CancellationToken token = default, List<string>? stops = null)
    {
        (bool isCompleted, CompletionReason reason) = Check(configuration, generated, maxTokens, token, stops);
        Assert.That(isCompleted, "Not complete.");
        return reason;
    }

    private static Request NewRequest(int maxTokens, CancellationToken token = default, List<string>? stops = null) =>
        new(RequestId.New(), "prompt", maxTokens, token) { Options = stops is null ? null : GenerationOptions.Default with { StopSequences = stops } };

    private sealed class BrittleTokenizer : ITokenizer
    {
        public const int Unreadable = 1050;
        private readonly WordTokenizer _inner = new();

        public int[] Encode(string text) => _inner.Encode(text);

        public string Decode(int[] tokenIds) =>
            tokenIds.Contains(Unreadable) ? throw new InvalidDataException("No such token.") : _inner.Decode(tokenIds);

        public int GetVocabSize() => _inner.GetVocabSize();
    }
}
