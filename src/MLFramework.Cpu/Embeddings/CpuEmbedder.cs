using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Cpu;

/// <summary>
/// Turns texts into vectors with a language model: the hidden states after its final normalization, of every token or pooled. A text's vector is the same
/// bits alone or with any others, however long they are, and for any number of threads.
/// </summary>
/// <remarks>
/// Several callers can call at once; they take turns. Its methods fit a <c>DynamicBatcher</c>: <c>(texts, token) => Task.Run(() => embedder.Embed(texts, token))</c>.
/// </remarks>
public sealed class CpuEmbedder : IDisposable
{
    private const int MostSequences = 64;

    private readonly Lock _turn = new();
    private readonly CpuModel _model;
    private readonly EmbeddingPooling _pooling;
    private readonly bool _normalizes;
    private readonly int _passTokens;
    private readonly ComputeTeam _team;
    private readonly PagedAttention _attention;
    private readonly ForwardPass _pass;
    private readonly PassPlan _plan = new();
    private readonly StateBuffer _states;
    private bool _isDisposed;

    /// <summary>Takes memory for keys and values of one pass, and starts the threads.</summary>
    /// <param name="model">The model; to be disposed after the embedder.</param>
    /// <param name="options">How to compute; null for the defaults.</param>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    /// <exception cref="OutOfMemoryException">There is not enough memory.</exception>
    public CpuEmbedder(CpuModel model, CpuEmbedderOptions? options = null)
    {
        options ??= CpuEmbedderOptions.Default;
        options.Validate();
        (_model, _normalizes, _passTokens) = (model, options.Normalizes, options.PassTokens);
        _pooling = options.Pooling ?? PoolingOf(model);
        _attention = model.Kernels.CreateAttention(model.AttentionShape, options.KVType, BlocksFor(model.HyperParameters.ContextLength));
        _team = new ComputeTeam(options.Threads ?? HostMachine.This.CoreCount);
        _pass = new ForwardPass(model, _attention, _team);
        _states = new StateBuffer(_passTokens, Length);
    }

    /// <summary>Elements of a vector.</summary>
    public int Length => _model.HyperParameters.EmbeddingLength;

    /// <summary>Most tokens of a text.</summary>
    public int ContextLength => _model.HyperParameters.ContextLength;

    /// <summary>Computes the vector of each text.</summary>
    /// <param name="texts">The texts; control tokens that they spell are plain text.</param>
    /// <param name="cancellationToken">Gives up between two layers.</param>
    /// <returns>A vector of <see cref="Length"/> elements for each text, in their order.</returns>
    /// <exception cref="ArgumentException">A text has no tokens, or more than <see cref="ContextLength"/>.</exception>
    /// <exception cref="ModelOutputException">The model computed something that is not a finite number.</exception>
    /// <exception cref="OperationCanceledException">The token fired.</exception>
    /// <exception cref="ObjectDisposedException">The embedder was disposed.</exception>
    public List<float[]> Embed(IReadOnlyList<string> texts, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        return EmbedTokens([.. texts.Select(text => (ReadOnlyMemory<int>)_model.Tokenizer.Encode(text))], cancellationToken);
    }

    /// <summary>As <see cref="Embed"/>, of texts that are tokens already.</summary>
    /// <param name="texts">Tokens of each text; nothing is added to them.</param>
    /// <param name="cancellationToken">Gives up between two layers.</param>
    /// <exception cref="ArgumentOutOfRangeException">A token is none of the vocabulary.</exception>
    /// <inheritdoc cref="Embed" path="/exception|/returns"/>
    public List<float[]> EmbedTokens(IReadOnlyList<ReadOnlyMemory<int>> texts, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        PooledStates[] pooled = [.. texts.Select(text => new PooledStates(_pooling, text.Length, Length))];
        Compute(texts, (text, position, state) => pooled[text].Add(position, state), cancellationToken);
        return [.. pooled.Select(one => one.ToVector(_normalizes))];
    }

    /// <summary>Computes the hidden state of every token of a text, as the model left them: neither pooled nor scaled.</summary>
    /// <param name="tokens">The text's tokens.</param>
    /// <param name="cancellationToken">Gives up between two layers.</param>
    /// <returns>[tokens][<see cref="Length"/>].</returns>
    /// <inheritdoc cref="EmbedTokens" path="/exception"/>
    public float[][] HiddenStates(ReadOnlyMemory<int> tokens, CancellationToken cancellationToken = default)
    {
        var states = new float[tokens.Length][];
        Compute([tokens], (_, position, state) => states[position] = state.ToArray(), cancellationToken);
        return states;
    }

    /// <summary>Ends the threads and frees the memory, after the caller that is computing.</summary>
    public void Dispose()
    {
        lock (_turn)
        {
            if (_isDisposed) return;
            _isDisposed = true;
            _team.Dispose();
            _pass.Dispose();
            _plan.Dispose();
            _attention.Dispose();
        }
    }

    /// <summary>What the file says of pooling, in llama.cpp's numbers.</summary>
    private static EmbeddingPooling PoolingOf(CpuModel model) => model.Metadata.FindInt32($"{model.Architecture}.pooling_type") switch
    {
        1 => EmbeddingPooling.Mean,
        2 => EmbeddingPooling.First,
        _ => EmbeddingPooling.Last,
    };

    private static int BlocksOf(int tokens) => (tokens + PagedAttention.BlockLength - 1) / PagedAttention.BlockLength;

    /// <summary>A text that began in earlier passes, and texts that begin in this one.</summary>
    private int BlocksFor(int contextLength) => BlocksOf(contextLength) + BlocksOf(_passTokens) + MostSequences;

    private void Compute(IReadOnlyList<ReadOnlyMemory<int>> texts, StateReceiver receive, CancellationToken cancellationToken)
    {
        for (int i = 0; i < texts.Count; i++) Check(texts[i].Span, i);
        lock (_turn)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            var queue = new EmbeddingQueue(texts, _attention.Blocks);
            while (queue.TryPlan(_plan, _passTokens, MostSequences))
            {
                _pass.Run(_plan, _states, cancellationToken);
                for (int i = 0, output = 0; i < queue.Runs.Count; i++)
                {
                    TextRun run = queue.Runs[i];
                    if (!_pass.IsFinite(_plan.Sequence(i)))
                        throw new ModelOutputException($"The model computed something that is not a finite number for text {run.Text}; the model file may be damaged, or its weights too large for it.");
                    for (int position = run.Start; position < run.Start + run.Count; position++, output++) receive(run.Text, position, _states[output]);
                }
            }
        }
    }

    private void Check(ReadOnlySpan<int> tokens, int text)
    {
        if (tokens.IsEmpty) throw new ArgumentException($"Text {text} has no tokens, and so no vector.");
        if (tokens.Length > ContextLength) throw new ArgumentException($"Text {text} has {tokens.Length} tokens, and the model sees at most {ContextLength}: shorten or split it.");
        foreach (int token in tokens)
            if ((uint)token >= (uint)_model.HyperParameters.VocabularySize)
                throw new ArgumentOutOfRangeException(nameof(tokens), token, $"Text {text} holds a token that is not in the vocabulary; ids of this model go from 0 to {_model.HyperParameters.VocabularySize - 1}.");
    }

    /// <summary>Keeps the states of a pass, so that they can be taken in their order.</summary>
    private sealed class StateBuffer(int states, int length) : IHiddenStateConsumer
    {
        private readonly float[] _values = new float[checked(states * length)];

        public ReadOnlySpan<float> this[int output] => _values.AsSpan(output * length, length);

        public void Consume(int output, ReadOnlySpan<float> state) => state.CopyTo(_values.AsSpan(output * length, length));
    }

    /// <summary>Takes the hidden state of a text's token, in the order of the positions.</summary>
    /// <param name="text">Which text.</param>
    /// <param name="position">The token's position.</param>
    /// <param name="state">[embedding], valid during the call.</param>
    private delegate void StateReceiver(int text, int position, ReadOnlySpan<float> state);
}
