"""Each scalar PTX instruction gives the bits of an oracle that was written from the PTX ISA alone."""

import pytest

from cases.ptx.instructions import TABLE
from support import ptx

ROWS, GROUP = 240, 40
GROUPS = [TABLE[first : first + GROUP] for first in range(0, len(TABLE), GROUP)]


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: f"{group[0]}..{group[-1]}")
def test_instructions_give_the_bits_of_the_isa(group):
    operands, found = ptx.results(group, ROWS, seed=1)
    wrong = [
        line for one, rows, row in zip(group, operands, found, strict=True) for line in ptx.differences(one, rows, row)
    ]
    assert not wrong, f"{len(wrong)} differences, of which the first are\n" + "\n".join(wrong[:12])


def test_the_table_is_large():
    assert len(TABLE) > 500
    assert len({one.text for one in TABLE}) == len(TABLE)
