"""Reads the records of a file, or of every records file below a folder."""

from pathlib import Path

from convbench.errors import RecordsError
from convbench.records.record import BadLine, Record, read_records


def files_of(path: Path) -> list[Path]:
    """The file itself, or every .jsonl file below a folder. Raises RecordsError if the folder has none."""
    files = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise RecordsError(f"folder {path} has no records file (.jsonl)")
    return files


def read_all(path: Path) -> tuple[list[Record], list[BadLine]]:
    """All records of a file or a folder, and all lines that are not records."""
    found = [read_records(file) for file in files_of(path)]
    return [record for good, _ in found for record in good], [line for _, bad in found for line in bad]
