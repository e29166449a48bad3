"""Defines records of measurements, reads and writes files of them, and compares two sets of them.

The harness appends a `Record` for each result to a file of JSON Lines; reports, comparisons and `--resume` read it.
`intervals` and `bootstrap` have the statistics. `pairing` and `comparison` decide for each measurement whether it
became faster or slower, or stayed the same.
"""

from convbench.records.folders import files_of, read_all
from convbench.records.prediction import Predicted, caption
from convbench.records.record import (
    FAILURES,
    BadLine,
    Outcome,
    Record,
    RecordsFile,
    as_json,
    key_of,
    latest,
    read_records,
)
from convbench.records.timing import CACHES, Cache, Clocks, Reading, Series, Stop, Timing

__all__ = [
    "CACHES",
    "FAILURES",
    "BadLine",
    "Cache",
    "Clocks",
    "Outcome",
    "Predicted",
    "Reading",
    "Record",
    "RecordsFile",
    "Series",
    "Stop",
    "Timing",
    "as_json",
    "caption",
    "files_of",
    "key_of",
    "latest",
    "read_all",
    "read_records",
]
