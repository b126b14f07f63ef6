using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using MLFramework.Cpu;

namespace MLFramework.Compare;

/// <summary>
/// Measures what kernels could reach at most: tiles of 2 × 4 products whose operands are in the first-level cache and whose sums stay in registers, and sums over
/// a buffer that no cache holds. The best of some runs of a few hundredths of a second.
/// </summary>
internal sealed unsafe class MachineCeilings : IDisposable
{
    private const int Runs = 9, MultiplySteps = 1 << 20, StepsPerTile = 8, OperandBytes = 4096, CacheLine = 64;

    private const long StreamBytes = 256 << 20;

    private static readonly TimeProvider s_clock = TimeProvider.System;

    private readonly ComputeTeam _one = new(1), _all;
    private readonly byte* _operands = (byte*)NativeMemory.AlignedAlloc(OperandBytes, CacheLine);
    private readonly byte* _stream = (byte*)NativeMemory.AlignedAlloc((nuint)StreamBytes, CacheLine);

    /// <param name="threads">Threads of the second column.</param>
    public MachineCeilings(int threads)
    {
        _all = new ComputeTeam(threads);
        new Span<byte>(_operands, OperandBytes).Fill(1);
        for (long offset = 0; offset < StreamBytes; offset += 1 << 30) new Span<byte>(_stream + offset, (int)Math.Min(1 << 30, StreamBytes - offset)).Fill(1);
    }

    /// <summary>Measures all that this machine has; the multiplications of the widest vectors last.</summary>
    public List<Ceiling> Measure()
    {
        var ceilings = new List<Ceiling>();
        if (Avx2.IsSupported && Fma.IsSupported)
        {
            ceilings.Add(Multiplying<Bytes256, Vector256<int>>("int8 (maddubs), AVX2"));
            ceilings.Add(Multiplying<Shorts256, Vector256<int>>("int16 (pmaddwd), AVX2"));
            ceilings.Add(Multiplying<Floats256, Vector256<float>>("FMA, AVX2"));
        }
        if (Avx512BW.IsSupported)
        {
            ceilings.Add(Multiplying<Bytes512, Vector512<int>>("int8 (maddubs), AVX-512"));
            ceilings.Add(Multiplying<Shorts512, Vector512<int>>("int16 (pmaddwd), AVX-512"));
            ceilings.Add(Multiplying<Floats512, Vector512<float>>("FMA, AVX-512"));
        }
        ceilings.Add(new Ceiling("read", "GB/s", Best(_one, new StreamJob(_stream), StreamBytes), Best(_all, new StreamJob(_stream), StreamBytes)));
        return ceilings;
    }

    /// <summary>Ends the threads and frees the buffers.</summary>
    public void Dispose()
    {
        _one.Dispose();
        _all.Dispose();
        NativeMemory.AlignedFree(_operands);
        NativeMemory.AlignedFree(_stream);
    }

    private Ceiling Multiplying<TKernel, T>(string name) where TKernel : struct, IMultiplyKernel<T> where T : struct
    {
        var job = new MultiplyJob<TKernel, T>(_operands);
        double operations = (double)MultiplySteps * StepsPerTile * TKernel.Operations;
        return new Ceiling(name, "GOP/s", Best(_one, job, operations), Best(_all, job, operations * _all.Size));
    }

    /// <summary>Units per nanosecond of the best run.</summary>
    private static double Best(ComputeTeam team, ITeamJob job, double units)
    {
        double best = double.MaxValue;
        for (int run = 0; run < Runs; run++)
        {
            long start = s_clock.GetTimestamp();
            team.Run(job);
            best = Math.Min(best, s_clock.GetElapsedTime(start).TotalNanoseconds);
        }
        return units / best;
    }

    /// <summary>Every member does the same.</summary>
    private sealed class MultiplyJob<TKernel, T>(byte* operands) : ITeamJob where TKernel : struct, IMultiplyKernel<T> where T : struct
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Execute(ComputeTeam team, int member)
        {
            int size = Unsafe.SizeOf<T>(), moving = OperandBytes / 2;
            T b0 = TKernel.Load(operands), b1 = TKernel.Load(operands + size), b2 = TKernel.Load(operands + 2 * size), b3 = TKernel.Load(operands + 3 * size);
            T s0 = default, s1 = default, s2 = default, s3 = default, s4 = default, s5 = default, s6 = default, s7 = default;
            byte* moved = operands + moving;
            for (int step = 0, offset = 0; step < MultiplySteps; step++, offset = (offset + 2 * size) & (moving - 1))
            {
                T left = TKernel.Load(moved + offset), right = TKernel.Load(moved + offset + size);
                s0 = TKernel.MultiplyAdd(s0, left, b0);
                s1 = TKernel.MultiplyAdd(s1, left, b1);
                s2 = TKernel.MultiplyAdd(s2, left, b2);
                s3 = TKernel.MultiplyAdd(s3, left, b3);
                s4 = TKernel.MultiplyAdd(s4, right, b0);
                s5 = TKernel.MultiplyAdd(s5, right, b1);
                s6 = TKernel.MultiplyAdd(s6, right, b2);
                s7 = TKernel.MultiplyAdd(s7, right, b3);
            }
            // Used, or the compiler would leave them out.
            Consume(TKernel.MultiplyAdd(TKernel.MultiplyAdd(s0, s1, s2), TKernel.MultiplyAdd(s3, s4, s5), TKernel.MultiplyAdd(s6, s7, b0)));
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void Consume(T value) => _ = value;
    }

    /// <summary>Members share the buffer.</summary>
    private sealed class StreamJob(byte* stream) : ITeamJob
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Execute(ComputeTeam team, int member)
        {
            const int Stride = 4 * 32;
            long share = StreamBytes / team.Size / Stride * Stride;
            Vector256<int> s0 = default, s1 = default, s2 = default, s3 = default;
            for (byte* at = stream + member * share, end = at + share; at < end; at += Stride)
            {
                s0 += Vector256.Load((int*)at);
                s1 += Vector256.Load((int*)(at + 32));
                s2 += Vector256.Load((int*)(at + 64));
                s3 += Vector256.Load((int*)(at + 96));
            }
            Consume(s0 + s1 + s2 + s3);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void Consume(Vector256<int> value) => _ = value;
    }
}
