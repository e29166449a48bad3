"""Kernels with planted bugs of barriers that threads reach in different turns of a loop."""

from numba import cuda

from cases.planted.bugs import FaultKind, pair, planted


@planted(FaultKind.DIVERGENT_BARRIER, "", 1, 64, args=pair(64), thread=(32, 0, 0))
def barrier_in_different_turns_of_an_unrolled_loop(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        for turn in range(2):
            if turn == (bug and i < 32):
                cuda.syncthreads()  # planted
        y[i] = x[i]

    return kernel


@planted(FaultKind.DIVERGENT_BARRIER, "", 1, 64, args=pair(64), thread=(1, 0, 0))
def turns_that_some_threads_skip(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        for turn in range(x.size):
            if bug and turn % 2 == i % 2:
                continue
            cuda.syncthreads()  # planted
            y[i] += turn

    return kernel


@planted(FaultKind.DIVERGENT_BARRIER, "", 1, 64, args=pair(64), thread=(32, 0, 0))
def barrier_in_different_turns_of_the_outer_loop(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        for outer in range(x.size):
            for inner in range(2 + outer):
                if outer == (2 if bug and i >= 32 else 1) and inner < 2:
                    y[i] += cuda.syncthreads_count(inner)  # planted

    return kernel


@planted(FaultKind.DIVERGENT_BARRIER, "", 1, 64, args=pair(64), thread=(1, 0, 0))
def waiting_later_and_leaving_earlier(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        # without the bug, counters differ and turns do not, and a loop goes on without its barrier
        for count in range(i % 2, x.size + i % 2):
            if (bug or count - i % 2 < 3) and (not bug or count > i % 2 * 2):
                cuda.syncthreads()  # planted
            while y[i] < i:
                y[i] += 1

    return kernel
