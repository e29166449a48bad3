"""Kernels of one warpgroup that multiply with wgmma, and the same kernels with one fault each."""

from functools import cache

from numba import cuda, float32, uint32, uint64

from convbench.intrinsics import (
    commit_warpgroup,
    fast_kernel,
    fence_async_proxy,
    matrix_descriptor_on_device,
    shared_address,
    static,
    wait_warpgroup_0,
    wait_warpgroup_1,
    warpgroup_fence,
    wgmma_bf16,
    wgmma_f16,
    wgmma_tf32,
)

MULTIPLY = {"tf32": wgmma_tf32, "f16": wgmma_f16, "bf16": wgmma_bf16}
K_WORDS = 8  # words of a row that one product reads
ROW_WORDS = 32
THREADS = 128
FAULTS = (
    "nothing", "no fence", "no commit", "no wait", "a wait too lazy", "another array waits", "no barrier",
    "not written", "outside", "overwritten", "descriptors differ", "half a warpgroup", "touched",
)  # fmt: skip


@cache
def multiply(kind, width, parts, in_registers, begins=False):
    """y = c + the sum of `parts` products (at most 4), of a (64, 8·parts) and b (width, 8·parts) in words."""
    count, offset = width // 2, 64 * ROW_WORDS
    together, first_one = MULTIPLY[kind](width), MULTIPLY[kind](width, begins=begins)
    wait = wait_warpgroup_0(width)

    @fast_kernel(threads=THREADS)
    def warpgroup_product(a, b, c, y):
        thread = uint32(cuda.threadIdx.x)
        lane, warp = uint32(thread & uint32(31)), uint32(thread >> uint32(5))
        row, t = uint32(uint32(16) * warp + (lane >> uint32(2))), uint32(lane & uint32(3))
        shared = cuda.shared.array(0, uint32, alignment=1024)
        sums = cuda.local.array(count, float32)
        for line in range(thread, 64, 128):
            for word in range(K_WORDS * parts):
                shared[line * ROW_WORDS + ((word // 4) ^ (line % 8)) * 4 + word % 4] = a[line, word]
        for line in range(thread, width, 128):
            for word in range(K_WORDS * parts):
                shared[offset + line * ROW_WORDS + ((word // 4) ^ (line % 8)) * 4 + word % 4] = b[line, word]
        if not begins:
            for j in range(count):
                sums[j] = c[thread, j]
        left = matrix_descriptor_on_device(shared_address(shared, uint32(0)), uint32(16), uint32(1024))
        right = matrix_descriptor_on_device(shared_address(shared, uint32(offset)), uint32(16), uint32(1024))
        fence_async_proxy()
        cuda.syncthreads()
        warpgroup_fence()
        for part in static(parts):
            along = uint64(2 * part)
            to = first_one if part == 0 else together
            if in_registers:
                k = uint32(uint32(K_WORDS * part) + t)
                four = (a[row, k], a[row + uint32(8), k], a[row, k + uint32(4)], a[row + uint32(8), k + uint32(4)])
                to(sums, four, right + along)
            else:
                to(sums, left + along, right + along)
        commit_warpgroup()
        wait(sums)
        for j in range(count):
            y[thread, j] = sums[j]

    return warpgroup_product


@cache
def two_groups():
    """Products in two groups with separate sums; the first sum is used while the second group still runs."""
    product, wait_0, wait_1 = wgmma_tf32(64), wait_warpgroup_0(64), wait_warpgroup_1(64)

    @fast_kernel(threads=THREADS)
    def overlapped(a, b, c, y):
        thread = uint32(cuda.threadIdx.x)
        shared = cuda.shared.array(128 * 32, uint32, alignment=1024)
        first, second = cuda.local.array(32, float32), cuda.local.array(32, float32)
        for word in range(32):
            shared[thread * 32 + word] = a[thread, word]
        for j in range(32):
            first[j], second[j] = c[thread, j], float32(0)
        left = matrix_descriptor_on_device(shared_address(shared, uint32(0)), uint32(16), uint32(1024))
        right = matrix_descriptor_on_device(shared_address(shared, uint32(2048)), uint32(16), uint32(1024))
        fence_async_proxy()
        cuda.syncthreads()
        warpgroup_fence()
        product(first, left, right)
        product(first, left + uint64(2), right + uint64(2))
        commit_warpgroup()
        product(second, left + uint64(4), right + uint64(4))
        commit_warpgroup()
        wait_1(first)
        for j in range(32):
            y[thread, j] = first[j]
        wait_0(second)
        for j in range(32):
            y[thread, j] += second[j]

    return overlapped


@cache
def faulty(fault):
    """A product of one warpgroup, with one fault."""
    product, wait_0, wait_1 = wgmma_tf32(64), wait_warpgroup_0(64), wait_warpgroup_1(64)
    fenced, committed, waited = fault != "no fence", fault != "no commit", fault != "no wait"
    lazy, other_waits, barrier = fault == "a wait too lazy", fault == "another array waits", fault != "no barrier"
    written = 7 if fault == "not written" else 32
    overwrites, differ, halves = fault == "overwritten", fault == "descriptors differ", fault == "half a warpgroup"
    touched, moved = fault == "touched", 1024 if fault == "outside" else 0

    @fast_kernel(threads=THREADS)
    def warpgroup_fault(a, y):
        thread = uint32(cuda.threadIdx.x)
        shared = cuda.shared.array(128 * 32, uint32, alignment=1024)
        sums, others = cuda.local.array(32, float32), cuda.local.array(32, float32)
        for word in range(written):
            shared[thread * 32 + word] = a[thread, word]
        for j in range(32):
            sums[j], others[j] = float32(0), float32(0)
        left = matrix_descriptor_on_device(shared_address(shared, uint32(0)), uint32(16), uint32(1024))
        right = matrix_descriptor_on_device(shared_address(shared, uint32(2048)), uint32(16), uint32(1024))
        right += uint64(moved)
        if differ:
            right += uint64(thread >> uint32(6))
        fence_async_proxy()
        if barrier:
            cuda.syncthreads()
        if fenced:
            warpgroup_fence()
        if halves:
            if thread < uint32(64):
                product(sums, left, right)
        else:
            product(sums, left, right)
        if committed:
            commit_warpgroup()
        if overwrites:
            cuda.syncthreads()
            shared[thread * 32] = uint32(0x41000000)
            cuda.syncthreads()
        if touched:
            for j in range(32):
                sums[j] = -sums[j]
        if lazy:
            wait_1(sums)
        elif other_waits:
            wait_0(others)
        elif waited:
            wait_0(sums)
        for j in range(32):
            y[thread, j] = sums[j]

    return warpgroup_fault
