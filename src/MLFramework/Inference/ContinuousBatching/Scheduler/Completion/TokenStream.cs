using System.Threading.Channels;

namespace MLFramework.Inference.ContinuousBatching;

/// <summary>
/// Carries a request's tokens from the owner thread to one reader. Bounded by the request's own token limit, so a slow reader costs memory
/// for its own response only and never holds up the engine. Text is decoded on the reader's side.
/// </summary>
internal sealed class TokenStream
{
    private readonly Channel<(int TokenId, TokenLogProbs? LogProbs)> _channel = Channel.CreateUnbounded<(int, TokenLogProbs?)>(
        new UnboundedChannelOptions { SingleReader = true, SingleWriter = true, AllowSynchronousContinuations = false });

    public ChannelReader<(int TokenId, TokenLogProbs? LogProbs)> Reader => _channel.Reader;

    /// <summary>Tokens written.</summary>
    public int Written { get; private set; }

    public void Write(int tokenId, TokenLogProbs? logProbs)
    {
        Written++;
        _channel.Writer.TryWrite((tokenId, logProbs));
    }

    /// <summary>The request has ended; its <see cref="Request.Result"/> says how.</summary>
    public void Complete() => _channel.Writer.TryComplete();
}
