using MLFramework.Simulation;

namespace MLFramework.Tests.Simulation.Report;

public class FairnessMeterTests
{
    private readonly FairnessMeter _meter = new(promptWeight: 1, generatedWeight: 2);

    [Test]
    public void Equal_shares_of_unequal_demands_are_even()
    {
        int small = Arrive("small", prompt: 100, output: 50);
        int large = Arrive("large", prompt: 1000, output: 500);
        _meter.Served(small, 50, 25);
        _meter.Served(large, 500, 250);
        Assert.That(_meter.JainIndex(), Is.EqualTo(1).Within(1e-12));
    }

    [Test]
    public void All_for_one_of_four_is_a_quarter()
    {
        int[] tenants = [.. Enumerable.Range(0, 4).Select(i => Arrive($"t{i}", 100, 50))];
        _meter.Served(tenants[2], 100, 50);
        Assert.That(_meter.JainIndex(), Is.EqualTo(0.25).Within(1e-12));
    }

    [Test]
    public void Service_is_compared_only_while_both_wait()
    {
        int a = Arrive("a", 100, 50);
        int b = Arrive("b", 100, 50);
        _meter.WaitBegan(a);
        _meter.Served(a, 100, 0);
        _meter.StepEnded(100);
        Assert.That(_meter.ServiceDifference, Is.Zero, "b asked for nothing");

        _meter.WaitBegan(b);
        _meter.StepEnded(100);
        _meter.Served(a, 0, 10);
        _meter.StepEnded(100);
        Assert.That(_meter.ServiceDifference, Is.EqualTo(20), "since both wait");
    }

    [Test]
    public void The_difference_is_over_any_interval_not_only_from_its_beginning()
    {
        int a = Arrive("a", 100, 50);
        int b = Arrive("b", 100, 50);
        _meter.WaitBegan(a);
        _meter.WaitBegan(b);
        _meter.StepEnded(1);
        _meter.Served(a, 30, 0);
        _meter.StepEnded(1);
        _meter.Served(b, 70, 0);
        _meter.StepEnded(1);
        Assert.That(_meter.ServiceDifference, Is.EqualTo(70), "from +30 to -40");
    }

    [Test]
    public void A_backlog_that_ended_and_began_again_starts_anew()
    {
        int a = Arrive("a", 100, 50);
        int b = Arrive("b", 100, 50);
        _meter.WaitBegan(a);
        _meter.WaitBegan(b);
        _meter.StepEnded(1);
        _meter.WaitEnded(b);
        _meter.Served(a, 500, 0);
        _meter.WaitBegan(b);
        _meter.StepEnded(1);
        Assert.That(_meter.ServiceDifference, Is.Zero);
    }

    [TestCase(1000, 100, 2 * 1000)]
    [TestCase(100, 1000, 2 * 2 * 1000)]
    public void The_bound_is_twice_the_larger_of_longest_prompt_and_largest_batch(int prompt, int batchTokens, double bound)
    {
        _ = Arrive("a", prompt, 50);
        _meter.StepEnded(batchTokens);
        Assert.That(_meter.ServiceDifferenceBound, Is.EqualTo(bound));
    }

    private int Arrive(string tenant, int prompt, int output) =>
        _meter.Arrived(new Arrival(TimeSpan.Zero, [new PromptSegment(0, prompt)], output) { Tenant = tenant });
}
