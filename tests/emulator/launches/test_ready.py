"""A launch that ran before runs again with less work, and gives what its first run would have given."""

import importlib
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numba import cuda, float32

from convbench.emulator import Emulator, KernelFault
from convbench.emulator.arguments import flat, marshal, types_of
from convbench.emulator.ready import Launches

launch = importlib.import_module("convbench.emulator.launch")
CODES = "ptx", "llvm"


@cuda.jit
def scaled(x, y, factor, shift, is_on):
    i = cuda.grid(1)
    if i < y.size and is_on:
        y[i] = x[i] * factor + shift


@cuda.jit
def reversed_in_block(x, y):
    part = cuda.shared.array(32, float32)
    i = cuda.threadIdx.x
    part[i] = x[cuda.grid(1)]
    cuda.syncthreads()
    y[cuda.grid(1)] = part[31 - i]


@cuda.jit
def waits(x, y):
    i = cuda.grid(1)
    while x[0] == 0:
        y[i] += 1


@cuda.jit
def reads_at(x, y, place):
    y[cuda.threadIdx.x] = x[place]


@pytest.fixture(autouse=True)
def launches(monkeypatch):
    """No launch is ready yet; returns how many are later."""
    monkeypatch.setattr(launch, "LAUNCHES", Launches())
    return lambda: len(launch.LAUNCHES._kept)


def arrays():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((100, 2)).astype(np.float32)
    return [x[:60, 0].copy(), x[:60, 0], x[::-1, 1], x[:40, 1].copy()[::-1], x[:0, 0].copy(), x[5:6, 0]]


@pytest.mark.parametrize("code", CODES)
def test_other_arguments_have_their_own_results(code, launches):
    emulator = Emulator(code=code)
    for _ in range(3):
        for x in arrays():
            for factor, shift, is_on in (
                (2.0, -3, True),
                (0.5, 2**62, True),
                (2.0, 7, False),
                (np.float32(0.1), 1, True),
            ):
                y = np.full(x.size, -1, np.float32)
                emulator.launch(scaled, 4, 32, x, y, factor, shift, is_on)
                expected = (x * np.float64(factor) + shift).astype(np.float32) if is_on else np.full(x.size, -1)
                np.testing.assert_allclose(actual=y, desired=expected, rtol=1e-6)
    assert launches() == 6  # contiguous, strided, and strided from the end; each with two types of the factor


@pytest.mark.parametrize("code", CODES)
def test_blocks_share_memory_in_each_launch(code):
    emulator = Emulator(code=code)
    for blocks in (1, 3, 1, 3, 3):
        x = np.random.default_rng(blocks).random(32 * blocks).astype(np.float32)
        y = np.empty_like(x)
        emulator.launch(reversed_in_block, blocks, 32, x, y)
        np.testing.assert_array_equal(actual=y, desired=x.reshape(-1, 32)[:, ::-1].ravel())


@pytest.mark.parametrize("code", CODES)
def test_a_fault_is_that_of_a_first_launch(code):
    emulator, told = Emulator(code=code), []
    x, y = np.arange(4, dtype=np.float32), np.zeros(8, np.float32)
    for place in (4, 0, 3, 4, 2, 4):
        if place < 4:
            emulator.launch(reads_at, 1, 8, x, y, place)
            assert (y == place).all()
        else:
            with pytest.raises(KernelFault) as caught:
                emulator.launch(reads_at, 1, 8, x, y, place)
            told.append((str(caught.value), caught.value.thread, caught.value.array, caught.value.line))
    assert told[0] == told[1] == told[2]
    assert told[0][2] == "x"


def test_threads_launch_the_same_at_once():
    emulator, barrier = Emulator(), threading.Barrier(4)
    emulator.launch(scaled, 4, 32, np.zeros(100, np.float32), np.zeros(100, np.float32), 1.0, 1, True)

    def many(number):
        x, barrier_passed = np.full(100, number, np.float32), barrier.wait()
        found = np.empty((50, 100), np.float32)
        for row in found:
            emulator.launch(scaled, 4, 32, x, row, 2.0, number, True)
        return barrier_passed >= 0 and (found == 3 * number).all()

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(many, range(4)))


@pytest.mark.parametrize("code", CODES)
def test_an_interrupt_ends_a_launch_that_was_short_before(code):
    emulator, y = Emulator(code=code), np.zeros(32)
    for _ in range(3):
        emulator.launch(waits, 1, 32, np.ones(1), y)
    timer = threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT])
    start, x = time.monotonic(), np.zeros(1)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        emulator.launch(waits, 1, 32, x, y)
    x[0] = 1  # lets the thread end that still runs it
    assert time.monotonic() - start < 5
    emulator.launch(waits, 1, 32, np.ones(1), y)


@pytest.mark.parametrize("code", CODES)
def test_only_kernels_without_a_loop_run_in_the_thread_that_launches(code, monkeypatch):
    """Nothing could interrupt another one there."""
    handed = []
    ready = importlib.import_module("convbench.emulator.ready")
    run_one = ready.run_one
    monkeypatch.setattr(ready, "run_one", lambda worker, work: handed.append(1) or run_one(worker, work))
    emulator, x = Emulator(code=code), np.ones(64)
    for kernel, arguments, expected in ((scaled, (x, x, 1.0, 0, True), 0), (waits, (x, x), 1)):
        emulator.launch(kernel, 1, 32, *arguments)
        handed.clear()
        emulator.launch(kernel, 1, 32, *arguments)
        assert len(handed) == expected


@pytest.mark.parametrize(
    "value",
    [
        5, -5, 2**63 - 1, 1 - 2**63, True, 1.5, float("nan"), -0.0, np.float32(0.1), np.float32("nan"),
        np.float64(1e300), np.int8(-1), np.uint8(200), np.int32(-7), np.uint32(2**32 - 1), np.int64(-1), np.bool_(True),
    ],
)  # fmt: skip
def test_words_are_those_of_a_first_launch(value):
    args = (value, np.zeros((3, 4))[:, ::-1])
    kernel = cuda.jit(lambda x, y: None)
    found, types = flat(args), types_of(kernel, args)
    assert np.array(found.words, np.int64).tolist() == marshal(kernel, types, args).words.tolist()


@pytest.mark.parametrize("value", [2**63, -(2**63), 2**64 - 1, (1, 2), 1j, np.float16(1), np.uint64(3), None])
def test_other_values_are_launched_as_ever(value):
    assert flat((value,)) is None
