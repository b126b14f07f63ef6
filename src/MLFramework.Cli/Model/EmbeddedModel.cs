namespace MLFramework.Cli;

/// <summary>The model that comes with the command.</summary>
internal static class EmbeddedModel
{
    /// <summary>Where it is: beside the program.</summary>
    public static string Path => System.IO.Path.Combine(AppContext.BaseDirectory, "models", "demo-q8_0.gguf");
}
