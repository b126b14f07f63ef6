using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Models;

public class RequestIdTests
{
    [Test]
    public void New_ids_are_unique_and_never_empty()
    {
        HashSet<RequestId> ids = [.. Enumerable.Range(0, 1000).Select(_ => RequestId.New())];
        Assert.That(ids, Has.Count.EqualTo(1000));
        Assert.That(ids, Has.No.Member(RequestId.Empty));
    }

    [Test]
    public void Ids_of_one_guid_are_equal_and_hash_alike()
    {
        Guid guid = Guid.NewGuid();
        var one = new RequestId(guid);
        var other = new RequestId(Guid.Parse(guid.ToString()));
        Assert.That(one, Is.EqualTo(other));
        Assert.That(one == other);
        Assert.That(one.GetHashCode(), Is.EqualTo(other.GetHashCode()));
        Assert.That(one, Is.Not.EqualTo(RequestId.New()));
    }

    [Test]
    public void The_default_id_is_the_empty_one()
    {
        Assert.That(default(RequestId), Is.EqualTo(RequestId.Empty));
        Assert.That(RequestId.Empty.Id, Is.EqualTo(Guid.Empty));
    }
}
