"""Patterns of public kernels: right ones are accepted, mistakes are told at their line; `nox -s patterns` has all."""

import pytest

from cases.patterns.table import TABLE
from convbench.emulator import compiler_fault
from runs.patterns import CODES, wrong

# one or two of each file; the session runs all
CHOSEN = (
    "loop_whose_step_becomes_zero",
    "last_warp_of_a_tree_without_syncwarp",
    "scratch_that_the_next_round_overwrites",
    "look_back_that_reads_a_prefix_without_a_fence",
    "compaction_by_ballots_with_counts_too_early",
    "consumer_whose_other_threads_do_not_wait",
    "barrier_of_blocks_without_a_barrier_of_threads",
    "work_queue_whose_item_is_shared_too_early",
    "grid_barrier_that_a_block_leaves_out",
    "two_stages_with_the_barrier_in_the_wrong_place",
    "dynamic_memory_whose_parts_overlap",
    "pairs_of_warps_with_a_barrier_each",
    "race_in_an_unrolled_loop_of_a_factory",
    "barrier_that_warps_reach_one_turn_apart",
)


@pytest.mark.parametrize("bug", [False, True], ids=["right", "faulty"])
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("name", CHOSEN)
def test_a_mistake_is_told_at_its_line_and_nothing_without_it(name, code, bug):
    if code == "ptx" and compiler_fault():
        pytest.skip(str(compiler_fault()))
    assert not wrong(TABLE[name], code, bug=bug)


def test_there_are_sixty_patterns_and_each_has_a_line_to_tell():
    assert len(TABLE) >= 60
    assert all(row.lines() for row in TABLE.values() if None not in row.kinds)
