"""The database of tuned configs: a text file with one entry per line, which people can read, merge and commit.

A file is JSON Lines, sorted by device, algorithm, direction and problem. If several entries have these four in common,
the one that was measured last counts, and of equal moments the later line. So two files can be merged by concatenating
them. A line that is no entry is reported by its number, and it is kept when the file is written: it moves to the end. A
file has one writer at a time, and is replaced as a whole, or not at all.
"""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from convbench.algorithm import Algorithm
from convbench.devices import Device
from convbench.errors import FileInUseError, RecordsError
from convbench.problem import ConvProblem, Direction
from convbench.records import BadLine, one_writer, replaced, unwritable
from convbench.tuning.entry import BEGINNING, Entry, Key, as_json, key_on

FOLDER = Path("reports") / "tuned"
WAIT_S = 60.0  # for another process that writes a file; it takes milliseconds

Told = Callable[[str], None]


def default_path(device: str) -> Path:
    """The file for a device's entries if none is named: `reports/tuned/DEVICE.jsonl` in the current folder."""
    return FOLDER / f"{slug(device)}.jsonl"


def slug(name: str) -> str:
    """A name as part of a file name: in lower case, with dashes."""
    return re.sub(r"[^\w.]+", "-", name.lower()).strip("-") or "unnamed"


def read_entries(path: Path) -> tuple[list[Entry], list[BadLine], list[str]]:
    """Read a file: its entries in order, its lines that are no entries, and the texts of these lines.

    All three are empty if there is no such file. Raises RecordsError if the file exists and cannot be read.
    """
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return [], [], []
    except OSError as error:
        raise RecordsError(f"tuned configs cannot be read from {path}: {error.strerror}") from error
    entries, bad, texts = [], [], []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            entries.append(Entry.from_json(line))
        except Exception as error:  # noqa: BLE001  (a file from elsewhere may contain anything)
            torn = _is_torn(line)
            bad.append(BadLine(path, number, "a torn line" if torn else f"no tuned config ({error})", torn))
            texts.append(line)
    return entries, bad, texts


def _is_torn(line: str) -> bool:
    """Whether a line is an entry whose end is missing."""
    try:
        json.loads(line)
    except RecursionError:
        return False
    except ValueError:
        return line.startswith(BEGINNING) or BEGINNING.startswith(line)
    return False


def latest(entries: Iterable[Entry]) -> dict[Key, Entry]:
    """The entry that counts for each key: the one that was measured last."""
    found: dict[Key, Entry] = {}
    for entry in entries:
        known = found.get(entry.key)
        if known is None or entry.moment >= known.moment:
            found[entry.key] = entry
    return found


def add(path: Path, entry: Entry) -> None:
    """Add an entry to a file at its sorted place, and remove those that no longer count.

    Another process that writes the file is waited for. Raises RecordsError, whose message has the entry.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with one_writer(path, wait_s=WAIT_S):
            entries, _, foreign = read_entries(path)
            write([*entries, entry], foreign, path)
    except (FileInUseError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise RecordsError(
            f"tuned configs cannot be written to {path}: {reason}; the one that is not there: {entry.to_json()}"
        ) from error


def write(entries: Iterable[Entry], foreign: Iterable[str], path: Path) -> None:
    """Replace a file by those entries that count, in order, and lines that are no entries. Raises OSError."""
    ordered = sorted(latest(entries).values(), key=lambda one: [part or "" for part in one.key])
    with replaced(path) as file:
        for line in (*(one.to_json() for one in ordered), *foreign):
            # half of a surrogate pair, which UTF-8 cannot hold, becomes its escape, as JSON has it
            file.write(f"{line}\n".encode("utf-8", "backslashreplace"))


def require_writable(path: Path) -> None:
    """Raise RecordsError if a file cannot be written, before a long search whose results it is to hold."""
    if reason := unwritable(path):
        raise RecordsError(f"tuned configs cannot be written to {path}: {reason}")


class Database:
    """The entries of a file, for use.

    Parameters
    ----------
    path : the file; one that does not exist has no entries
    tell : called with a sentence, once for each line or entry that is not used

    Raises RecordsError if the file exists and cannot be read.
    """

    def __init__(self, path: Path, tell: Told) -> None:
        self.path, self._tell = path, tell
        entries, bad, _ = read_entries(path)
        self.entries = latest(entries)
        for line in bad:
            tell(str(line))
        self._configs: dict[Key, Any] = {}

    def entry(self, algorithm: Algorithm, problem: ConvProblem, direction: Direction, device: Device) -> Entry | None:
        """The entry for an algorithm and a problem that it does not refuse; None if there is none that can be used."""
        if not self.entries:
            return None
        key = key_on(device, algorithm.name, direction, problem)
        if key in self.entries and key not in self._configs:
            self._find(key, algorithm, problem, direction)
        return self.entries.get(key)

    def config(self, algorithm: Algorithm, problem: ConvProblem, direction: Direction, device: Device) -> Any:
        """The config to use for a problem that the algorithm does not refuse; None if the default is to be used."""
        entry = self.entry(algorithm, problem, direction, device)
        return None if entry is None else self._configs[entry.key]

    def drop(self, algorithm: str, problem: ConvProblem, direction: Direction, device: Device, reason: str) -> None:
        """Stop using an entry, and report the reason."""
        self._drop(key_on(device, algorithm, direction, problem), reason)

    def _find(self, key: Key, algorithm: Algorithm, problem: ConvProblem, direction: Direction) -> None:
        """Find the algorithm's own config for the fields of an entry; drop the entry if there is none."""
        wanted = self.entries[key].config
        try:
            same = [config for config in algorithm.space_for(problem, direction) if as_json(config) == wanted]
        except (Exception, SystemExit) as error:  # noqa: BLE001  (the code of a plugin may raise anything)
            self._drop(key, f"the algorithm cannot say what configs it has: {type(error).__name__}: {error}")
            return
        if same:
            self._configs[key] = same[0]
        else:
            self._drop(key, "the algorithm has no such config any more")

    def _drop(self, key: Key, reason: str) -> None:
        entry = self.entries.pop(key)
        self._tell(
            f"{self.path}: the config {entry.config} of {entry.algorithm} for {entry.direction} of {entry.problem} on "
            f"{entry.device} is not used: {reason}"
        )
