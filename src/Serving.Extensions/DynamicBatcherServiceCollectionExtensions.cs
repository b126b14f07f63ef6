using System.Diagnostics.Metrics;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using MLFramework.Serving;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers dynamic batchers.</summary>
public static class DynamicBatcherServiceCollectionExtensions
{
    /// <summary>
    /// Registers a singleton <see cref="DynamicBatcher{TRequest,TResponse}"/>. The container's <see cref="TimeProvider"/>,
    /// <see cref="ILoggerFactory"/> and <see cref="IMeterFactory"/> are used where registered; disposing the container
    /// asynchronously, as hosts do, drains the batcher.
    /// </summary>
    /// <typeparam name="TRequest">What a caller submits.</typeparam>
    /// <typeparam name="TResponse">What a caller gets back.</typeparam>
    /// <param name="services">Where to register.</param>
    /// <param name="processor">
    /// Makes the batch processor; called once, when the batcher is first resolved. Singletons resolved here outlive the batcher, which
    /// is disposed before them. A processor that needs scoped services makes a scope for each batch from <see cref="IServiceScopeFactory"/>;
    /// scopes end when the disposal of the container begins, so such a processor serves its last batches while the host stops.
    /// </param>
    /// <param name="configure">Sets limits and policies.</param>
    /// <returns>The batcher's options, to bind or configure further. They are validated when the host starts, or when the batcher is first resolved.</returns>
    /// <exception cref="InvalidOperationException">A batcher for these types is registered already: use <see cref="AddKeyedDynamicBatcher"/> for more than one.</exception>
    public static OptionsBuilder<BatchingConfiguration<TRequest>> AddDynamicBatcher<TRequest, TResponse>(
        this IServiceCollection services,
        Func<IServiceProvider, CancellableBatchProcessor<TRequest, TResponse>> processor,
        Action<BatchingConfiguration<TRequest>>? configure = null) =>
        services.AddKeyedDynamicBatcher(null, processor, configure);

    /// <summary>Registers a singleton <see cref="DynamicBatcher{TRequest,TResponse}"/> under a key, beside others of the same types.</summary>
    /// <typeparam name="TRequest">What a caller submits.</typeparam>
    /// <typeparam name="TResponse">What a caller gets back.</typeparam>
    /// <param name="services">Where to register.</param>
    /// <param name="serviceKey">The key of <see cref="FromKeyedServicesAttribute"/>; null registers without a key.</param>
    /// <param name="processor">
    /// Makes the batch processor; called once, when the batcher is first resolved. Singletons resolved here outlive the batcher, which
    /// is disposed before them. A processor that needs scoped services makes a scope for each batch from <see cref="IServiceScopeFactory"/>;
    /// scopes end when the disposal of the container begins, so such a processor serves its last batches while the host stops.
    /// </param>
    /// <param name="configure">Sets limits and policies.</param>
    /// <returns>The batcher's options, as for <see cref="AddDynamicBatcher"/>.</returns>
    /// <exception cref="InvalidOperationException">A batcher for these types and this key is registered already.</exception>
    public static OptionsBuilder<BatchingConfiguration<TRequest>> AddKeyedDynamicBatcher<TRequest, TResponse>(
        this IServiceCollection services,
        object? serviceKey,
        Func<IServiceProvider, CancellableBatchProcessor<TRequest, TResponse>> processor,
        Action<BatchingConfiguration<TRequest>>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(processor);
        string name = $"{typeof(TRequest)}→{typeof(TResponse)}{(serviceKey is null ? "" : $"[{serviceKey}]")}";
        if (services.Any(service => service.ServiceType == typeof(DynamicBatcher<TRequest, TResponse>) && Equals(service.ServiceKey, serviceKey)))
        {
            throw new InvalidOperationException($"The dynamic batcher {name} is registered already. Register each once, or give each its key with {nameof(AddKeyedDynamicBatcher)}.");
        }

        services.TryAddEnumerable(ServiceDescriptor.Singleton<IValidateOptions<BatchingConfiguration<TRequest>>, BatchingConfigurationValidator<TRequest>>());
        services.AddKeyedSingleton(serviceKey, (provider, _) => Create(provider, name, processor));
        OptionsBuilder<BatchingConfiguration<TRequest>> options = services.AddOptions<BatchingConfiguration<TRequest>>(name).ValidateOnStart();
        options.Configure(configuration => configuration.Name = name);
        return configure is null ? options : options.Configure(configure);
    }

    private static DynamicBatcher<TRequest, TResponse> Create<TRequest, TResponse>(
        IServiceProvider provider, string name, Func<IServiceProvider, CancellableBatchProcessor<TRequest, TResponse>> processor) =>
        new(
            provider.GetRequiredService<IOptionsMonitor<BatchingConfiguration<TRequest>>>().Get(name),
            processor(provider),
            provider.GetService<TimeProvider>(),
            provider.GetService<ILogger<DynamicBatcher<TRequest, TResponse>>>(),
            provider.GetService<IMeterFactory>());
}
