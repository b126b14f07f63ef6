using System.Threading.Channels;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>Makes the chunks of one streamed response out of its tokens, on the reader's side.</summary>
internal sealed class ChunkReader(Request request, CompletionDetector detector)
{
    private readonly ResponseText _text = detector.NewText(request);
    private string _prefix = request.Options?.EchoPrompt == true ? request.Prompt : string.Empty;

    /// <summary>Takes the tokens that are there; null when there are none.</summary>
    public GenerationChunk? Read(ChannelReader<(int TokenId, TokenLogProbs? LogProbs)> tokens)
    {
        var ids = new List<int>();
        List<TokenLogProbs>? logProbs = null;
        while (tokens.TryRead(out (int TokenId, TokenLogProbs? LogProbs) token))
        {
            ids.Add(token.TokenId);
            if (token.LogProbs is { } p)
            {
                (logProbs ??= []).Add(p);
            }

            if (!detector.EndsAt(request, token.TokenId))
            {
                _text.Take(token.TokenId);
            }
        }

        return ids.Count == 0 ? null : new GenerationChunk(request.Id, HandOut(), ids) { LogProbs = logProbs };
    }

    /// <summary>The last chunk: what was held back, and the result.</summary>
    public GenerationChunk Last(RequestResult result)
    {
        _text.Complete();
        return new GenerationChunk(request.Id, HandOut(), [])
        {
            FinishReason = result.Reason,
            Result = GenerationResult.Of(request, result),
        };
    }

    private string HandOut()
    {
        string text = _prefix + _text.HandOut();
        _prefix = string.Empty;
        return text;
    }
}
