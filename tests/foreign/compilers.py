"""PTX from NVIDIA's C++ compilers, without a GPU."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import nvidia.cu13
from cuda.bindings import nvrtc

from convbench.emulator import load_ptx
from convbench.emulator.loaded import LoadedModule

WHEELS = Path(next(iter(nvidia.cu13.__path__)))
SOURCE = Path(__file__).with_name("kernels.cu")


def by_nvcc(architecture: str, folder: Path) -> LoadedModule:
    """The kernels of `kernels.cu` from nvcc, which needs a C++ compiler of the machine for the preprocessor."""
    if shutil.which("g++") is None:
        raise RuntimeError("nvcc needs g++: install it")
    out = folder / f"{architecture}.ptx"
    command = [WHEELS / "bin" / "nvcc", "-ptx", "-lineinfo", f"-arch={architecture}", f"-I{WHEELS / 'include'}"]
    subprocess.run([*command, "-o", out, SOURCE], check=True)
    return load_ptx(out)


def by_nvrtc(architecture: str, folder: Path) -> LoadedModule:
    """The kernels of `kernels.cu` from NVIDIA's compiler at run time, which CuPy uses."""

    def call(name: str, *arguments: Any) -> Any:
        error, *found = getattr(nvrtc, name)(*arguments)
        if error != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise RuntimeError(f"{name}: {error}\n{messages()}")
        return found[0] if found else None

    def messages() -> str:
        text = bytes(nvrtc.nvrtcGetProgramLogSize(program)[1])
        nvrtc.nvrtcGetProgramLog(program, text)
        return text.decode()

    include = WHEELS / "include"
    options = [f"-arch={architecture}", f"-I{include}", f"-I{include / 'cccl'}", "-lineinfo", "-std=c++17"]
    program = call("nvrtcCreateProgram", SOURCE.read_bytes(), str(SOURCE).encode(), 0, [], [])
    call("nvrtcCompileProgram", program, len(options), [option.encode() for option in options])
    text = bytes(call("nvrtcGetPTXSize", program))
    call("nvrtcGetPTX", program, text)
    return load_ptx(text.rstrip(b"\0").decode())
