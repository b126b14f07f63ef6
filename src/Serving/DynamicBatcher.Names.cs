namespace MLFramework.Serving;

/// <summary>Names that listeners use.</summary>
public static class DynamicBatcher
{
    /// <summary>Name of the meter: <c>AddMeter(DynamicBatcher.MeterName)</c>.</summary>
    public const string MeterName = "MLFramework.Serving";
}
