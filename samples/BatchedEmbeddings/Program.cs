using BatchedEmbeddings;

if (args is ["load", ..])
{
    await LoadTest.RunAsync(callers: args.Length > 1 && int.TryParse(args[1], out int callers) ? Math.Clamp(callers, 1, 256) : 32);
    return;
}

await using WebApplication app = EmbeddingService.Build("http://127.0.0.1:5080");
Console.WriteLine("POST http://127.0.0.1:5080/embed {\"text\": \"…\"}; statistics at /stats; Ctrl+C drains and stops.");
await app.RunAsync();
