"""Disassemble a cubin with the CUDA toolkit's own tool, from PyPI or from an installed toolkit."""

import shutil
import subprocess
import tempfile
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from convbench.errors import DeviceError

PACKAGES = {"cuobjdump": "nvidia-cuda-cuobjdump", "nvdisasm": "nvidia-cuda-nvdisasm"}
REMEDY = 'pip install "convbench[inspect]"'
SECONDS = 120  # time limit; a large kernel takes one second


@lru_cache(maxsize=64)
def disassemble(cubin: bytes) -> str:
    """The machine code of a cubin, as `cuobjdump -sass` prints it. Raises DeviceError if that fails."""
    tool("nvdisasm")  # cuobjdump calls it
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kernel.cubin")
        file.write_bytes(cubin)
        command = [str(tool("cuobjdump")), "-sass", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        raise DeviceError(f"cuobjdump -sass fails with status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


@cache
def tool(name: str) -> Path:
    """The path of a program of the toolkit. If it is missing, raises DeviceError with the command that installs it."""
    try:
        for file in files(PACKAGES[name]) or ():
            if Path(file).stem == name and (place := Path(str(file.locate()))).is_file():
                return place
    except PackageNotFoundError:
        pass
    if found := shutil.which(name):
        return Path(found)
    raise DeviceError(f"{name}, the toolkit's disassembler, is missing: {REMEDY}")
