"""A launch that the hardware would refuse is refused before anything runs, and the message names the broken rule."""

import numpy as np
import pytest
from numba import cuda, float32

from cases.planted.bugs import floats
from convbench.emulator import Emulator, LaunchError, OrderDependenceError
from convbench.emulator.limits import Limits


def shared_kernel(count):
    @cuda.jit
    def kernel(y):
        tile = cuda.shared.array(count, float32)
        tile[cuda.threadIdx.x] = 1
        y[cuda.threadIdx.x] = tile[cuda.threadIdx.x]

    return kernel


@cuda.jit
def writes_ones(y):
    y[cuda.grid(1)] = 1


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize(
    ("grid", "block", "rule"),
    [
        (1, 1025, "block is at most"),
        (1, (32, 33), "at most 1024 threads, this one 1056"),
        (1, (1, 1, 65), "block is at most"),
        ((1, 65536), 1, "grid holds at most"),
        (0, 1, "at least 1"),
        (1, (4, 0), "at least 1"),
        (1, -1, "at least 1"),
        ((1, 1, 1, 1), 1, "one to three dimensions"),
    ],
)
def test_a_grid_or_block_beyond_the_hardware_is_refused(grid, block, rule, checked):
    y = np.zeros(8, np.float32)
    with pytest.raises(LaunchError, match=rule):
        Emulator(checked=checked).launch(writes_ones, grid, block, y)
    assert not y.any()


@pytest.mark.parametrize("checked", [False, True])
def test_static_shared_memory_ends_at_48_kib(checked):
    y = np.zeros(4, np.float32)
    Emulator(checked=checked).launch(shared_kernel(12 * 1024), 1, 4, y)
    with pytest.raises(LaunchError, match="at most 49152 bytes of shared memory, not 49156"):
        Emulator(checked=checked).launch(shared_kernel(12 * 1024 + 1), 1, 4, y)
    assert y.tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(("capability", "most"), [((7, 5), 64), ((8, 0), 163), ((8, 6), 99), ((9, 0), 227)])
def test_dynamic_shared_memory_ends_where_the_compute_capability_says(capability, most):
    y = np.zeros(1, np.float32)
    emulator = Emulator(compute_capability=capability)
    emulator.launch(writes_ones, 1, 1, y, shared_bytes=most * 1024)
    with pytest.raises(LaunchError, match=f"{capability[0]}.{capability[1]}: a block has at most {most * 1024} bytes"):
        emulator.launch(writes_ones, 1, 1, y, shared_bytes=most * 1024 + 1)
    with pytest.raises(LaunchError, match="cannot have -1 bytes"):
        emulator.launch(writes_ones, 1, 1, y, shared_bytes=-1)


def test_static_and_dynamic_shared_memory_count_together():
    kernel, y = shared_kernel(1024), np.zeros(4, np.float32)
    Emulator().launch(kernel, 1, 4, y, shared_bytes=223 * 1024)
    with pytest.raises(LaunchError, match=r"not 4096 \+ 228353 dynamic"):
        Emulator().launch(kernel, 1, 4, y, shared_bytes=223 * 1024 + 1)


@pytest.mark.parametrize("checked", [False, True])
def test_local_memory_ends_at_512_kib(checked):
    @cuda.jit
    def kernel(y):
        large = cuda.local.array(131072 + 1, float32)
        for i in range(131072 + 1):
            large[i] = i
        y[0] = large[int(y[0])]

    with pytest.raises(LaunchError, match="at most 524288 bytes of local memory"):
        Emulator(checked=checked).launch(kernel, 1, 1, np.zeros(1, np.float32))


def test_an_unknown_compute_capability_is_refused():
    with pytest.raises(LaunchError, match=r"compute capability 6\.1 are not known"):
        Limits((6, 1))


def fits(grid=(1, 1, 1), block=(1, 1, 1), *, static=0, dynamic=0, local=0, bounds=None):
    """Whether compute capability 9.0 takes a launch."""
    try:
        Limits().check("kernel", grid, block, static=static, dynamic=dynamic, local=local, bounds=bounds)
    except LaunchError as error:
        assert str(error).startswith(f"kernel: grid {grid}, block {block}: compute capability 9.0: ")
        return False
    return True


@pytest.mark.parametrize(
    ("most", "more"),
    [
        ({"grid": (2**31 - 1, 1, 1)}, {"grid": (2**31, 1, 1)}),
        ({"grid": (1, 65535, 1)}, {"grid": (1, 65536, 1)}),
        ({"grid": (1, 1, 65535)}, {"grid": (1, 1, 65536)}),
        ({"block": (1024, 1, 1)}, {"block": (1025, 1, 1)}),
        ({"block": (1, 1024, 1)}, {"block": (1, 1025, 1)}),
        ({"block": (16, 1, 64)}, {"block": (1, 1, 65)}),
        ({"block": (32, 32, 1)}, {"block": (32, 33, 1)}),
        ({"block": (128, 1, 1), "bounds": 128}, {"block": (129, 1, 1), "bounds": 128}),
        ({"block": (128, 1, 1), "bounds": (128, 2)}, {"block": (8, 17, 1), "bounds": (128, 2)}),
        ({"static": 49152}, {"static": 49153}),
        ({"static": 49152, "dynamic": 227 * 1024 - 49152}, {"static": 49152, "dynamic": 227 * 1024 - 49151}),
        ({"local": 512 * 1024}, {"local": 512 * 1024 + 1}),
    ],
)
def test_every_limit_is_the_last_that_fits(most, more):
    assert fits(**most)
    assert not fits(**more)


def test_a_launch_beyond_its_launch_bounds_is_refused():
    @cuda.jit(launch_bounds=64)
    def kernel(y):
        y[cuda.grid(1)] = 1

    y = np.zeros(65, np.float32)
    Emulator().launch(kernel, 1, 64, y)
    assert y.sum() == 64
    with pytest.raises(LaunchError, match="launch_bounds allow 64 threads, not 65"):
        Emulator().launch(kernel, 1, 65, y)


# ---- results that depend on the order of threads


@cuda.jit
def takes_tickets(next_ticket, tickets):
    tickets[cuda.grid(1)] = cuda.atomic.add(next_ticket, 0, 1)


@cuda.jit
def sums(x, total):
    cuda.atomic.add(total, 0, x[cuda.grid(1)])


@pytest.mark.parametrize(("grid", "block"), [(1, 8), (8, 1)])
def test_a_result_that_depends_on_the_order_of_threads_or_blocks_is_reported(grid, block):
    with pytest.raises(OrderDependenceError, match=r"tickets\[0\] is"):
        Emulator(checked=True).launch(takes_tickets, grid, block, np.zeros(1, np.int32), np.zeros(8, np.int32))


def test_the_rounding_of_a_sum_by_atomics_is_a_dependence_on_order():
    x = np.array([1e8, 1, -1e8, 1, 1, 1, 1, 1], np.float32)
    with pytest.raises(OrderDependenceError, match=r"total\[0\] is"):
        Emulator(checked=True).launch(sums, 1, 8, x, np.zeros(1, np.float32))


def test_an_exact_sum_by_atomics_depends_on_no_order():
    total = np.zeros(1, np.float32)
    Emulator(checked=True).launch(sums, 1, 8, floats(8), total)
    assert total[0] == 28
