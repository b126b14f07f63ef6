using Microsoft.Extensions.Options;

namespace MLFramework.Serving;

/// <summary>Turns <see cref="BatchingConfiguration.Validate"/> into an options failure that the host reports at start.</summary>
internal sealed class BatchingConfigurationValidator<TRequest> : IValidateOptions<BatchingConfiguration<TRequest>>
{
    public ValidateOptionsResult Validate(string? name, BatchingConfiguration<TRequest> options)
    {
        try
        {
            options.Validate();
            return ValidateOptionsResult.Success;
        }
        catch (ArgumentOutOfRangeException e)
        {
            return ValidateOptionsResult.Fail($"Dynamic batcher {name}: {e.Message}");
        }
    }
}
