namespace MLFramework.Serving.Tests.Adaptive;

public class LoadEstimatorTests
{
    private readonly LoadEstimator _estimator = new();

    [Test]
    public void It_separates_overhead_from_time_per_request()
    {
        for (int i = 0; i < 200; i++)
        {
            int size = 1 + (i * 7 % 32);
            _estimator.ObserveBatch(size, 0.005 + (0.00005 * size));
        }

        (double overhead, double perRequest) = _estimator.ProcessingTime();
        Assert.That(overhead, Is.EqualTo(0.005).Within(1e-6));
        Assert.That(perRequest, Is.EqualTo(0.00005).Within(1e-8));
    }

    [Test]
    public void Batches_of_one_size_count_as_overhead()
    {
        for (int i = 0; i < 10; i++)
        {
            _estimator.ObserveBatch(8, 0.004);
        }

        Assert.That(_estimator.ProcessingTime().Overhead, Is.EqualTo(0.004).Within(1e-9));
        Assert.That(_estimator.ProcessingTime().PerRequest, Is.Zero);
    }

    [Test]
    public void Neither_part_is_negative()
    {
        _estimator.ObserveBatch(1, 0.010);
        _estimator.ObserveBatch(10, 0.001);
        Assert.That(_estimator.ProcessingTime().PerRequest, Is.Zero);

        var steep = new LoadEstimator();
        steep.ObserveBatch(10, 0.001);
        steep.ObserveBatch(20, 0.010);
        Assert.That(steep.ProcessingTime().Overhead, Is.GreaterThanOrEqualTo(0));
    }

    [Test]
    public void The_rate_follows_a_change_within_seconds()
    {
        Observe(rate: 100, seconds: 10);
        Assert.That(_estimator.ArrivalsPerSecond, Is.EqualTo(100).Within(1e-6));
        Observe(rate: 1000, seconds: 5);
        Assert.That(_estimator.ArrivalsPerSecond, Is.EqualTo(1000).Within(10));
        Observe(rate: 0, seconds: 5);
        Assert.That(_estimator.ArrivalsPerSecond, Is.LessThan(10));
    }

    [Test]
    public void It_knows_nothing_before_it_has_seen_something()
    {
        Assert.That(_estimator.ArrivalsPerSecond, Is.Zero);
        Assert.That(_estimator.ProcessingTime(), Is.EqualTo((0d, 0d)));
    }

    private void Observe(int rate, int seconds)
    {
        for (int i = 0; i < seconds * 10; i++)
        {
            _estimator.ObserveArrivals(rate / 10, 0.1);
        }
    }
}
