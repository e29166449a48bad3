"""Defines how results reach the disk: one writer at a time, and each file whole or as it was before.

Files of records, tuned configs and failing cases, and what merges them, write through here. `locks` keeps other writers
away while a file is written, and `whole` puts a complete file in the place of another.
"""

from convbench.files.locks import one_writer
from convbench.files.whole import append_line, replaced, sync_folder, unwritable

__all__ = ["append_line", "one_writer", "replaced", "sync_folder", "unwritable"]
