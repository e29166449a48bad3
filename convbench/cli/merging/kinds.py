"""Tells by its content what kind of results a file has, and finds the files of a folder."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, get_args

from convbench.errors import ConvbenchError

Kind = Literal["records", "tuned configs", "failing cases"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def files_of(path: Path) -> list[Path]:
    """The file itself; of a folder, every .jsonl file below it, or else every .txt file in it.

    Raises ConvbenchError if there is none.
    """
    if not path.is_dir():
        if not path.exists():
            raise ConvbenchError(f"there is no file {path}")
        return [path]
    found = sorted(path.rglob("*.jsonl")) or sorted(one for one in path.glob("*.txt") if not one.name.startswith("."))
    if not found:
        raise ConvbenchError(f"folder {path} has neither records or tuned configs (.jsonl) nor failing cases (.txt)")
    return found


def kind_of(path: Path) -> Kind | None:
    """The kind of the first line that is a result; None if the file has only empty lines and comments.

    Raises ConvbenchError if the file cannot be read, or if no line is a result, nor the beginning of one.
    """
    readers, beginnings = _readers()
    strange: int | None = None
    begun: Kind | None = None
    try:
        with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
            for number, line in enumerate(file, 1):
                if not line.strip() or line.lstrip().startswith("#"):
                    continue
                for kind, read in readers.items():
                    if _is_read(read, line):
                        return kind
                begun = begun or next((kind for kind, text in beginnings.items() if line.startswith(text)), None)
                strange = strange or number
    except OSError as error:
        raise ConvbenchError(f"{path} cannot be read: {error.strerror}") from error
    if strange is not None and begun is None:
        raise ConvbenchError(f"{path}, line {strange}: it is none of {', '.join(KINDS)}, and so is every other line")
    return begun


def common_kind(paths: Sequence[Path]) -> Kind:
    """The kind of all files that have any results. Raises ConvbenchError if they have none, or of several kinds."""
    kinds = {path: kind for path in paths if (kind := kind_of(path)) is not None}
    found = list(dict.fromkeys(kinds.values()))
    if not found:
        raise ConvbenchError(f"there is nothing to merge: {', '.join(map(str, paths))} has no results")
    if len(found) > 1:
        firsts = (next(path for path in kinds if kinds[path] == kind) for kind in found)
        told = ", ".join(f"{path} has {kinds[path]}" for path in firsts)
        raise ConvbenchError(f"results of several kinds are not merged: {told}")
    return found[0]


def _readers() -> tuple[dict[Kind, Callable[[str], object]], dict[Kind, str]]:
    """By kind: what reads a line, and how every line begins, if lines of this kind begin alike."""
    from convbench.fuzz import FuzzCase
    from convbench.records import Record, record
    from convbench.tuning import entry

    return (
        {"records": Record.from_json, "tuned configs": entry.Entry.from_json, "failing cases": FuzzCase.read},
        {"records": record.BEGINNING, "tuned configs": entry.BEGINNING},
    )


def _is_read(read: Callable[[str], object], line: str) -> bool:
    try:
        read(line)
    except Exception:  # noqa: BLE001  (a foreign file may have any content)
        return False
    return True
