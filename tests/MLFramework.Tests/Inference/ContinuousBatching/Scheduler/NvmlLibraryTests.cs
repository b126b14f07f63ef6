using System.Runtime.InteropServices;
using MLFramework.Inference.ContinuousBatching;

namespace MLFramework.Tests.Inference.ContinuousBatching.Scheduler;

public class NvmlLibraryTests
{
    [Test]
    public void A_library_that_is_not_there_is_not_loaded() => Assert.That(NvmlLibrary.TryLoad("libno-such-library.so.1"), Is.Null);

    [Test]
    public void A_library_without_the_functions_is_not_taken_for_NVML()
    {
        string jit = OperatingSystem.IsWindows() ? "clrjit.dll" : OperatingSystem.IsMacOS() ? "libclrjit.dylib" : "libclrjit.so";
        string path = Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), jit);
        Assert.That(path, Does.Exist);
        Assert.That(NvmlLibrary.TryLoad(path), Is.Null);
    }
}
