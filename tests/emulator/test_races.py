"""The race detector agrees with an oracle of CUDA's rules: no missed race and no false alarm, in any order."""

import numpy as np
import pytest
from hypothesis import example, given, settings

from cases import happens_before as hb
from cases.planted.bugs import RACES
from convbench.emulator import Emulator, FaultKind, KernelFault
from convbench.emulator.orders import ORDERS

EMULATORS = {order: Emulator(checked=True, orders=[order], seed=3) for order in ORDERS}


def reported(program: hb.Program, emulator: Emulator) -> FaultKind | None:
    """The faults that the checked mode reports for a program."""
    memory, fresh = np.ones(hb.CELLS, np.int32), np.zeros(hb.CELLS, np.int32)
    out = np.zeros(program.blocks * program.threads, np.int64)
    emulator.forget(fresh)
    try:
        emulator.launch(hb.interpret, program.blocks, program.threads, *program.tables(), memory, fresh, out)
    except KernelFault as fault:
        return FaultKind(fault.kind)
    return None


def shared(thread: int, kind: int) -> hb.Access:
    return hb.Access(thread, kind, hb.SHARED, 0)


START = shared(0, hb.WRITE), hb.Barrier(0)
# what an earlier detector missed: the second atomic hid the plain access before the first
HIDDEN_WRITE = hb.Program(1, 33, (*START, *map(shared, (0, 0, 1), (hb.WRITE, hb.ATOMIC, hb.ATOMIC))))
HIDDEN_ATOMIC = hb.Program(1, 33, (*START, *map(shared, (0, 1, 1), (hb.ATOMIC, hb.ATOMIC, hb.READ))))
# … reads of shared memory in every block but the first
SECOND_BLOCK = hb.Program(
    2, 2, (*START, shared(2, hb.WRITE), hb.Barrier(1), shared(1, hb.READ), shared(2, hb.READ), shared(3, hb.WRITE))
)
# … and atomics on shared memory that nobody had written
GARBAGE = hb.Program(1, 33, (shared(0, hb.ATOMIC),))


@pytest.mark.parametrize("order", ORDERS)
@given(program=hb.programs())
@example(HIDDEN_WRITE)
@example(HIDDEN_ATOMIC)
@example(SECOND_BLOCK)
@example(GARBAGE)
@settings(max_examples=300)
def test_a_program_is_reported_exactly_if_it_is_wrong(order, program):
    race, garbage = hb.has_race_and_garbage(program)
    kind = reported(program, EMULATORS[order])
    allowed = (RACES if race else set()) | ({FaultKind.UNWRITTEN} if garbage else set()) or {None}
    assert kind in allowed, f"{kind} is reported, {allowed} is true"
