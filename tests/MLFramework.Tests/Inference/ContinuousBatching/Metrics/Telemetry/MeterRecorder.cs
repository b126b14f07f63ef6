using System.Diagnostics.Metrics;

namespace MLFramework.Tests.Inference.ContinuousBatching.Metrics.Telemetry;

/// <summary>Listens to one meter and keeps what it measures.</summary>
internal sealed class MeterRecorder : IDisposable
{
    private readonly MeterListener _listener = new();

    public MeterRecorder(Meter meter)
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter == meter)
            {
                Instruments.Add(instrument.Name, instrument);
                listener.EnableMeasurementEvents(instrument);
            }
        };
        _listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Keep(instrument, value, tags));
        _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Keep(instrument, value, tags));
        _listener.SetMeasurementEventCallback<int>((instrument, value, tags, _) => Keep(instrument, value, tags));
        _listener.Start();
    }

    public Dictionary<string, Instrument> Instruments { get; } = [];

    public List<(string Name, double Value, Dictionary<string, object?> Tags)> Measurements { get; } = [];

    /// <summary>The one measurement of an instrument.</summary>
    public (double Value, Dictionary<string, object?> Tags) Single(string name)
    {
        var (_, value, tags) = Measurements.Single(measurement => measurement.Name == name);
        return (value, tags);
    }

    public bool Has(string name) => Measurements.Exists(measurement => measurement.Name == name);

    /// <summary>Reads the gauges.</summary>
    public void Observe() => _listener.RecordObservableInstruments();

    public void Dispose() => _listener.Dispose();

    private void Keep(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags) =>
        Measurements.Add((instrument.Name, value, new Dictionary<string, object?>(tags.ToArray())));
}
