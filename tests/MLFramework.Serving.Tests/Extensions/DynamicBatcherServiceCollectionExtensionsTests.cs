using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace MLFramework.Serving.Tests.Extensions;

public class DynamicBatcherServiceCollectionExtensionsTests
{
    private readonly ServiceCollection _services = new();

    [Test]
    public async Task A_registered_batcher_is_a_singleton_with_the_services_of_its_container()
    {
        _services.AddSingleton("hello ");
        _services.AddDynamicBatcher<int, string>(
            services => (requests, _) => Task.FromResult(requests.ConvertAll(i => services.GetRequiredService<string>() + i)),
            configuration => configuration.PreferBatchSize = 1);
        await using ServiceProvider provider = _services.BuildServiceProvider(validateScopes: true);
        DynamicBatcher<int, string> batcher = provider.GetRequiredService<DynamicBatcher<int, string>>();
        Assert.That(await batcher.ProcessAsync(1), Is.EqualTo("hello 1"));
        Assert.That(provider.GetRequiredService<DynamicBatcher<int, string>>(), Is.SameAs(batcher));
    }

    [Test]
    public async Task A_processor_may_make_a_scope_for_each_batch()
    {
        _services.AddScoped<Connection>();
        _services.AddDynamicBatcher<int, Connection>(
            services =>
            {
                IServiceScopeFactory scopes = services.GetRequiredService<IServiceScopeFactory>();
                return async (requests, _) =>
                {
                    await using AsyncServiceScope scope = scopes.CreateAsyncScope();
                    return requests.ConvertAll(_ => scope.ServiceProvider.GetRequiredService<Connection>());
                };
            },
            configuration => configuration.PreferBatchSize = 1);
        await using ServiceProvider provider = _services.BuildServiceProvider(validateScopes: true);
        DynamicBatcher<int, Connection> batcher = provider.GetRequiredService<DynamicBatcher<int, Connection>>();
        Connection first = await batcher.ProcessAsync(1);
        Connection second = await batcher.ProcessAsync(2);
        Assert.That(second, Is.Not.SameAs(first));
        Assert.That(first.IsDisposed);
    }

    [Test]
    public async Task Disposing_the_container_drains_the_batcher()
    {
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _services.AddDynamicBatcher<int, string>(
            _ => async (requests, _) =>
            {
                await gate.Task;
                return requests.ConvertAll(FakeProcessor.Of);
            },
            configuration => { configuration.MaxBatchSize = configuration.PreferBatchSize = 2; configuration.MaxConcurrentBatches = 1; });
        ServiceProvider provider = _services.BuildServiceProvider();
        DynamicBatcher<int, string> batcher = provider.GetRequiredService<DynamicBatcher<int, string>>();
        Task<string>[] all = [.. Enumerable.Range(0, 5).Select(i => batcher.ProcessAsync(i))];

        ValueTask disposal = provider.DisposeAsync();
        Assert.That(disposal.IsCompleted, Is.False);
        gate.SetResult();
        await disposal;

        Assert.That(all.Select(task => task.IsCompletedSuccessfully), Is.All.True);
    }

    [Test]
    public async Task Keyed_batchers_of_the_same_types_have_their_own_configurations_and_processors()
    {
        _services.AddKeyedDynamicBatcher<int, string>("a", _ => (requests, _) => Task.FromResult(requests.ConvertAll(i => $"a{i}")), c => c.PreferBatchSize = 1);
        _services.AddKeyedDynamicBatcher<int, string>("b", _ => (requests, _) => Task.FromResult(requests.ConvertAll(i => $"b{i}")), c => c.PreferBatchSize = 2);
        await using ServiceProvider provider = _services.BuildServiceProvider();
        Assert.That(await provider.GetRequiredKeyedService<DynamicBatcher<int, string>>("a").ProcessAsync(1), Is.EqualTo("a1"));
        Assert.That(await provider.GetRequiredKeyedService<DynamicBatcher<int, string>>("b").ProcessAsync(1), Is.EqualTo("b1"));
    }

    [Test]
    public async Task The_returned_options_can_be_configured_further()
    {
        _services.AddDynamicBatcher<int, string>(Echo).Configure(configuration => configuration.MaxBatchSize = 0);
        await using ServiceProvider provider = _services.BuildServiceProvider();
        Assert.That(
            provider.GetRequiredService<DynamicBatcher<int, string>>,
            Throws.TypeOf<OptionsValidationException>().With.Message.Contains("MaxBatchSize must be between 1 and 1024"));
    }

    [Test]
    public async Task Invalid_options_are_found_when_the_host_starts()
    {
        _services.AddDynamicBatcher<int, string>(Echo, configuration => configuration.MaxQueueSize = 1);
        await using ServiceProvider provider = _services.BuildServiceProvider();
        Assert.That(provider.GetRequiredService<IStartupValidator>().Validate, Throws.TypeOf<OptionsValidationException>().With.Message.Contains("MaxQueueSize"));
    }

    [Test]
    public void A_second_batcher_of_the_same_types_without_a_key_is_refused()
    {
        _services.AddDynamicBatcher<int, string>(Echo);
        Assert.That(() => _services.AddDynamicBatcher<int, string>(Echo), Throws.InvalidOperationException.With.Message.Contains("AddKeyedDynamicBatcher"));
    }

    [Test]
    public async Task The_cost_function_is_part_of_the_options()
    {
        _services.AddDynamicBatcher<int, string>(Echo, configuration => { configuration.CostFunction = i => i; configuration.MaxBatchCost = 5; });
        await using ServiceProvider provider = _services.BuildServiceProvider();
        Assert.That(async () => await provider.GetRequiredService<DynamicBatcher<int, string>>().ProcessAsync(6), Throws.ArgumentException);
    }

    private static CancellableBatchProcessor<int, string> Echo(IServiceProvider services) =>
        (requests, _) => Task.FromResult(requests.ConvertAll(FakeProcessor.Of));

    private sealed class Connection : IDisposable
    {
        public bool IsDisposed { get; private set; }

        public void Dispose() => IsDisposed = true;
    }
}
