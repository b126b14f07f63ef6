namespace MLFramework.Serving;

/// <summary>Where a request is. A request moves forward only.</summary>
internal enum RequestStage : byte
{
    /// <summary>Made, not yet in a queue.</summary>
    New,

    /// <summary>Waits for room in a full queue.</summary>
    Overflow,

    /// <summary>Waits in the queue.</summary>
    Queued,

    /// <summary>Left the queue: taken into a batch, refused, dropped or cancelled.</summary>
    Left,
}
