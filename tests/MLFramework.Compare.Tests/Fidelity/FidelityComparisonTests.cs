using MLFramework.Cpu;

namespace MLFramework.Compare.Tests;

public sealed class FidelityComparisonTests
{
    private static string[] Names { get; } = [.. FidelityCase.All.Select(which => which.Name)];

    [Test]
    public void Every_case_is_computed_within_a_thousandth_of_double_precision([ValueSource(nameof(Names))] string name)
    {
        FidelityCase which = FidelityCase.All.Single(which => which.Name == name);
        FidelityCell[] cells = [.. new FidelityComparison(threads: 1, seed: 1, wideCache: false).Compare(which, TensorType.F32, peer: null)];

        Assert.That(cells.Select(cell => cell.Position), Is.EqualTo(FidelityComparison.Positions));
        Assert.That(cells.Select(cell => cell.OwnError), Is.All.LessThan(1e-3).And.All.Positive);
    }

    [Test]
    public void A_window_that_llama_cpp_does_not_mind_ends_the_comparison()
    {
        FidelityCase window = FidelityCase.All.Single(which => which.Name == "phi3 window"), gemma = FidelityCase.All.Single(which => which.Name == "gemma3");

        Assert.That((window.IsSharedAt(99), window.IsSharedAt(100)), Is.EqualTo((true, false)));
        Assert.That(gemma.IsSharedAt(300));
    }

    [Test]
    public void Errors_are_relative_to_what_is_expected() => Assert.That(FidelityComparison.RelativeError([3, 4.5f], [3, 4]), Is.EqualTo(0.1).Within(1e-9));
}
