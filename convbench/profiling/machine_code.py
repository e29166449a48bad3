"""Check counts against the machine code: the assembler may merge, move or remove what the PTX has.

For each kind of access in the hot loop, the machine code tells how many a warp makes in one pass. The number of passes
follows from the multiply-adds: those that were counted, divided by those of one pass. The product of both is compared
with the accesses that were counted in the PTX of the loop.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from convbench.emulator import InstructionProfile, Profile
from convbench.inspection import sass, toolkit
from convbench.profiling.predicted import code_of
from convbench.profiling.runs import ProfiledLaunch, ProfiledPlan

SAME = 0.01  # difference that counts as agreement
_HOT = 0.5  # of the executions of the most frequent multiply-add, from which on an instruction is in the hot loop
Kind = tuple[str, int]  # shared load, global store, …; bytes of a lane

_OF_MACHINE = {
    "LDS": "shared load", "STS": "shared store", "LDSM": "matrix load", "STSM": "matrix store", "LDG": "global load",
    "LD": "global load", "STG": "global store", "ST": "global store", "LDGSTS": "copy", "ATOMS": "shared atomic",
    "ATOM": "global atomic", "ATOMG": "global atomic", "RED": "global atomic", "REDG": "global atomic",
    "LDL": "local load", "STL": "local store",
}  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """One kind of access in the hot loop of a kernel, as the machine code has it and as it was counted."""

    kernel: str
    kind: str
    width: int
    machine: float  # accesses of all warps
    counted: float
    why: str  # an explanation of the difference; "" if there is none

    @property
    def difference(self) -> float:
        """The difference, relative to the machine code."""
        return self.counted / self.machine - 1 if self.machine else float("inf")


def check(found: ProfiledPlan) -> list[Comparison]:
    """Compare all kernels of a plan. Raises DeviceError if the disassembler is missing."""
    rows: list[Comparison] = []
    seen = set()
    for launch in found.launches:
        key = launch.kernel, launch.types, launch.profile.total
        if key not in seen:
            seen.add(key)
            rows += _compared(launch, found)
    return rows


def _compared(launch: ProfiledLaunch, found: ProfiledPlan) -> list[Comparison]:
    compiled = code_of(launch, found.architecture)
    code = sass.read(toolkit.disassemble(compiled.cubin), compiled.entry)
    machine, made = _of_loop(code)
    return compare(launch.profile, machine, made)


def _of_loop(code: sass.Code) -> tuple[dict[Kind, float], float]:
    """The accesses of one pass of a warp through the hot loop, and its multiply-adds; 0 without a loop that has any."""
    accesses: Counter[Kind] = Counter()
    for each in code.hot:
        if each.bytes and each.base in _OF_MACHINE:
            accesses[_OF_MACHINE[each.base], each.bytes] += 1
    products = sum(
        each.multiply_adds for each in code.hot if not each.is_tensor and each.base in ("FFMA", "FFMA2", "DFMA")
    )
    return dict(accesses), products if code.hot_loop is not None else 0.0


def compare(profile: Profile, machine: dict[Kind, float], made: float) -> list[Comparison]:
    """Compare the accesses of one pass in the machine code, which makes `made` multiply-adds, with a profile."""
    fused = [i for i in profile.instructions if i.opcode.startswith("fma.")]
    if not made or not fused:
        return []
    most = max(i.counters.instructions for i in fused)
    hot = [i for i in profile.instructions if i.counters.instructions >= _HOT * most]
    passes = sum(i.counters.instructions * i.numbers for i in hot if i.opcode.startswith("fma.")) / made
    counted: dict[Kind, float] = defaultdict(float)
    for i in hot:
        if kind := _kind(i):
            counted[kind, i.width] += i.counters.instructions
    rows = []
    for kind, width in sorted({*machine, *counted}):
        there, here = machine.get((kind, width), 0.0) * passes, counted[kind, width]
        why = "" if abs(here - there) <= SAME * max(here, there) else _why(kind, passes, machine, counted)
        rows.append(Comparison(profile.kernel, kind, width, there, here, why))
    return rows


def _kind(i: InstructionProfile) -> str:
    """The kind of access of an instruction of PTX; "" if it makes none that is counted."""
    c, name = i.counters, i.opcode.partition(".")[0]
    if name == "cp" and c.global_requests + c.shared_requests:
        return "copy"
    if name in ("ldmatrix", "stmatrix"):
        return "matrix load" if name == "ldmatrix" else "matrix store"
    space = "shared" if c.shared_requests else "global" if c.global_requests else "local" if c.local_requests else ""
    if not space:
        return ""
    return f"{space} {'atomic' if name in ('atom', 'red') else 'store' if i.is_store else 'load'}"


def _why(kind: str, passes: float, machine: dict[Kind, float], counted: dict[Kind, float]) -> str:
    """What the assembler did with accesses of a kind whose numbers differ."""
    there = sum(number * passes * width for (name, width), number in machine.items() if name == kind)
    here = sum(number * width for (name, width), number in counted.items() if name == kind)
    if there and abs(here - there) <= SAME * max(here, there):
        return "the assembler merged neighbours, or split them: the bytes are the same"
    if not there:
        return "the assembler moved it out of the loop, or the loop of the machine is another one"
    if there < here:
        return "the assembler removed some, or moved them out of the loop"
    return "some passes skip it by a branch, or the assembler has added some"


def to_markdown(rows: Sequence[Comparison]) -> str:
    """A table of all comparisons."""
    head = "## Accesses of the hot loop, and its machine code\n\n"
    if not rows:
        return f"{head}No kernel has a loop of multiply-adds whose accesses could be compared with the machine code.\n"
    lines = [f"{head}| kernel | access | bytes | in the machine code | counted | difference | why |"]
    lines.append("|:--|:--|--:|--:|--:|--:|:--|")
    for row in rows:
        share = f"{row.difference:+.1%}" if row.machine else "–"
        numbers = f"{row.machine:,.0f} | {row.counted:,.0f} | {share}"
        lines.append(f"| {row.kernel} | {row.kind} | {row.width} | {numbers} | {row.why} |")
    return "\n".join(lines) + "\n"
