"""Profile the kernels of every algorithm's default config on a few layers: reports/predicted/default_kernels.md.

python -m nox -s profiles

The run fails if a line has a bank conflict, or moves sectors beside those that it needs, and the docstring of its
kernel does not explain that. The explanation is a paragraph that begins with `EXPLAINS`.
"""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from convbench import profiling
from convbench.algorithm import registry
from convbench.emulator import CONFLICTED, UNCOALESCED, InstructionProfile, source_line
from convbench.errors import ConvbenchError
from convbench.inspection import architecture
from convbench.problem.notation import parse

LAYERS = (
    "n32c64h56w56-k64r3s3-pad1",
    "n32c96h56w56-k96r3s3-pad1-g96",
    "n32c64h56w56-k64r3s3-pad1-float16",
    "n32c64h56w56-k64r3s3-pad1-bfloat16",
)
OUT = Path("reports/predicted/default_kernels.md")
EXPLAINS = "Excess:"
PARTLY = "partly coalesced"
HEAD = """# Profiles of the default kernels

Made by `python -m nox -s profiles`. Counts are those of the emulator on the PTX for the GPU. Times are predicted for
{gpu}, not measured; [published_times.md](published_times.md) has the errors of the model. Excessive wavefronts are
those that bank conflicts add; excessive sectors are those beside the bytes used. A launch whose counts are not complete
has no time.

The last section has every line with a bank conflict, and every line that moves sectors beside those that it needs.
The docstring of each kernel explains them. An access is called uncoalesced if it moves more than twice the sectors.
"""
COLUMNS = (
    "| algorithm | kernel | predicted µs | wavefronts | excessive | sectors | excessive | bound by |",
    "|:--|:--|--:|--:|--:|--:|--:|:--|",
)
LINES = ("| kernel | line | access | why |", "|:--|:--|:--|:--|")
Line = tuple[str, str, str]  # kernel, text and access


def profiled(layer: str, name: str, chip: profiling.Chip) -> profiling.ProfiledPlan | None:
    """The profile of a default config; None if the algorithm does not compute this layer."""
    try:
        by, target = registry.get(name), architecture.get(chip.architecture)
        return profiling.profile_plan(by, parse(layer), "forward", target, blocks=16)
    except ConvbenchError:
        return None


def rows_of(name: str, plan: profiling.ProfiledPlan, chip: profiling.Chip) -> list[str]:
    times = profiling.predict_plan(plan, chip)
    rows = []
    for launch, time in zip(plan.launches, times.launches, strict=True):
        c, lacks = launch.profile.total, profiling.lacking(launch)
        bound = f"not known: {lacks}" if lacks else time.sentence.replace("|", "\\|")
        rows.append(
            f"| {name} | {launch.profile.kernel} | {'–' if lacks else f'{time.us:,.1f}'} | {c.wavefronts:,.0f} "
            f"| {c.excessive_wavefronts:,.0f} | {c.sectors:,.0f} | {c.excessive_sectors:,.0f} | {bound} |"
        )
    return list(dict.fromkeys(rows))


def explanation(kernel: Any) -> str:
    """What the docstring of a kernel says about its excess; "" if it says nothing."""
    text = inspect.cleandoc(kernel.py_func.__doc__ or "")
    found = next((part for part in text.split("\n\n") if part.startswith(EXPLAINS)), "")
    return re.sub(r"\s+", " ", found.removeprefix(EXPLAINS)).strip()


def marks_of(plan: profiling.ProfiledPlan) -> Iterator[tuple[Line, float, str]]:
    """The lines of a plan's kernels that have conflicts, or that move more sectors than they need: how bad, and why."""
    for launch in plan.launches:
        for i in launch.profile.instructions:
            c = i.counters
            found = {CONFLICTED: c.conflict} if c.excessive_wavefronts else {}
            if c.excessive_sectors:
                found[UNCOALESCED if UNCOALESCED in i.marks else PARTLY] = c.sectors / max(c.ideal_sectors, 1)
            for mark, much in found.items():
                text = source_line(i.file, i.line).replace("|", "\\|")
                yield (launch.profile.kernel, f"`{text}`", f"{access_of(i)}: {mark}"), much, explanation(launch.kernel)


def access_of(i: InstructionProfile) -> str:
    """The access of an instruction in words. An asynchronous copy has two arrays, one of them in shared memory."""
    arrays = [name for name in i.array.split(", ") if not name.startswith("_cudapy")]
    if not arrays:
        return f"{'store' if i.is_store else 'load'} of shared memory"
    kind = "copy" if i.opcode.startswith("cp.async") else "store" if i.is_store else "load"
    return f"{kind} of `{', '.join(arrays)}`"


def main() -> int:
    chip = profiling.chip("h200")
    lines, marks = [HEAD.format(gpu=chip.name)], dict[Line, tuple[float, str]]()
    for layer in LAYERS:
        lines += [f"## {layer}", "", *COLUMNS]
        for by in registry.available()[0]:
            plan = profiled(layer, by.name, chip)
            found = [] if plan is None else rows_of(by.name, plan, chip)
            print(layer, by.name, len(found), flush=True)
            lines += found
            for line, much, why in () if plan is None else marks_of(plan):
                marks[line] = max(much, marks.get(line, (0.0, ""))[0]), why
        lines.append("")
    lines += ["## Lines with conflicts, and lines that are not coalesced", "", *LINES]
    for (kernel, text, access), (much, why) in sorted(marks.items()):
        worst = f"{much:.0f}-way" if CONFLICTED in access else f"{max(much, 1.01):.3g} times the sectors"
        lines.append(f"| {kernel} | {text} | {access}, at most {worst} | {why or '**not explained**'} |")
    OUT.write_text("\n".join(lines) + "\n")
    lacking = sorted({kernel for (kernel, *_), (_, why) in marks.items() if not why})
    if lacking:
        print(f"the docstrings of these kernels do not explain their excess: {', '.join(lacking)}", file=sys.stderr)
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
