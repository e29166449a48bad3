"""Merges files of records: each record once, in the order in which they were measured.

The readers take the last record of a measurement, and so the one that was measured last counts. Of records of the same
moment, those that came later in their own files come later. The order of the files does not matter.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from convbench.errors import RecordsError
from convbench.records.record import BadLine, Record, read_records
from convbench.records.whole import replaced


@dataclass(frozen=True)
class Merged:
    """What became of the lines of several files."""

    kept: int
    doubled: int  # lines that are left out, because another says the same
    conflicts: list[str]  # of results that are of one measurement and differ: a sentence for each measurement
    bad: list[BadLine]


def merge_records(paths: Sequence[Path], out: Path) -> Merged:
    """Merge files of records into a file, which is replaced as a whole if it is there.

    It may be one of those that are read. Raises RecordsError if a file cannot be read, or if `out` has lines that are
    no records, and OSError if `out` cannot be written.
    """
    places: dict[str, tuple[datetime, int]] = {}  # by line: when it was measured, and its place in its file
    of_one: dict[tuple[str, ...], dict[str, Record]] = defaultdict(dict)
    bad, count = list[BadLine](), 0
    for path in paths:
        records, wrong = read_records(path)
        bad += wrong
        if path.resolve() == out.resolve() and (lost := [line for line in wrong if not line.torn]):
            raise RecordsError(f"{lost[0].path}, line {lost[0].number}: {lost[0].reason}; such a file is not replaced")
        count += len(records)
        for number, record in enumerate(records):
            line, place = record.to_json(), (moment(record.when), number)
            places[line] = min(places.get(line, place), place)
            of_one[record.workload, record.layer, *record.key][line] = record
    order = sorted(places, key=lambda line: (*places[line], line))
    ranks = {line: rank for rank, line in enumerate(order)}
    conflicts = [_conflict(max(same, key=ranks.__getitem__), same) for same in of_one.values() if len(same) > 1]
    with replaced(out) as file:
        file.writelines(f"{line}\n".encode("utf-8", "replace") for line in order)
    return Merged(len(order), count - len(order), sorted(conflicts), bad)


def _conflict(last: str, same: dict[str, Record]) -> str:
    one = same[last]
    what = f"{one.algorithm}, {one.direction} of {one.problem} on {one.device['name']}"
    return f"{what}: {len(same)} results, of which that of {one.when} counts"


def moment(when: str) -> datetime:
    """The moment of a record; one that cannot be read comes before all others, and one without a time zone is UTC."""
    try:
        found = datetime.fromisoformat(when)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return found.replace(tzinfo=found.tzinfo or UTC)
