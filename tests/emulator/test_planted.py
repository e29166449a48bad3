"""The checked mode reports every planted bug, by kind, line and array, and nothing in the same kernel without it."""

from pathlib import Path

import pytest

from cases.planted import copies as planted_copies  # noqa: F401
from cases.planted import fences as planted_fences  # noqa: F401  (enters its kernels into the table)
from cases.planted import global_races as planted_global_races  # noqa: F401
from cases.planted import indices as planted_indices  # noqa: F401
from cases.planted import memory as planted_memory  # noqa: F401
from cases.planted import pointers as planted_pointers  # noqa: F401
from cases.planted import races as planted_races  # noqa: F401
from cases.planted import turns as planted_turns  # noqa: F401
from cases.planted import unset as planted_unset  # noqa: F401
from cases.planted import waits as planted_waits  # noqa: F401
from cases.planted import warpgroups as planted_warpgroups  # noqa: F401
from cases.planted.bugs import TABLE
from convbench.emulator import Emulator, KernelFault, Order
from convbench.emulator.orders import ORDERS

CHECKED: dict[tuple[Order, bool], Emulator] = {
    (order, strict): Emulator(checked=True, budget=10_000, orders=[order], seed=5, strict_index=strict)
    for order in ORDERS
    for strict in (False, True)
}

rows = pytest.mark.parametrize("name", TABLE)


@rows
def test_a_planted_bug_is_reported_where_it_is(name):
    row = TABLE[name]
    with pytest.raises(KernelFault) as caught:
        row.launch(CHECKED["forward", row.strict_index], bug=True)
    fault = caught.value
    file = Path((row.beside or row.make).__code__.co_filename)
    assert (fault.kind, Path(fault.file), fault.line) == (row.kind, file, row.line()), str(fault)
    assert (fault.kernel, fault.array) == ("kernel", row.array), str(fault)
    assert row.block in (None, fault.block), str(fault)
    assert row.thread in (None, fault.thread), str(fault)


@rows
def test_the_same_kernel_without_the_bug_runs_clean(name):
    row = TABLE[name]
    row.launch(CHECKED["forward", row.strict_index], bug=False)


@rows
@pytest.mark.parametrize("order", ["reverse", "random"])
def test_a_planted_bug_is_found_in_every_order(name, order):
    row = TABLE[name]
    with pytest.raises(KernelFault) as caught:
        row.launch(CHECKED[order, row.strict_index], bug=True)
    assert caught.value.kind in row.others, str(caught.value)
