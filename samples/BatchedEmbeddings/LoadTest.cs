using System.Collections.Concurrent;
using System.Net.Http.Json;
using Microsoft.AspNetCore.Hosting.Server.Features;
using MLFramework.Serving;

namespace BatchedEmbeddings;

/// <summary>Starts the service on a free loopback port and loads both endpoints, one after the other, with callers that each have one request in flight.</summary>
internal static class LoadTest
{
    private static readonly TimeSpan s_duration = TimeSpan.FromSeconds(5);

    public static async Task RunAsync(int callers)
    {
        await using WebApplication app = EmbeddingService.Build("http://127.0.0.1:0");
        await app.StartAsync();
        using var client = new HttpClient { BaseAddress = new Uri(app.Urls.First()) };
        Console.WriteLine($"{callers} callers, {s_duration.TotalSeconds:0} s each");
        double unbatched = await MeasureAsync(client, "/embed/unbatched", callers);
        double batched = await MeasureAsync(client, "/embed", callers);
        QueueStatistics statistics = app.Services.GetRequiredService<DynamicBatcher<string, float[]>>().GetStatistics();
        Console.WriteLine($"gain {batched / unbatched:N1}x; mean batch {statistics.BatchSizes.Mean:N1}, mean wait {statistics.WaitTimes.Mean:N1} ms, {statistics.Adaptive}");
    }

    private static async Task<double> MeasureAsync(HttpClient client, string path, int callers)
    {
        await CallAsync(client, path, "warm up");
        var latencies = new ConcurrentBag<double>();
        long started = TimeProvider.System.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, callers).Select(async caller =>
        {
            for (int i = 0; TimeProvider.System.GetElapsedTime(started) < s_duration; i++)
            {
                long sent = TimeProvider.System.GetTimestamp();
                await CallAsync(client, path, $"caller {caller} asks for the embedding of sentence number {i}");
                latencies.Add(TimeProvider.System.GetElapsedTime(sent).TotalMilliseconds);
            }
        }));
        double rate = latencies.Count / TimeProvider.System.GetElapsedTime(started).TotalSeconds;
        double[] sorted = [.. latencies.Order()];
        Console.WriteLine($"{path,-17} {rate,8:N0} req/s   p50 {sorted[sorted.Length / 2],7:N1} ms   p99 {sorted[sorted.Length * 99 / 100],7:N1} ms");
        return rate;
    }

    private static async Task CallAsync(HttpClient client, string path, string text)
    {
        using HttpResponseMessage response = await client.PostAsJsonAsync(path, new EmbedRequest(text));
        response.EnsureSuccessStatusCode();
        await response.Content.ReadAsByteArrayAsync();
    }
}
