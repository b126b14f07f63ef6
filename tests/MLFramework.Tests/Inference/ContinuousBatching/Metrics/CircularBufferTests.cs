using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Metrics;

public class CircularBufferTests
{
    private readonly CircularBuffer<int> _buffer = new(3);

    [Test]
    public void Items_are_kept_in_the_order_in_which_they_came()
    {
        Fill(1, 2);
        Assert.That(_buffer, Is.EqualTo(new[] { 1, 2 }));
        Assert.That(_buffer.Count, Is.EqualTo(2));
        Assert.That(_buffer.Capacity, Is.EqualTo(3));
    }

    [TestCase(4)]
    [TestCase(5)]
    [TestCase(6)]
    [TestCase(7)]
    [TestCase(100)]
    public void A_full_buffer_gives_up_its_oldest_item(int added)
    {
        Fill([.. Enumerable.Range(1, added)]);
        Assert.That(_buffer, Is.EqualTo(new[] { added - 2, added - 1, added }));
        Assert.That(_buffer.Count, Is.EqualTo(3));
    }

    [Test]
    public void A_buffer_of_one_keeps_the_newest()
    {
        var single = new CircularBuffer<string>(1) { "a", "b", "c" };
        Assert.That(single, Is.EqualTo(new[] { "c" }));
    }

    [Test]
    public void The_indexer_counts_from_the_oldest()
    {
        Fill(1, 2, 3, 4);
        Assert.That((_buffer[0], _buffer[1], _buffer[2]), Is.EqualTo((2, 3, 4)));
    }

    [TestCase(-1)]
    [TestCase(2)]
    public void An_index_that_holds_nothing_is_refused(int index)
    {
        Fill(1, 2);
        Assert.Throws<ArgumentOutOfRangeException>(() => _ = _buffer[index]);
    }

    [Test]
    public void The_newest_item_can_be_completed_in_place()
    {
        Fill(1, 2, 3, 4);
        _buffer.Newest = 9;
        Assert.That(_buffer, Is.EqualTo(new[] { 2, 3, 9 }));
    }

    [Test]
    public void A_cleared_buffer_is_empty_and_usable()
    {
        Fill(1, 2, 3, 4);
        _buffer.Clear();
        Assert.That(_buffer, Is.Empty);
        Assert.That(_buffer.Count, Is.Zero);
        Fill(7);
        Assert.That(_buffer, Is.EqualTo(new[] { 7 }));
    }

    [Test]
    public void A_cleared_buffer_holds_on_to_nothing()
    {
        var buffer = new CircularBuffer<object>(2);
        WeakReference item = AddOne(buffer);
        buffer.Clear();
        GC.Collect();
        Assert.That(item.IsAlive, Is.False);
        GC.KeepAlive(buffer);

        [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
        static WeakReference AddOne(CircularBuffer<object> buffer)
        {
            object item = new();
            buffer.Add(item);
            return new WeakReference(item);
        }
    }

    [Test]
    public void An_enumeration_fails_when_the_buffer_changes_under_it()
    {
        Fill(1, 2);
        using IEnumerator<int> items = _buffer.GetEnumerator();
        items.MoveNext();
        _buffer.Add(3);
        Assert.Throws<InvalidOperationException>(() => items.MoveNext());
    }

    [TestCase(0)]
    [TestCase(-1)]
    public void A_capacity_below_one_is_refused(int capacity) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => _ = new CircularBuffer<int>(capacity));

    private void Fill(params int[] items) => Array.ForEach(items, _buffer.Add);
}
