"""Merges databases of tuned configs: of each key, the entry that was measured last."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from convbench.records import BadLine, Merged
from convbench.tuning.database import latest, read_entries, write
from convbench.tuning.entry import Entry, Key


def merge_entries(paths: Sequence[Path], out: Path) -> Merged:
    """Merge databases into a file, which is replaced as a whole if it is there; it may be one of those that are read.

    Lines that are no entries are kept, each once. Of entries of the same moment, those that came later in their own
    files count; the order of the files does not matter. Raises RecordsError if a file cannot be read, and OSError if
    `out` cannot be written.
    """
    places: dict[str, tuple[datetime, int]] = {}  # by line: when it was measured, and its place in its file
    of_line: dict[str, Entry] = {}
    bad, foreign, count = list[BadLine](), list[str](), 0
    for path in paths:
        entries, wrong, texts = read_entries(path)
        bad, foreign, count = bad + wrong, foreign + texts, count + len(entries)
        for number, entry in enumerate(entries):
            line, place = entry.to_json(), (entry.moment, number)
            places[line] = min(places.get(line, place), place)
            of_line[line] = entry
    ordered = [of_line[line] for line in sorted(places, key=lambda line: (*places[line], line))]
    counted, of_key = latest(ordered), defaultdict[Key, list[Entry]](list)
    for entry in ordered:
        of_key[entry.key].append(entry)
    conflicts = [_conflict(counted[key], same) for key, same in of_key.items() if len(same) > 1]
    write(ordered, sorted(set(foreign)), out)
    return Merged(len(counted), count - len(ordered), sorted(conflicts), bad)


def _conflict(last: Entry, same: list[Entry]) -> str:
    what = f"{last.algorithm}, {last.direction} of {last.problem} on {last.device}"
    return f"{what}: {len(same)} entries, of which that of {last.when} is kept"
