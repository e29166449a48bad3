"""Mutants that were written by hand are of the kernels as they are, and those of a pipeline are found at its ends."""

import csv

import numpy as np
import pytest

from algorithms.gemm import Tile, launch_batched_gemm
from cases.algorithm_mutants import BEYOND, MODULES, mutated
from cases.mutants_by_hand import KINDS, REACHED, every
from convbench.devices.emulator import EmulatorDevice
from convbench.errors import ConvbenchError
from runs.mutation_by_hand import write

ROWS = list(every())
OF_PIPELINES = [
    row for row in ROWS if row.place.module == "algorithms.gemm.batched" and row.kind == "waits and commits"
]


def test_there_are_a_hundred_of_every_kind_and_of_the_modules_without_others():
    assert len(ROWS) >= 100
    assert {row.kind for row in ROWS} == KINDS
    assert {row.place.module for row in ROWS} <= MODULES.keys() | REACHED.keys()
    assert REACHED.keys() == BEYOND


def test_every_mutant_is_another_kernel_of_its_own():
    made = {(row.place.module, row.place.function, row.place.mutant.expression, row.new) for row in ROWS}
    assert len(made) == len(ROWS)
    for row in ROWS:
        (definition,) = row.place.mutant.tree.body
        assert definition.name == row.place.function


@pytest.mark.parametrize("row", OF_PIPELINES, ids=lambda row: row.name)
def test_a_pipeline_of_some_length_shows_a_wrong_wait_or_commit(row):
    """With three or four stages, at depths that end between one tile and two, and behind the last stage."""

    def fails(stages: int, depth: int) -> bool:
        u, v, m = (np.ones(shape, np.float32) for shape in ((1, depth, 32), (1, depth, 32), (1, 5, 32)))
        device = EmulatorDevice(checked=True)
        arrays = [device.upload(array) for array in (u, v, m)]
        try:
            launch_batched_gemm(device, *arrays, tile=Tile(stages=stages))
        except ConvbenchError:
            return True
        return not (device.download(arrays[2]) == depth).all()

    with mutated(row.place):
        assert any(fails(stages, depth) for stages in (3, 4) for depth in (9, 8 * stages + 1))


def test_the_table_counts_what_was_killed_of_each_kind(tmp_path):
    first, second = ROWS[:2]
    assert write([(first, 7), (second, None)], tmp_path, total=len(ROWS)) == 1
    assert write([(first, 7)], tmp_path, total=len(ROWS)) == 0
    (row,) = csv.DictReader((tmp_path / "mutants_by_hand.csv").read_text().splitlines())
    assert (row["mutant"], row["kind"], row["examples"]) == (first.name, first.kind, "7")
