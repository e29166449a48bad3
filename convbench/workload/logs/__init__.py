"""Reads what other programs record of their convolutions.

The text of a file enters; a `Workload` leaves, or nothing if no reader knows the text. There is a module for each kind:
`trace` for PyTorch's profiler, `cudnn_log` for cuDNN's frontend, `cutlass_csv` for the CUTLASS profiler. Logs with a
problem on each line are text files, which `convbench.workload.files` reads.
"""

from importlib.resources.abc import Traversable
from pathlib import Path

from convbench.workload.logs import cudnn_log, cutlass_csv, trace
from convbench.workload.workload import Workload

__all__ = ["read"]


def read(name: str, path: Path | Traversable, text: str) -> Workload | None:
    """The workload of a text that one of the readers knows; None for any other. Raises ConvbenchError."""
    if cutlass_csv.looks_like(text):
        return cutlass_csv.read(name, path, text)
    if trace.looks_like(text):
        return trace.read(name, path, text)
    if cudnn_log.looks_like(text):
        return cudnn_log.read(name, path, text)
    return None
