"""Orders of threads and blocks, the comparison of runs in different orders, and the cache of compilations."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import cuda

from convbench.emulator import Emulator, OrderDependenceError
from convbench.emulator.arguments import Arguments, Passed
from convbench.emulator.building import Cache
from convbench.emulator.orders import ORDERS, Repetition, permutation
from convbench.emulator.ranges import WrittenMemory

counts = st.integers(0, 200)


@given(counts, st.sampled_from(ORDERS), st.integers(0, 5))
def test_every_order_has_every_number_once(count, order, seed):
    found = permutation(count, order, seed)
    assert sorted(found) == list(range(count))
    assert found.dtype == np.int64
    assert found.flags.c_contiguous


@given(counts)
def test_the_orders_are_what_they_are_called(count):
    assert permutation(count, "forward", 0).tolist() == list(range(count))
    assert permutation(count, "reverse", 0).tolist() == list(reversed(range(count)))


def test_a_seed_stands_for_one_random_order():
    assert permutation(50, "random", 1).tolist() == permutation(50, "random", 1).tolist()
    assert permutation(50, "random", 1).tolist() != permutation(50, "random", 2).tolist()


# ---- repeated runs


def repetition(*arrays, memory=None):
    passed = [Passed(name, array, 0) for name, array in zip("xyz", arrays, strict=False)]
    return Repetition("kernel", Arguments(np.empty(0, np.int64), passed), memory or WrittenMemory())


def test_every_run_begins_with_what_was_there_and_the_first_result_is_kept():
    x, seen = np.arange(4.0), []

    def run():
        seen.append(x.tolist())
        x[...] += 1

    with repetition(x) as runs:
        runs.first("forward", run)
        runs.again("reverse", run)
        runs.again("random", run)
    assert seen == [[0, 1, 2, 3]] * 3
    assert x.tolist() == [1, 2, 3, 4]


def repeat(runs, first, second):
    """Two runs. The second one may differ."""
    with runs:
        runs.first("forward", first)
        runs.again("reverse", second)


def test_a_difference_names_array_element_and_both_values():
    x, y = np.zeros(3), np.zeros((2, 3), np.float32)
    with pytest.raises(OrderDependenceError) as caught:
        repeat(repetition(x, y), lambda: y.__setitem__((1, 2), 1), lambda: y.__setitem__((1, 2), 2))
    assert str(caught.value) == (
        "kernel: the result depends on the order of threads: y[1, 2] is np.float32(1.0) with threads and blocks "
        "in forward order, and np.float32(2.0) in reverse order"
    )
    assert y[1, 2] == 1


@pytest.mark.parametrize(("first", "second"), [(0.0, -0.0), (1.0, np.nan)])
def test_values_are_compared_bit_by_bit(first, second):
    y = np.ones(1)
    with pytest.raises(OrderDependenceError):
        repeat(repetition(y), lambda: y.fill(first), lambda: y.fill(second))


def test_equal_nans_are_equal():
    y = np.ones(1)
    repeat(repetition(y), lambda: y.fill(np.nan), lambda: y.fill(np.nan))
    assert np.isnan(y[0])


def test_what_nobody_had_written_before_the_first_run_nobody_has_before_the_others():
    memory, y, seen = WrittenMemory(), np.zeros(2, np.uint8), []
    memory.forget(y)

    def run():
        seen.append(memory.map_of(y).tolist())
        memory.wrote(y)

    repeat(repetition(y, memory=memory), run, run)
    assert seen == [[0, 0], [0, 0]]


def test_memory_that_is_read_only_is_left_alone():
    x = np.zeros(2)
    x.flags.writeable = False
    repeat(repetition(x), lambda: None, lambda: None)
    assert not x.any()


# ---- the cache


def test_what_was_not_used_for_longest_goes_first():
    cache, made = Cache(kept=2), []

    def get(key):
        return cache.get(key, lambda: made.append(key) or key.upper())

    assert [get(key) for key in "ababcaacb"] == list("ABABCAACB")
    # b goes for c, and comes back where a goes for it
    assert made == ["a", "b", "c", "a", "b"]


@given(st.lists(st.integers(0, 6), max_size=40), st.integers(1, 4))
def test_a_cache_holds_the_last_that_were_used(keys, kept):
    cache: Cache[int] = Cache(kept)
    for number, key in enumerate(keys):
        recent = list(dict.fromkeys(reversed(keys[:number])))[:kept]
        made = []
        cache.get(key, lambda made=made, key=key: made.append(key) or key)
        assert (not made) == (key in recent)


def test_what_could_not_be_made_is_asked_for_again():
    cache: Cache[int] = Cache(kept=2)
    with pytest.raises(ZeroDivisionError):
        cache.get("a", lambda: 1 // 0)
    assert cache.get("a", lambda: 2) == 2


@cuda.jit
def twice(x, y):
    i = cuda.grid(1)
    y[i] = 2 * x[i]


@pytest.mark.parametrize("long_s", [0, 1000])
def test_what_a_launch_wrote_counts_as_written_however_the_other_orders_ran(monkeypatch, long_s):
    """After a long first run the others are not watched, and mark nothing."""
    monkeypatch.setattr(sys.modules["convbench.emulator.launch"], "LONG_S", long_s)
    emulator, x, y, z = Emulator(checked=True), np.ones(8, np.float32), np.empty(8, np.float32), np.empty(8, np.float32)
    emulator.forget(y)
    emulator.launch(twice, 1, 8, x, y)
    emulator.launch(twice, 1, 8, y, z)
    assert z.tolist() == [4] * 8


def test_runs_of_other_code_are_compared_with_each_other():
    """Sums of the code without checks may be fused in another way. The result is that of the first run."""
    y = np.zeros(2)

    def run(value):
        assert y.tolist() == [0, 0]
        y[:] = value

    arguments = Arguments([], [Passed("y", y, -1)])
    with Repetition("kernel", arguments, WrittenMemory()) as repetition:
        repetition.first("forward", lambda: run(1))
        repetition.other_code(lambda: run(2))
        repetition.again("reverse", lambda: run(2))
        with pytest.raises(OrderDependenceError, match=r"y\[0\] is .*2.* in forward order, and .*1.* in random order"):
            repetition.again("random", lambda: run(1))
    assert y.tolist() == [1, 1]


@pytest.mark.parametrize(("long_s", "runs"), [(0, [True, False, False, False]), (1000, [True, True, True])])
def test_after_a_long_run_the_first_order_runs_without_checks_too(monkeypatch, long_s, runs):
    module = sys.modules["convbench.emulator.launch"]
    monkeypatch.setattr(module, "LONG_S", long_s)
    launches = []

    class Noted(module.OneLaunch):
        def run(self, order, seed):
            launches.append((order, self.compiled.watch is not None))
            return super().run(order, seed)

    monkeypatch.setattr(module, "OneLaunch", Noted)
    x, y = np.ones(8, np.float32), np.zeros(8, np.float32)
    Emulator(checked=True).launch(twice, 1, 8, x, y)
    assert [checked for _, checked in launches] == runs
    assert [order for order, _ in launches] == (["forward"] * (len(runs) - 2) + ["reverse", "random"])


# ---- print


@cuda.jit
def prints(x):
    print(cuda.threadIdx.x, x[0])


@pytest.mark.parametrize("checked", [True, False])
def test_a_kernel_prints_once_however_often_a_launch_is_repeated(capsys, checked):
    Emulator(checked=checked, orders=ORDERS, workers=None if checked else 2).launch(
        prints, 1, 2, np.full(1, 5, np.int64)
    )
    assert capsys.readouterr().out == "0 5\n1 5\n"
    Emulator(checked=checked).launch(prints, 1, 1, np.full(1, 6, np.int64))
    assert capsys.readouterr().out == "0 6\n", "a later launch prints again"


# ---- records

PADDED = np.dtype([("flag", np.int8), ("value", np.float64), ("pair", np.dtype("i2,i4", align=True), (2,))], align=True)


@cuda.jit
def fill_records(records, other):
    i = cuda.grid(1)
    records[i].flag = 1
    records[i].value = other * i


@cuda.jit
def last_record(records, other):
    records[0].value = cuda.blockIdx.x


def test_the_padding_of_records_is_no_result():
    records = np.zeros(8, PADDED)
    records.view(np.uint8)[:] = np.arange(8 * PADDED.itemsize) % 251
    Emulator(checked=True).launch(fill_records, 2, 4, records, 2.0)
    assert records["value"].tolist() == [2.0 * i for i in range(8)]


def test_a_field_beside_padding_is_a_result():
    with pytest.raises(OrderDependenceError, match="records"):
        Emulator(orders=("forward", "reverse"), workers=1).launch(last_record, 2, 1, np.zeros(2, PADDED), 2.0)


# ---- lanes


@cuda.jit
def active_lanes(masks, other):
    i = cuda.threadIdx.x
    if i < other:
        masks[i] = cuda.activemask()


def test_activemask_names_the_lanes_that_are_there():
    masks = np.zeros(40, np.uint32)
    Emulator(checked=True).launch(active_lanes, 1, 40, masks, 35)
    assert masks.tolist() == [0xFFFFFFFF] * 32 + [0b111] * 3 + [0] * 5
