"""Defines records of measurements, reads and writes files of them, and compares two sets of them.

The harness appends a `Record` for each result to a file of JSON Lines; reports, comparisons and `--resume` read it.
`locks` and `whole` bring files of results to the disk, those of `convbench.tuning` and `convbench.fuzz` too: one writer
at a time, and each file complete or as it was before. `merging` makes one file of several.
`intervals` and `bootstrap` have the statistics. `pairing` and `comparison` decide for each measurement whether it
became faster or slower, or stayed the same.
"""

from convbench.records.appending import RecordsFile
from convbench.records.begun import BegunFile
from convbench.records.folders import files_of, read_all
from convbench.records.locks import HeldError, held, one_writer
from convbench.records.merging import Merged, merge_records
from convbench.records.prediction import Predicted, caption
from convbench.records.record import (
    FAILURES,
    OUTCOMES,
    BadLine,
    Outcome,
    Record,
    as_json,
    key_of,
    latest,
    read_records,
)
from convbench.records.timing import CACHES, Cache, Clocks, Reading, Series, Stop, Timing
from convbench.records.whole import replaced, unwritable

__all__ = [
    "CACHES",
    "FAILURES",
    "OUTCOMES",
    "BadLine",
    "BegunFile",
    "Cache",
    "Clocks",
    "HeldError",
    "Merged",
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
    "held",
    "key_of",
    "latest",
    "merge_records",
    "one_writer",
    "read_all",
    "read_records",
    "replaced",
    "unwritable",
]
