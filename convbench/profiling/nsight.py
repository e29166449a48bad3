"""Nsight Compute's names of the counters, and the comparison with a real profile.

Source: NVIDIA Nsight Compute documentation, "Metrics Reference" and "Source Page". Its counters of the source page are
computed from addresses, as ours are. Its hardware counters of shared memory also count waiting in the data stage.
"""

import csv
import io
from math import isfinite
from pathlib import Path

from convbench.emulator import Counters
from convbench.errors import ConvbenchError

# Nsight Compute's name of each counter. Where it has several, the first is written.
NAMES: dict[str, tuple[str, ...]] = {
    "instructions": ("inst_executed", "smsp__inst_executed.sum", "sm__inst_executed.sum"),
    "lanes": ("thread_inst_executed", "smsp__thread_inst_executed.sum"),
    "shared_requests": ("smsp__inst_executed_op_shared.sum",),
    "wavefronts": ("memory_l1_wavefronts_shared",),
    "ideal_wavefronts": ("memory_l1_wavefronts_shared_ideal",),
    "excessive_wavefronts": ("derived__memory_l1_wavefronts_shared_excessive",),
    "global_requests": ("l1tex__t_requests_mem_global.sum",),
    "sectors": ("memory_l2_theoretical_sectors_global",),
    "ideal_sectors": ("memory_l2_theoretical_sectors_global_ideal",),
    "excessive_sectors": ("derived__memory_l2_theoretical_sectors_global_excessive",),
    "lines": ("memory_l1_tag_requests_global",),
    "local_sectors": ("memory_l2_theoretical_sectors_local",),
}  # fmt: skip
_BY_NAME = {other: name for name, others in NAMES.items() for other in others}
_KERNEL = ("Kernel Name", "Kernel", "Function Name")


def values(counters: Counters) -> dict[str, float]:
    """The counters that Nsight Compute has, too, by our names."""
    return {name: getattr(counters, name) for name in NAMES}


def read_profile(path: Path) -> dict[str, dict[str, float]]:
    """The counters of a CSV file of Nsight Compute, by kernel and our name.

    It takes `ncu --csv --page raw` and `--page source`, whose columns are metrics, and `--page details`, whose rows
    are. Several launches of a kernel are added. Raises ConvbenchError for a file that cannot be read, or that has none
    of our counters.
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise ConvbenchError(f"{path} cannot be read: {error.strerror}") from error
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("==")]
    try:
        rows = list(csv.reader(io.StringIO("\n".join(lines))))
    except csv.Error as error:
        raise ConvbenchError(f"{path} is no CSV: {error}") from error
    at = next((n for n, row in enumerate(rows) if set(row) & (set(_BY_NAME) | {"Metric Name"})), None)
    found: dict[str, dict[str, float]] = {}
    for row in rows[at + 1 :] if at is not None else []:
        cells = dict(zip(rows[at or 0], row, strict=False))
        kernel = next((cells[name] for name in _KERNEL if cells.get(name)), "")
        told = {cells["Metric Name"]: cells.get("Metric Value", "")} if "Metric Name" in cells else cells
        for name, text in told.items():
            if name in _BY_NAME and (number := _number(text)) is not None:
                mine = found.setdefault(kernel, {})
                mine[_BY_NAME[name]] = mine.get(_BY_NAME[name], 0.0) + number
    if not found:
        known = ", ".join(others[0] for others in NAMES.values())
        raise ConvbenchError(
            f"{path} has no counter of Nsight Compute that is known here: write it by `ncu --csv --page raw` "
            f"or `--page source`, with some of {known}"
        )
    return found


def _number(text: str) -> float | None:
    try:
        number = float(text.replace(",", ""))
    except ValueError:
        return None
    return number if isfinite(number) else None


def compared(counts: dict[str, Counters], path: Path) -> str:
    """A Markdown table of our counts of each kernel beside those of a file. Raises ConvbenchError without a match."""
    theirs = read_profile(path)
    lines = ["| kernel | counter | convbench | Nsight Compute | ratio |", "|:--|:--|--:|--:|--:|"]
    rows = []
    for kernel, counters in counts.items():
        names = [name for name in theirs if kernel in name] or ([""] if "" in theirs else [])
        for name in names:
            for counter, number in theirs[name].items():
                mine = values(counters)[counter]
                ratio = f"{mine / number:.3f}" if number else "–"
                rows.append(f"| {kernel} | {counter} | {mine:,.0f} | {number:,.0f} | {ratio} |")
    if not rows:
        raise ConvbenchError(
            f"{path} has no kernel of this profile: it has {', '.join(theirs)}, and this profile {', '.join(counts)}"
        )
    return "\n".join(lines + rows) + "\n"
