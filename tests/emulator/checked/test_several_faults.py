"""Of several faults the earliest is told, and with `keep_going` all of them; negative indices are remarks."""

import inspect

import numpy as np
import pytest
from numba import cuda, float32

from convbench.emulator import Emulator, FaultKind, KernelFault, OrderDependenceError, compiler_fault

nvvm = pytest.mark.skipif(compiler_fault() is not None, reason=f"{compiler_fault()}")
codes = pytest.mark.parametrize("code", ["llvm", pytest.param("ptx", marks=nvvm)])
READ, WRITE, OVERWRITE = FaultKind.RACE_READ, FaultKind.RACE_WRITE, FaultKind.RACE_OVERWRITE


def launched(kernel, code="llvm", *, block=64, grid=1, **options):
    """The fault of a kernel on two arrays of 64 floats, or None; and the remarks on it."""
    emulator = Emulator(checked=True, code=code, **options)
    try:
        emulator.launch(kernel, grid, block, np.arange(64, dtype=np.float32), np.zeros(64, np.float32))
    except KernelFault as fault:
        return fault, emulator.remarks
    return None, emulator.remarks


def line_of(kernel, mark):
    """The line of a kernel that has a comment."""
    lines, first = inspect.getsourcelines(kernel.py_func)
    (found,) = (number for number, text in enumerate(lines, first) if text.rstrip().endswith(f"# {mark}"))
    return found


@cuda.jit
def two_barriers_missing(x, y):
    first = cuda.shared.array(64, float32)
    second = cuda.shared.array(64, float32)
    i = cuda.threadIdx.x
    first[i] = x[i]  # early
    second[i] = first[(i + 2) % 64]  # use
    if i % 2:
        y[i] = second[i - 1]  # late


@codes
@pytest.mark.parametrize("order", ["forward", "reverse", "random"])
def test_the_earliest_race_is_told_even_if_another_thread_makes_it_later(code, order):
    # thread 1 races with thread 0 in the last line, before thread 2 races with thread 0 in the first one
    fault, _ = launched(two_barriers_missing, code, orders=[order])
    assert fault.line in (line_of(two_barriers_missing, "early"), line_of(two_barriers_missing, "use")), str(fault)
    assert fault.others == ()
    assert fault.array == "first"


@codes
def test_all_lines_are_told_with_keep_going(code):
    fault, _ = launched(two_barriers_missing, code, keep_going=True)
    told = {fault.line, *(other.line for other in fault.others)}
    assert told == {line_of(two_barriers_missing, mark) for mark in ("early", "use", "late")}
    assert len({(one.kind, one.line) for one in (fault, *fault.others)}) == 1 + len(fault.others)


@cuda.jit
def race_before_a_bad_index(x, y):
    places = cuda.shared.array(64, float32)
    i = cuda.threadIdx.x
    places[63 - i] = x[i]  # write
    y[int(places[i]) * 2] = 1  # index


@codes
@pytest.mark.parametrize("order", ["forward", "reverse"])
def test_a_race_is_told_rather_than_the_index_that_is_wrong_because_of_it(code, order):
    fault, _ = launched(race_before_a_bad_index, code, orders=[order])
    assert fault.kind in (READ, OVERWRITE, FaultKind.UNWRITTEN)


@cuda.jit
def faults_of_several_kinds(x, y):
    tile = cuda.shared.array(64, float32)
    i = cuda.threadIdx.x
    if i < 32:
        tile[i] = x[i]
    cuda.syncthreads()
    total = tile[i]  # unwritten
    cuda.syncthreads()
    y[0] = total  # race
    cuda.syncthreads()
    if cuda.blockIdx.x == 1:
        y[i + 60] = 1  # index
        cuda.syncthreads()
        y[1] = 2  # behind
    elif cuda.blockIdx.x == 2 and i > 3:
        cuda.syncthreads()  # barrier


@codes
def test_a_launch_goes_on_behind_faults_of_every_kind(code):
    fault, _ = launched(faults_of_several_kinds, code, grid=3, keep_going=True, orders=["forward"])
    told = {one.line: one for one in (fault, *fault.others)}
    assert set(told) == {line_of(faults_of_several_kinds, mark) for mark in ("unwritten", "race", "index", "barrier")}
    assert fault.kind is FaultKind.UNWRITTEN
    assert told[line_of(faults_of_several_kinds, "barrier")].block == (2, 0, 0)
    assert told[line_of(faults_of_several_kinds, "index")].block == (1, 0, 0)


@codes
def test_a_kernel_without_faults_ends_as_ever_with_keep_going(code):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        y[i] = x[i] + 1

    assert launched(kernel, code, keep_going=True) == (None, [])


def test_a_result_that_depends_on_the_order_is_told_with_keep_going_too():
    @cuda.jit
    def kernel(x, y):
        if cuda.atomic.add(y, 0, 1) == 0:
            y[1] = cuda.threadIdx.x

    with pytest.raises(OrderDependenceError):
        launched(kernel, keep_going=True)


@pytest.mark.parametrize("option", ["keep_going", "strict_index"])
def test_options_of_the_checked_mode_need_it(option):
    with pytest.raises(ValueError, match=f"{option}=True needs checked=True"):
        Emulator(**{option: True})


# ---- negative indices


@cuda.jit
def last_elements(x, y):
    tile = cuda.shared.array((2, 32), float32)
    local = cuda.local.array(4, float32)
    i = cuda.threadIdx.x
    tile[i // 32, i % 32] = x[-i - 1]  # x
    local[-1] = 1  # local
    cuda.syncthreads()
    y[i] = tile[-1, i % 32] + local[3]  # tile
    cuda.atomic.add(y, i - 64, 1)  # y


def test_a_negative_index_is_a_remark_and_counts_from_the_end():
    fault, remarks = launched(last_elements)
    assert fault is None
    told = {remark.array: remark for remark in remarks}
    assert set(told) == {"x", "local", "tile", "y"}
    assert all(remark.line == line_of(last_elements, name) for name, remark in told.items())
    assert "index -1 counts from the end of x, which has 64 elements" in told["x"].message
    assert all(remark.kernel == "last_elements" and remark.file == __file__ for remark in remarks)
    _, again = launched(two_barriers_missing)
    assert again == []


@codes
def test_a_negative_index_is_a_fault_with_strict_index(code):
    fault, _ = launched(last_elements, code, strict_index=True)
    assert fault.line == line_of(last_elements, "x")
    if code == "llvm":
        assert "index -1 is out of bounds for axis 0 of x" in str(fault)
    else:
        assert "4 bytes before x" in str(fault)


@codes
@pytest.mark.parametrize("strict", [False, True])
def test_an_index_below_the_beginning_is_a_fault_in_any_case(code, strict):
    @cuda.jit
    def kernel(x, y):
        y[cuda.threadIdx.x] = x[cuda.threadIdx.x - 68]

    fault, _ = launched(kernel, code, strict_index=strict)
    if code == "llvm":
        assert "index -68 is out of bounds for axis 0 of x, which has 64 elements" in str(fault)
    else:
        assert fault.kind is FaultKind.READ_OUTSIDE
        assert fault.array in ("x", "y")  # whichever lies there


@codes
def test_an_index_is_checked_in_device_functions_with_strict_index_alone(code):
    @cuda.jit(device=True)
    def last(values):
        return values[-1]

    @cuda.jit
    def kernel(x, y):
        y[cuda.threadIdx.x] = last(x)

    assert launched(kernel, code)[0] is None
    assert launched(kernel, code, strict_index=True)[0] is not None
    assert launched(kernel, code)[0] is None


@codes
def test_a_plain_read_that_a_compare_and_swap_checks_again_is_a_remark(code):
    @cuda.jit
    def kernel(x, low):
        old = low[0]  # read
        while old > x[cuda.threadIdx.x]:
            assumed = old
            old = cuda.atomic.cas(low, 0, assumed, x[cuda.threadIdx.x])
            if old == assumed:
                break

    emulator = Emulator(checked=True, code=code)
    low = np.full(1, 1000, np.int32)
    emulator.launch(kernel, 2, 64, np.arange(64, dtype=np.int32)[::-1].copy(), low)
    assert low[0] == 0
    assert [(remark.line, remark.array) for remark in emulator.remarks] == [(line_of(kernel, "read"), "low")]
    assert "a compare-and-swap compares it again" in emulator.remarks[0].message


@pytest.mark.parametrize("waits", ["grid", "flag"])
def test_waiting_for_a_thread_that_a_fault_has_ended_is_no_fault(waits):
    """A thread has ended at its fault, so its block never comes to where the others wait."""

    @cuda.jit
    def grid(x, y):
        if cuda.grid(1) == 3:
            y[0] = x[1000]  # outside
        cuda.cg.this_grid().sync()
        y[cuda.threadIdx.x] = 1

    @cuda.jit
    def flag(x, y):
        if cuda.blockIdx.x == 0:
            if cuda.threadIdx.x == 0:
                x[0] = y[1000]  # outside
                cuda.atomic.add(y, 0, 1)
        else:
            while cuda.atomic.add(y, 0, 0) == 0:
                pass

    kernel = {"grid": grid, "flag": flag}[waits]
    fault, _ = launched(kernel, block=32, grid=2, keep_going=True, orders=["forward"])
    assert (fault.kind, fault.line) == (FaultKind.INDEX, line_of(kernel, "outside"))
    assert fault.others == ()
