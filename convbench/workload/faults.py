"""Makes the workload of a file, with the lines that cannot be read: each is named with its number and the reason."""

from collections.abc import Sequence
from importlib.resources.abc import Traversable
from pathlib import Path

from convbench.errors import ConvbenchError
from convbench.workload.layer import Layer, printable
from convbench.workload.workload import Workload

LISTED = 20  # so many lines that cannot be read are listed; the others are counted
PLACES = 3  # so many lines of a layer are named


def assemble(
    name: str, path: Path | Traversable, source: str, layers: Sequence[Layer], faults: Sequence[ConvbenchError],
    notes: Sequence[str], *, directed: bool,
) -> Workload:  # fmt: skip
    """The workload of the layers of a file. Without a layer, it raises the first fault, or says that there is none."""
    if not layers:
        raise faults[0] if faults else ConvbenchError(f"{path}: no problem in it")
    skipped = [printable(_in_one_line(fault)) for fault in faults[:LISTED]]
    if len(faults) > LISTED:
        skipped.append(f"{len(faults) - LISTED:,} more lines of {path}; a file with only these lines says why")
    return Workload(
        name=name, source=source, layers=tuple(layers), skipped=tuple(skipped), directed=directed, notes=tuple(notes)
    )


def placed(path: Path | Traversable, number: int, error: ConvbenchError) -> ConvbenchError:
    """The same error with the file and the line in front of its message."""
    found = ConvbenchError(f"{path}, line {number}: {error}")
    found.__cause__ = error
    return found


def place(numbers: Sequence[int], unit: str = "line") -> str:
    """Where a layer stands in its file: `line 3`, `lines 3, 8`, or the first lines and an ellipsis."""
    lines = list(dict.fromkeys(numbers))
    told = ", ".join(map(str, lines[:PLACES])) + ", …" * (len(lines) > PLACES)
    return f"{unit}{'s' * (len(lines) > 1)} {told}"


def _in_one_line(fault: ConvbenchError) -> str:
    """The message of a fault without the caret under its text; both are shortened."""
    message, _, text = str(fault).partition("\n")
    text = text.partition("\n")[0].strip()
    return f"{message:.300}" + (f" — {text:.100}" + " …" * (len(text) > 100) if text else "")
