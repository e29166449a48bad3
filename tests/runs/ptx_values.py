"""Compare the emulator's PTX mode with the PTX ISA and with ptxas: `python -m nox -s ptx_values`.

Each scalar instruction runs on hundreds of rows of operands, edges among them, in fast and in checked mode, and some of
the rows with constants as operands, which LLVM folds. The results are compared with an oracle that was written from the
ISA alone (`cases.ptx.oracle`). ptxas assembles the rows of constants and folds what it can; what it folds is compared,
too. Exit status 1 if anything differs without a reason in REASONS. The table goes to reports/emulator/ptx_values.csv.
"""

import argparse
import re
import struct
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
from cuda.bindings import nvjitlink

from cases.ptx import oracle
from cases.ptx.instructions import TABLE, Scalar, rows
from convbench.inspection import toolkit
from support import ptx

FOLDER = Path(__file__).parents[2] / "reports" / "emulator"
GROUP = 40
ROWS_OF_PTXAS = 120  # rows of one module, because ptxas takes more than linear time
REASONS = {  # by a pattern of instructions: why ptxas gives another value
    r"cvt\.rni\.\w+\.f64": "ptxas folds the number next to 0.5, which is nearer to 1, to 0 (13.5.37)",
    r"fns\.b32": "ptxas folds a distance of -2**31 to 0 (13.5.37); the ISA's loop finds nothing",
}
_STORE = re.compile(r"STG\.E(?:\.(?:U16|64|128))? desc\[\w+\]\[R\d+\.64(?:\+(0x[0-9a-f]+))?\], (R\d+|RZ)")
_LINE = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(.*?);")


def main(arguments: list[str] | None = None) -> int:
    """Run, write the table and print what differs. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=400, help="rows of each instruction on the emulator")
    parser.add_argument("--constant-rows", type=int, default=60, help="rows of each with constants as operands")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=FOLDER)
    asked = parser.parse_args(arguments)
    start, lines, failed = time.perf_counter(), [], False
    for first in range(0, len(TABLE), GROUP):
        group = TABLE[first : first + GROUP]
        operands, found = ptx.results(group, asked.rows, asked.seed)
        _, watched = ptx.results(group, asked.rows, asked.seed, checked=True)
        few = [rows(one, asked.constant_rows, asked.seed) for one in group]
        flat = [(one, row) for one, listed in zip(group, few, strict=True) for row in listed]
        folded_here = ptx.results_of_constants(flat).reshape(len(group), asked.constant_rows)
        for number, (one, given, bits, checked) in enumerate(zip(group, operands, found, watched, strict=True)):
            wrong = [*ptx.differences(one, given, bits), *_unlike(one, given, bits, checked)]
            wrong += [f"constant: {line}" for line in ptx.differences(one, few[number], folded_here[number])]
            folded, other = _against_ptxas(one, asked.constant_rows, asked.seed)
            reason = next((why for name, why in REASONS.items() if re.fullmatch(name, str(one))), "")
            failed |= bool(wrong) or (bool(other) and not reason)
            for line in [*wrong[:3], *(f"ptxas: {line}" for line in other[:3])]:
                print(line, flush=True)
            lines.append(
                (str(one), len(given), asked.constant_rows, len(wrong), folded, len(other), reason if other else "")
            )
    columns = ["instruction", "rows", "constants", "differ", "folded_by_ptxas", "differ_from_ptxas", "reason"]
    table = pd.DataFrame(lines, columns=columns)
    asked.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(asked.out / "ptx_values.csv", index=False)
    print(
        f"{len(table)} instructions, {table.rows.sum():,} rows in each mode, {table.constants.sum():,} of constants: "
        f"{table.differ.sum()} differ from the oracle; ptxas folds {table.folded_by_ptxas.sum():,}, of which "
        f"{table.differ_from_ptxas.sum()} differ; {time.perf_counter() - start:.0f} s"
    )
    return int(failed)


def _unlike(one: Scalar, given: list[tuple[int, ...]], fast: Iterable[int], checked: Iterable[int]) -> list[str]:
    """The rows whose result in checked mode is another."""
    return [
        f"{one}: {', '.join(f'{value:#x}' for value in row)}: {a:#x}, and {b:#x} in checked mode"
        for row, a, b in zip(given, map(int, fast), map(int, checked), strict=True) if a != b
    ]  # fmt: skip


def _against_ptxas(one: Scalar, count: int, seed: int) -> tuple[int, list[str]]:
    """How many rows ptxas folds, and those whose folded value is not the oracle's."""
    operands, folded, wrong = rows(one, count, seed), 0, []
    for first in range(0, count, ROWS_OF_PTXAS):
        part = operands[first : first + ROWS_OF_PTXAS]
        for row, bits in _folded(one, part):
            folded += 1
            wrong += ptx.differences(one, [row], [bits])
    return folded, wrong


def _folded(one: Scalar, part: list[tuple[int, ...]]) -> Iterator[tuple[tuple[int, ...], int]]:
    """The rows that ptxas folds, with the bits that it stores."""
    width = oracle.width(one.kinds[0])
    try:
        code = _assembled(ptx.constants([(one, row) for row in part]))
    except nvjitlink.nvJitLinkError as error:
        raise SystemExit(f"ptxas refuses {one.text}: {error}") from error
    values = _constants(code)
    for number, row in enumerate(part):
        words = [values.get(8 * number), values.get(8 * number + 4)]
        if words[0] is not None and (width < 64 or words[1] is not None):
            yield row, (words[0] & ((1 << min(width, 32)) - 1)) | (words[1] << 32 if width == 64 else 0)


def _assembled(text: str) -> str:
    """The machine code that ptxas, inside nvJitLink, makes of PTX."""
    options = ["-arch=sm_90", "-O3"]
    handle = nvjitlink.create(len(options), options)
    try:
        data = text.encode()
        nvjitlink.add_data(handle, nvjitlink.InputType.PTX, data, len(data), "k.ptx")
        nvjitlink.complete(handle)
        cubin = bytearray(nvjitlink.get_linked_cubin_size(handle))
        nvjitlink.get_linked_cubin(handle, cubin)
    finally:
        nvjitlink.destroy(handle)
    return toolkit.disassemble(bytes(cubin))


def _constants(sass: str) -> dict[int, int]:
    """The words that the code stores and that are constants, by offset; nothing if the code branches."""
    lines = _LINE.findall(sass)
    code = lines[: next((n for n, line in enumerate(lines) if line.startswith("EXIT")), len(lines))]
    if any(re.match(r"(@\S+ )?(BRA|CALL|BSYNC|BSSY)", line) for line in code):
        return {}
    known: dict[str, int] = {"RZ": 0, "URZ": 0}
    found: dict[int, int] = {}
    for line in code:
        if match := _STORE.match(line):
            place, register = int(match[1] or "0", 16), match[2]
            words = 2 if ".64" in line.split(" ")[0] else 4 if ".128" in line else 1
            for word in range(words):
                name = register if register == "RZ" else f"R{int(register[1:]) + word}"
                if name in known:
                    found[place + 4 * word] = known[name]
                else:
                    found.pop(place + 4 * word, None)
            continue
        for target in _written(line):
            known.pop(target, None)
        known.update(_assigned(line, known))
    return found


def _written(line: str) -> list[str]:
    """The registers that an instruction may write: the first operand, and for 64 bits the next one."""
    match = re.match(r"(?:@\S+ )?\S+ (U?R\d+)", line)
    if not match:
        return []
    name = match[1]
    prefix, number = name.rstrip("0123456789"), int(name.lstrip("UR"))
    is_wide = re.search(r"\.(64|128|WIDE)|^D|F2F|F2I|I2F|CS2R", line)
    return [f"{prefix}{number + more}" for more in range(4 if is_wide else 1)]


def _assigned(line: str, known: dict[str, int]) -> dict[str, int]:
    """The registers that an instruction sets to constants."""
    if match := re.fullmatch(r"U?MOV (U?R\d+), (\S+)\s*", line):
        value = _word(match[2], known)
        return {} if value is None else {match[1]: value}
    if match := re.fullmatch(r"IMAD\.(?:MOV(?:\.U32)?|U32) (R\d+), RZ, RZ, (\S+)\s*", line):
        value = _word(match[2], known)
        return {} if value is None else {match[1]: value}
    if match := re.fullmatch(r"HFMA2(?:\.MMA)? (R\d+), -RZ, RZ, (\S+), (\S+)\s*", line):
        halves = [_half(text) for text in match.groups()[1:]]
        return {} if None in halves else {match[1]: halves[0] << 16 | halves[1]}  # type: ignore[operator]
    if match := re.fullmatch(r"CS2R R(\d+), SRZ\s*", line):
        return {f"R{int(match[1]) + more}": 0 for more in range(2)}
    if match := re.fullmatch(r"CS2R\.32 R(\d+), SRZ\s*", line):
        return {f"R{match[1]}": 0}
    return {}


def _word(text: str, known: dict[str, int]) -> int | None:
    if text in known:
        return known[text]
    try:
        return int(text, 0) & 0xFFFFFFFF
    except ValueError:
        return None


def _half(text: str) -> int | None:
    """The bits of a float16 as the disassembler writes it; NaNs are left out."""
    signs = {"+INF": 0x7C00, "INF": 0x7C00, "-INF": 0xFC00, "-0": 0x8000}
    if text in signs:
        return signs[text]
    try:
        return int.from_bytes(struct.pack("<e", float(text)), "little")
    except (ValueError, OverflowError):
        return None


if __name__ == "__main__":
    sys.exit(main())
