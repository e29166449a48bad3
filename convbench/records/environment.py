"""Collects the facts besides the device that a measurement depends on: versions, host, source commit."""

import os
import platform
import socket
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "convbench", "numba-cuda", "numba", "llvmlite", "numpy", "scipy", "torch", "cuda-bindings", "nvidia-cuda-nvcc",
    "nvidia-nvvm",
)  # fmt: skip


def capture() -> dict[str, Any]:
    """Versions, host, system, processor, and the commit of the source if it is a git checkout; for records."""
    return {
        "python": sys.version.split()[0],
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "host": socket.gethostname(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": processor(),
        "cpu_count": cores(),
        "commit": _commit(Path(__file__).parent),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The name of the processor."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def last_level_cache_bytes(root: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> int | None:
    """The size of the first core's largest cache; None if the system does not tell. Linux only."""
    units = {"K": 2**10, "M": 2**20, "G": 2**30}
    texts = [path.read_text().strip() for path in root.glob("index*/size")]
    sizes = [int(text[:-1]) * units[text[-1]] if text[-1:] in units else int(text) for text in texts if text]
    return max(sizes, default=None)


def _commit(folder: Path) -> str | None:
    """The commit of this project's checkout that contains `folder`, or None if there is none.

    If tracked files differ from the commit, it ends with "+changes". Files in `reports` do not count, because they do
    not affect the code.
    """
    try:
        git = ["git", "-C", str(folder)]
        # convbench may be installed in an environment inside the checkout of another project
        subprocess.run([*git, "ls-files", "--error-unmatch", Path(__file__).name], capture_output=True, check=True)
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changes = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)reports"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+changes" if changes.strip() else "")
