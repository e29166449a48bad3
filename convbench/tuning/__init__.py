"""Tuning: search the configs of an algorithm for the fastest on a device, and keep what was found.

Problems and an algorithm enter. `proposals` has the order in which a `Tuner` tries configs; the best one becomes an
entry of a `Database`, a file of JSON Lines. `in_use` tells a process which database its configs come from.
"""

from convbench.tuning.database import Database, add, default_path, slug
from convbench.tuning.proposals import SEARCHES, Proposals, Search
from convbench.tuning.tuner import Found, Tuner

__all__ = ["SEARCHES", "Database", "Found", "Proposals", "Search", "Tuner", "add", "default_path", "slug"]
