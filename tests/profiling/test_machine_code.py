"""Counts beside the machine code: which differences are explained, and how."""

import pytest

from convbench.emulator import Counters, InstructionProfile, Profile
from convbench.profiling import machine_code


def instruction(opcode, times, width=0, **counts):
    counters = Counters(instructions=times, lanes=32 * times, **counts)
    return InstructionProfile(f"{opcode};", opcode, "", 0, "", 1, "", width, opcode.startswith("st"), counters)


def profile_of(*instructions):
    return Profile("kernel", (1, 1, 1), (32, 1, 1), 0, 1, list(instructions))


FMA = instruction("fma.rn.f32", 800)


@pytest.mark.parametrize(
    ("loads", "machine", "told"),
    [
        ([(100, 16)], {("shared load", 16): 1}, [(16, 100, 100, "")]),
        ([(101, 16)], {("shared load", 16): 1}, [(16, 100, 101, "")]),
        (
            [(400, 4)],
            {("shared load", 16): 1},
            [(4, 0, 400, "merged neighbours"), (16, 100, 0, "merged neighbours")],
        ),
        ([(400, 4)], {("shared load", 4): 2}, [(4, 200, 400, "removed some")]),
        ([(400, 4)], {("shared load", 4): 5}, [(4, 500, 400, "skip it by a branch")]),
        ([(400, 4)], {}, [(4, 0, 400, "moved it out of the loop")]),
    ],
)
def test_a_difference_is_explained(loads, machine, told):
    counted = [instruction("ld.shared.f32", 400, width, shared_requests=times) for times, width in loads]
    counted = [
        InstructionProfile(**{**vars(i), "counters": Counters(instructions=times, shared_requests=times)})
        for i, (times, _) in zip(counted, loads, strict=True)
    ]
    hot = instruction("fma.rn.f32", 200)
    rows = machine_code.compare(profile_of(hot, *counted), machine, made=2.0)
    assert [(row.width, row.machine, row.counted) for row in rows] == [row[:3] for row in told]
    for row, (*_, why) in zip(rows, told, strict=True):
        assert why in row.why
        assert bool(row.why) == bool(why)


def test_without_a_loop_of_multiply_adds_nothing_is_compared():
    assert machine_code.compare(profile_of(FMA), {("shared load", 4): 1}, made=0.0) == []
    assert "No kernel has a loop" in machine_code.to_markdown([])


def test_a_pair_of_products_counts_as_two_multiply_adds():
    """100 pairs are 100 passes of a loop that makes two multiply-adds."""
    hot, load = instruction("fma.rn.f32x2", 100), instruction("ld.shared.f32", 100, 16, shared_requests=100)
    (row,) = machine_code.compare(profile_of(hot, load), {("shared load", 16): 1}, made=2.0)
    assert (row.machine, row.counted, row.why) == (100, 100, "")
