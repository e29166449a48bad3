"""Run scalar PTX instructions on the emulator, many rows of operands at once."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from cases.ptx import oracle
from cases.ptx.instructions import Scalar, rows
from convbench.emulator import load_ptx

HEAD = ".version 9.0\n.target sm_90\n.address_size 64\n"
_NAMES = "abce"


def results(
    group: Sequence[Scalar], count: int, seed: int, *, checked: bool = False
) -> tuple[list[list[tuple[int, ...]]], npt.NDArray[np.uint64]]:
    """The operands of each instruction, and the bits that the emulator gives for each row, (instruction, row)."""
    operands = [rows(one, count, seed) for one in group]
    columns = np.zeros((len(_NAMES), len(group), count), np.uint64)
    for number, one in enumerate(group):
        for place in range(len(one.kinds) - 1):
            columns[place, number] = [row[place] for row in operands[number]]
    found = np.zeros((len(group), count), np.uint64)
    load_ptx(module(group, count))["scalars"].launch(-(-count // 128), 128, columns, found, checked=checked)
    return operands, found


def results_of_constants(rows: Sequence[tuple[Scalar, tuple[int, ...]]]) -> npt.NDArray[np.uint64]:
    """The bits that the emulator gives for some rows whose operands are constants in the code."""
    found = np.zeros(len(rows), np.uint64)
    load_ptx(constants(rows))["k"].launch(1, 1, found)
    return found


def constants(rows: Sequence[tuple[Scalar, tuple[int, ...]]]) -> str:
    """A kernel that stores the result for each row, with constants as operands."""
    registers, body = [], []
    for number, (one, row) in enumerate(rows):

        def load(place: int, bits: int, name: str, row: tuple[int, ...] = row) -> str:
            return f"mov.b{bits} {name}, {row[place]:#x};"

        declared, lines = statements(one, number, 8 * number, load)
        registers += declared
        body += lines
    listed = "\n".join([".reg .b64 %out;", *registers, "ld.param.u64 %out, [out];", *body])
    return f"{HEAD}\n.visible .entry k(.param .u64 out)\n{{\n{listed}\nret;\n}}\n"


def module(group: Sequence[Scalar], count: int) -> str:
    """A kernel whose thread i does row i of each instruction."""
    registers, body = [], []
    for number, one in enumerate(group):

        def load(place: int, bits: int, name: str, number: int = number) -> str:
            return f"ld.global.b{bits} {name}, [%in+{(place * len(group) + number) * count * 8}];"

        declared, lines = statements(one, number, number * count * 8, load)
        registers += declared
        body += lines
    return f"""{HEAD}
.visible .entry scalars(.param .u64 in, .param .u64 out)
{{
    .reg .b64 %in, %out, %at; .reg .b32 %t, %n, %b, %i; .reg .pred %p;
    {" ".join(registers)}
    ld.param.u64 %in, [in]; ld.param.u64 %out, [out];
    mov.u32 %t, %tid.x; mov.u32 %n, %ntid.x; mov.u32 %b, %ctaid.x;
    mad.lo.s32 %i, %b, %n, %t;
    setp.ge.u32 %p, %i, {count};
    @%p ret;
    mul.wide.u32 %at, %i, 8;
    add.u64 %in, %in, %at; add.u64 %out, %out, %at;
    {chr(10).join(body)}
    ret;
}}
"""


def statements(
    one: Scalar, number: int, offset: int, give: Callable[[int, int, str], str]
) -> tuple[list[str], list[str]]:
    """Declarations and statements for one row: `give` writes an operand, and the result is stored at an offset."""
    registers, body, names = [], [], {}
    for place, kind in enumerate(one.kinds):
        bits = oracle.width(kind)
        name = names["dabce"[place]] = f"%x{number}_{place}"
        registers.append(f".reg .{kind if kind in ('f32', 'f64') else f'b{bits}'} {name};")
        if place:
            body.append(give(place - 1, bits, name))
    body.append(one.text.format(**names))
    body.append(f"st.global.b{oracle.width(one.kinds[0])} [%out+{offset}], {names['d']};")
    return registers, body


def differences(one: Scalar, operands: Sequence[tuple[int, ...]], found: Iterable[int]) -> list[str]:
    """The rows whose result is not the oracle's, in words."""
    wrong = []
    kind = one.kinds[0]
    for row, bits in zip(operands, map(int, found), strict=True):
        expected = one.value(*row)
        if bits == expected:
            continue
        if one.nan and kind in oracle.FORMATS and _are_nans(kind, expected, bits):
            continue
        shown = ", ".join(f"{value:#x}" for value in row)
        wrong.append(f"{one}: {shown}: {bits:#x}, not {expected:#x}")
    return wrong


def _are_nans(kind: str, *values: int) -> bool:
    return all(oracle.is_nan(oracle.number(value, kind)) for value in values)
