"""Records: what was measured, on which device, with which outcome, and what follows from two sets of them.

The harness puts a `Record` for each result into a file of JSON Lines; reports, comparisons and `--resume` read it.
`intervals` and `bootstrap` have the statistics, `pairing` and `comparison` the verdicts faster, slower and the same.
"""

from convbench.records.record import FAILURES, BadLine, Outcome, Record, RecordsFile, key_of, latest, read_records
from convbench.records.timing import CACHES, Cache, Clocks, Reading, Series, Stop, Timing

__all__ = [
    "CACHES",
    "FAILURES",
    "BadLine",
    "Cache",
    "Clocks",
    "Outcome",
    "Reading",
    "Record",
    "RecordsFile",
    "Series",
    "Stop",
    "Timing",
    "key_of",
    "latest",
    "read_records",
]
