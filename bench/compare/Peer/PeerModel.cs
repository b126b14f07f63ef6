namespace MLFramework.Compare;

/// <summary>A model loaded by llama.cpp.</summary>
internal sealed unsafe class PeerModel : IDisposable
{
    private void* _model;

    /// <summary>Loads a model with llama.cpp's own defaults.</summary>
    /// <param name="library">llama.cpp.</param>
    /// <param name="path">The GGUF file.</param>
    /// <exception cref="CompareException">llama.cpp refuses the file.</exception>
    public PeerModel(PeerLibrary library, string path)
    {
        Library = library;
        PeerLog.Clear();
        fixed (byte* text = PeerLibrary.Utf8(path))
            _model = ((delegate* unmanaged[Cdecl]<byte*, PeerModelParameters, void*>)library.Function("llama_model_load_from_file"))(text, library.DefaultModel());
        if (_model is null) throw new CompareException($"llama.cpp cannot load {path}:\n{PeerLog.Text}");
        void* vocabulary = ((delegate* unmanaged[Cdecl]<void*, void*>)library.Function("llama_model_get_vocab"))(_model);
        VocabularySize = ((delegate* unmanaged[Cdecl]<void*, int>)library.Function("llama_vocab_n_tokens"))(vocabulary);
    }

    /// <summary>llama.cpp.</summary>
    public PeerLibrary Library { get; }

    /// <summary>Number of token ids.</summary>
    public int VocabularySize { get; }

    /// <summary>The native object.</summary>
    internal void* Handle => _model;

    /// <summary>Frees the model. Not before its contexts.</summary>
    public void Dispose()
    {
        if (_model is null) return;
        ((delegate* unmanaged[Cdecl]<void*, void>)Library.Function("llama_model_free"))(_model);
        _model = null;
    }
}
