"""Kernels for 32 threads that use one intrinsic each, and correct and faulty pipelines of asynchronous copies."""

from functools import cache

from numba import cuda, float32, uint32

from convbench.intrinsics import (
    bits,
    commit_copies,
    copy_async_4,
    copy_async_4_if,
    copy_async_16,
    copy_async_16_if,
    load_1,
    load_1_if,
    load_2,
    load_4,
    multiply_add_2,
    store_1,
    store_2,
    store_4,
    unbits,
    wait_copies_0,
    wait_copies_1,
    wait_copies_2,
    wait_copies_3,
)

THREADS = 32
WAITS = (wait_copies_0, wait_copies_1, wait_copies_2, wait_copies_3)


@cuda.jit
def each_width(x, y, first):
    """y[4t : 4t + 4] = x[4t + first : 4t + first + 4], by every width of load and store."""
    t = uint32(cuda.threadIdx.x)
    at = uint32(t * uint32(4))
    a, b, c, d = load_4(x, at + uint32(first))
    store_4(y, at, (a, b, c, d))
    e, f = load_2(x, at + uint32(first))
    store_2(y, at, (e, f))
    store_1(y, at, load_1(x, at + uint32(first)))


@cuda.jit
def backwards(x, y):
    """A negative index, which does not count from the end of the array in a kernel."""
    t = cuda.threadIdx.x
    store_1(y, t, load_1(x, t - 1))


@cuda.jit
def predicated(x, y, limit):
    """y[t] = x[t] where t < limit, else 0; beyond the limit the index is far outside x."""
    t = uint32(cuda.threadIdx.x)
    ok = t < limit
    store_1(y, t, load_1_if(x, t if ok else uint32(1) << uint32(30), ok))


@cuda.jit
def through_bits(x, y):
    """y[t] is x[t] with its sign bit flipped."""
    t = uint32(cuda.threadIdx.x)
    store_1(y, t, unbits(uint32(bits(load_1(x, t)) ^ uint32(0x80000000))))


@cuda.jit
def pairs(x, y):
    """y[2t : 2t + 2] = x[5t] · x[5t + 1 : 5t + 3] + x[5t + 3 : 5t + 5]."""
    t = uint32(cuda.threadIdx.x)
    at = uint32(t * uint32(5))
    pair, sums = (x[at + 1], x[at + 2]), (x[at + 3], x[at + 4])
    y[2 * t], y[2 * t + 1] = multiply_add_2(x[at], pair, sums)


@cuda.jit
def copied(x, y, limit):
    """y[t] = x[t] + x[32 + 4t … + 3] + (x[t] + x[4t … + 3] where t < limit), every copy by another kind."""
    tile = cuda.shared.array(320, float32, alignment=16)
    t = uint32(cuda.threadIdx.x)
    at = uint32(t * uint32(4))
    ok = t < limit
    far = uint32(1) << uint32(30)
    copy_async_4(tile, t, x, t)
    copy_async_16(tile, uint32(32) + at, x, uint32(32) + at)
    copy_async_4_if(tile, uint32(160) + t, x, t if ok else far, ok)
    copy_async_16_if(tile, uint32(192) + at, x, at if ok else far, ok)
    commit_copies()
    wait_copies_0()
    total = tile[t] + tile[160 + t]
    for i in range(4):
        total += tile[32 + at + i] + tile[192 + at + i]
    y[t] = total


@cache
def pipeline(stages: int, *, pending: int, barriers: bool = True, commits: bool = True):
    """y[t] = Σ_i x[i, 31 − t] over tiles that are copied `stages` − 1 ahead; right where `pending` is `stages` − 2."""
    wait, size = WAITS[pending], stages * THREADS

    @cuda.jit
    def kernel(x, y, steps):
        tile = cuda.shared.array(size, float32, alignment=16)
        t = uint32(cuda.threadIdx.x)
        total = float32(0)
        for i in range(stages - 1):
            if i < steps:
                copy_async_4(tile, uint32(i * THREADS) + t, x, uint32(i * THREADS) + t)
            commit_copies()
        for i in range(steps):
            wait()
            if barriers:
                cuda.syncthreads()
            ahead = i + stages - 1
            if ahead < steps:
                copy_async_4(tile, uint32(ahead % stages * THREADS) + t, x, uint32(ahead * THREADS) + t)
            if commits:
                commit_copies()
            total += tile[i % stages * THREADS + THREADS - 1 - t]
        y[t] = total

    return kernel


@cuda.jit
def misaligned(x, y):
    t = uint32(cuda.threadIdx.x)
    a, b, c, d = load_4(x, t * uint32(4) + uint32(1))
    y[t] = a + b + c + d


@cuda.jit
def copies_over_what_is_read(x, y):
    """An asynchronous copy into memory that another thread reads, without a barrier in between."""
    tile = cuda.shared.array(32, float32, alignment=16)
    t = uint32(cuda.threadIdx.x)
    tile[t] = x[t]
    cuda.syncthreads()
    y[t] = tile[31 - t]
    copy_async_4(tile, t, x, t)
    commit_copies()
    wait_copies_0()


@cuda.jit
def never_waits(x, y):
    """Copies that nothing reads and nothing waits for, which are allowed, and more copies than a thread may have."""
    tile = cuda.shared.array(32, float32, alignment=16)
    t = uint32(cuda.threadIdx.x)
    for _ in range(300):
        copy_async_4(tile, t, x, t)
    y[t] = x[t]


@cuda.jit
def over_many_blocks(x, y):
    """A copy that one block has not waited for does not affect the next block."""
    tile = cuda.shared.array(64, float32, alignment=16)
    t = uint32(cuda.threadIdx.x)
    n = uint32(cuda.blockIdx.x) * uint32(32) + t
    copy_async_4(tile, t, x, n)
    commit_copies()
    wait_copies_0()
    copy_async_4(tile, uint32(32) + t, x, n)
    commit_copies()
    y[n] = tile[t]
