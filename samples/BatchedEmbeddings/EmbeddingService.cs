using MLFramework.Serving;

namespace BatchedEmbeddings;

/// <summary>The web application: the same embedding with and without the batcher.</summary>
internal static class EmbeddingService
{
    private const int MaxTextLength = 8192;

    public static WebApplication Build(string url)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls(url);
        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        builder.Services.AddSingleton<EmbeddingModel>();
        builder.Services.AddDynamicBatcher<string, float[]>(
            services =>
            {
                EmbeddingModel model = services.GetRequiredService<EmbeddingModel>();
                return (texts, _) => Task.FromResult(model.Embed(texts));
            },
            configuration =>
            {
                configuration.TimeoutStrategy = TimeoutStrategy.Adaptive;
                configuration.MaxConcurrentBatches = 1; // one batch fills the memory bus
                configuration.MaxQueueSize = 1000;
            });

        WebApplication app = builder.Build();
        app.MapPost("/embed", async (EmbedRequest request, DynamicBatcher<string, float[]> batcher, CancellationToken aborted) =>
        {
            if (Invalid(request) is { } problem)
            {
                return problem;
            }

            try
            {
                return Results.Ok(new EmbedResponse(await batcher.ProcessAsync(request.Text, aborted)));
            }
            catch (InvalidOperationException e) when (QueueFullError.Is(e))
            {
                return Results.Problem(e.Message, statusCode: StatusCodes.Status503ServiceUnavailable);
            }
        });
        app.MapPost("/embed/unbatched", (EmbedRequest request, EmbeddingModel model) =>
            Invalid(request) ?? Results.Ok(new EmbedResponse(model.Embed([request.Text])[0])));
        app.MapGet("/stats", (DynamicBatcher<string, float[]> batcher) => batcher.GetStatistics());
        return app;
    }

    private static IResult? Invalid(EmbedRequest request) => request.Text is { Length: > 0 and <= MaxTextLength }
        ? null
        : Results.Problem($"\"text\" must have 1 to {MaxTextLength} characters.", statusCode: StatusCodes.Status400BadRequest);
}

/// <param name="Text">What to embed.</param>
internal sealed record EmbedRequest(string Text);

/// <param name="Embedding">A vector of length 1.</param>
internal sealed record EmbedResponse(float[] Embedding);
