"""Tuning: search the configs of an algorithm for the fastest one on a device, and store it.

Problems and an algorithm enter, and entries of a `Database`, a file of JSON Lines, leave. `proposals` decides the order
in which a `Tuner` tries configs. `in_use` decides which database a process takes its configs from.
"""

from convbench.tuning.database import Database, add, default_path, slug
from convbench.tuning.merging import merge_entries
from convbench.tuning.proposals import SEARCHES, Proposals, Search
from convbench.tuning.tuner import Found, Tuner

__all__ = [
    "SEARCHES", "Database", "Found", "Proposals", "Search", "Tuner", "add", "default_path", "merge_entries", "slug",
]  # fmt: skip
