namespace MLFramework.Cpu;

/// <summary>The activations of a pass. Grows with the largest pass and is then reused.</summary>
internal sealed unsafe class Workspace(CpuModel model) : IDisposable
{
    private readonly HyperParameters _sizes = model.HyperParameters;
    private readonly LayerWeights _layer = model.Layers[0];
    private NativeBuffer<float> _residual = new(0), _delta = new(0), _input = new(0), _projection = new(0), _scales = new(0), _angles = new(0), _localAngles = new(0), _logits = new(0);
    private NativeBuffer<short> _codes = new(0);
    private NativeBuffer<ActivationBlock> _blocks = new(0);
    private int _rows, _outputs;

    /// <summary>[rows, <see cref="ResidualStride"/>]: the residual stream.</summary>
    public float* Residual => _residual.Pointer;

    /// <summary>[rows, <see cref="ResidualStride"/>]: what a layer adds to it.</summary>
    public float* Delta => _delta.Pointer;

    /// <summary>[rows, stride of the group that reads it]: what is multiplied next.</summary>
    public float* Input => _input.Pointer;

    /// <summary><see cref="Input"/> as 16-bit integers.</summary>
    public short* Codes => _codes.Pointer;

    /// <summary>Scales of <see cref="Codes"/>.</summary>
    public float* Scales => _scales.Pointer;

    /// <summary><see cref="Input"/> as 8-bit integers.</summary>
    public ActivationBlock* Blocks => _blocks.Pointer;

    /// <summary>[rows, stride of the group that writes it]: queries, keys and values, then gate and up.</summary>
    public float* Projection => _projection.Pointer;

    /// <summary>[rows, rotary width]: cosines, then sines of a row's position.</summary>
    public float* Angles => _angles.Pointer;

    /// <summary>As <see cref="Angles"/>, for layers with a sliding window, if they rotate by themselves.</summary>
    public float* LocalAngles => _localAngles.Pointer;

    /// <summary>[outputs, stride of the output matrix].</summary>
    public float* Logits => _logits.Pointer;

    /// <summary>For each row whether the pass kept to finite numbers.</summary>
    public bool[] IsFinite { get; private set; } = [];

    public int ResidualStride { get; } = Padding.Pad(model.HyperParameters.EmbeddingLength);

    /// <summary>Makes room.</summary>
    /// <exception cref="OutOfMemoryException">There is not enough memory; what was there stays.</exception>
    public void Reserve(int rows, int outputs)
    {
        if (rows > _rows)
        {
            rows = Math.Max(rows, 2 * _rows);
            long widest = Math.Max(ResidualStride, Math.Max(_layer.AttentionOutput.InputStride, _layer.Down.InputStride));
            Replace(ref _residual, (long)rows * ResidualStride);
            Replace(ref _delta, (long)rows * ResidualStride);
            Replace(ref _input, rows * widest);
            Replace(ref _codes, rows * widest);
            Replace(ref _scales, rows * widest / Padding.Unit);
            Replace(ref _blocks, rows * widest / ActivationBlock.Length);
            Replace(ref _projection, rows * (long)Math.Max(_layer.QueryKeyValue.OutputStride, _layer.GateUp.OutputStride));
            Replace(ref _angles, (long)rows * _sizes.RotaryLength);
            if (model.LocalRotary is not null) Replace(ref _localAngles, (long)rows * _sizes.RotaryLength);
            IsFinite = new bool[rows];
            _rows = rows;
        }
        if (outputs > _outputs)
        {
            outputs = Math.Max(outputs, 2 * _outputs);
            Replace(ref _logits, (long)outputs * model.Output.OutputStride);
            _outputs = outputs;
        }
    }

    public void Dispose()
    {
        foreach (IDisposable buffer in (ReadOnlySpan<IDisposable>)[_residual, _delta, _input, _projection, _scales, _angles, _localAngles, _logits, _codes, _blocks]) buffer.Dispose();
    }

    private static void Replace<T>(ref NativeBuffer<T> buffer, long length) where T : unmanaged
    {
        var larger = new NativeBuffer<T>(length);
        buffer.Dispose();
        buffer = larger;
    }
}
