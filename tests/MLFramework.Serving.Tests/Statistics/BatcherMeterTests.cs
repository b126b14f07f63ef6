using System.Diagnostics.Metrics;

namespace MLFramework.Serving.Tests.Statistics;

public class BatcherMeterTests
{
    [Test]
    public void The_meter_says_what_the_statistics_say() => Simulated.Run(async clock =>
    {
        string name = nameof(The_meter_says_what_the_statistics_say);
        var configuration = new BatchingConfiguration { Name = name, MaxBatchSize = 4, PreferBatchSize = 4, MaxConcurrentBatches = 1 };
        using var listener = new Listener(name);
        var processor = new FakeProcessor(clock) { Duration = _ => 20, Fault = (call, _) => { if (call == 2) { throw new InvalidDataException(); } } };
        await using DynamicBatcher<int, string> batcher = clock.Batcher(configuration, processor);

        Task<string>[] first = await DynamicBatcherTests.SubmitAsync(batcher, clock, 0, 4);
        Task<string> second = batcher.ProcessAsync(4);
        listener.Collect();
        Assert.That(listener["mlframework.serving.queue.length"], Is.EqualTo(1));
        Assert.That(listener["mlframework.serving.batches.active"], Is.EqualTo(1));

        await Simulated.All(first);
        await Simulated.ErrorOf(second);
        await clock.Settle();
        listener.Collect();
        Assert.Multiple(() =>
        {
            Assert.That(listener["mlframework.serving.requests/completed"], Is.EqualTo(4));
            Assert.That(listener["mlframework.serving.requests/failed"], Is.EqualTo(1));
            Assert.That(listener["mlframework.serving.queue.length"], Is.EqualTo(0));
            Assert.That(listener.Recorded("mlframework.serving.batch.size"), Is.EqualTo(new[] { 4, 1 }));
            Assert.That(listener.Recorded("mlframework.serving.batch.duration"), Is.EqualTo(new[] { 0.02, 0.02 }).Within(1e-6));
            Assert.That(listener.Recorded("mlframework.serving.request.wait"), Has.Count.EqualTo(5));
            Assert.That(listener.Recorded("mlframework.serving.request.wait")[^1], Is.EqualTo(0.02).Within(1e-6));
        });
    });

    [Test]
    public void A_disposed_batcher_reports_nothing_more() => Simulated.Run(async clock =>
    {
        string name = nameof(A_disposed_batcher_reports_nothing_more);
        using var listener = new Listener(name);
        DynamicBatcher<int, string> batcher = clock.Batcher(new BatchingConfiguration { Name = name }, new FakeProcessor(clock));
        await batcher.DisposeAsync();
        listener.Collect();
        Assert.That(listener.IsEmpty);
    });

    private sealed class Listener : IDisposable
    {
        private readonly string _batcher;
        private readonly MeterListener _listener = new();
        private readonly Dictionary<string, double> _observed = [];
        private readonly Dictionary<string, List<double>> _recorded = [];

        public Listener(string batcher)
        {
            _batcher = batcher;
            _listener.InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Meter.Name == DynamicBatcher.MeterName)
                {
                    listener.EnableMeasurementEvents(instrument);
                }
            };
            _listener.SetMeasurementEventCallback<int>((instrument, value, tags, _) => Record(instrument, value, tags));
            _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Record(instrument, value, tags));
            _listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Record(instrument, value, tags));
            _listener.Start();
        }

        public bool IsEmpty => _observed.Count == 0 && _recorded.Count == 0;

        public double this[string name] => _observed[name];

        public List<double> Recorded(string name) => _recorded[name];

        public void Collect() => _listener.RecordObservableInstruments();

        public void Dispose() => _listener.Dispose();

        private void Record(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            Dictionary<string, object?> byName = tags.ToArray().ToDictionary();
            if (!Equals(byName["batcher"], _batcher))
            {
                return; // other tests run batchers too
            }

            if (instrument.IsObservable)
            {
                _observed[byName.TryGetValue("outcome", out object? outcome) ? $"{instrument.Name}/{outcome}" : instrument.Name] = value;
            }
            else if (_recorded.TryGetValue(instrument.Name, out List<double>? values))
            {
                values.Add(value);
            }
            else
            {
                _recorded[instrument.Name] = [value];
            }
        }
    }
}
