// A fixture's fields belong to one test: nothing leaks from one to the next, whatever the order.
[assembly: FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
