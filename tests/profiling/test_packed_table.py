"""The committed table of packed multiply-adds is the reason why they are the default: none of its rows is slower."""

import re
from pathlib import Path

import pytest

from algorithms.pairs import packed_on
from runs.packed import ALGORITHMS, COLUMNS, KERNELS, LAYERS

TEXT = (Path(__file__).parents[2] / "reports" / "predicted" / "packed.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line.startswith("| n")]


def test_the_packed_kernel_of_every_layer_of_resnet_is_predicted_to_be_faster():
    assert COLUMNS[0] in TEXT
    assert {row[0] for row in ROWS} == set(LAYERS)
    assert {row[1] for row in ROWS} == set(ALGORITHMS)
    assert {row[2] for row in ROWS} == set(KERNELS)
    for row in ROWS:
        without, packed, gain, run_without, run_packed = (
            float(row[column].replace(",", "")) for column in (3, 4, 5, 8, 9)
        )
        assert gain == pytest.approx(without / packed, abs=0.02)
        assert gain > 1 or (gain == 1 and row[0] == LAYERS[0])  # latencies limit the small layer
        assert run_packed <= run_without


def test_the_rule_states_the_figures_of_the_table():
    gains = [float(row[5]) for row in ROWS]
    told = re.sub(r"\s+", " ", packed_on.__doc__)
    assert f"{min(gains):.2f} to {max(gains):.2f} times as fast" in told
    assert "predicted for NVIDIA B200, not measured" in told
    assert "All times are predicted for NVIDIA B200, not measured" in re.sub(r"\s+", " ", TEXT)
