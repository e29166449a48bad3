"""How much memory a worker may take, and how much it has taken."""

import re
from contextlib import suppress
from pathlib import Path

import psutil

from convbench.errors import ConvbenchError

SHARE = 0.8  # of the machine's memory, for all workers together
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
GROUP = Path("/sys/fs/cgroup/memory.max")  # the limit of a container (cgroup v2)
LEAST_BYTES = 512 * 2**20  # a worker that has only started takes about 300 MiB


def default_bytes(workers: int = 1) -> int:
    """The bytes that each of so many workers may take: its part of 80 % of the memory of the machine or container."""
    whole = psutil.virtual_memory().total
    with suppress(OSError, ValueError):  # no container, or one without a limit ("max")
        whole = min(whole, int(GROUP.read_text()))
    return max(LEAST_BYTES, int(SHARE * whole / workers))


def parse_size(text: str) -> int:
    """The bytes of a size such as 4GB, 512MiB or 2e9. Raises ConvbenchError."""
    found = re.fullmatch(
        r"([0-9]+(?:\.[0-9]+)?(?:e[0-9]{1,2})?)\s*([KMGT]?I?)B?", text.strip().upper().replace("E", "e")
    )
    if found is None or found[2] not in UNITS:
        raise ConvbenchError(f"--memory {text!r} is no size; give bytes, or a number with a unit: 4GB, 512MiB")
    size = int(float(found[1]) * UNITS[found[2]])
    if size < LEAST_BYTES:
        raise ConvbenchError(
            f"--memory {text} is less than a worker needs to start; give at least {LEAST_BYTES // 2**20}MiB"
        )
    return size


def taken_bytes(pid: int) -> int:
    """The bytes of memory that a process and all its children have in use; 0 if it has ended.

    What a copy shares with the process that forked it counts once, where the system tells how much that is (Linux).
    """
    try:
        process = psutil.Process(pid)
        children = process.children(recursive=True)
    except psutil.Error:
        return 0
    return sum(_taken(one, shares=bool(children)) for one in (process, *children))


def _taken(process: psutil.Process, *, shares: bool) -> int:
    try:
        if shares and psutil.LINUX:
            return int(process.memory_full_info().pss)
        return int(process.memory_info().rss)
    except psutil.Error:  # it has ended meanwhile
        return 0
