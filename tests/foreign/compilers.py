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
INCLUDES = [f"-I{WHEELS / 'include'}", f"-I{WHEELS / 'include' / 'cccl'}"]
FOLDER = Path(__file__).parent


def by_nvcc(name: str, architecture: str, folder: Path) -> LoadedModule:
    """The kernels of a file from nvcc, which needs a C++ compiler of the machine for the preprocessor."""
    if shutil.which("g++") is None:
        raise RuntimeError("nvcc needs g++: install it")
    out = folder / f"{architecture}.ptx"
    command = [WHEELS / "bin" / "nvcc", "-ptx", "-lineinfo", f"-arch={architecture}", *INCLUDES]
    subprocess.run([*command, "-o", out, FOLDER / name], check=True)
    return load_ptx(out)


def by_nvrtc(name: str, architecture: str, folder: Path) -> LoadedModule:
    """The kernels of a file from NVIDIA's compiler at run time, which CuPy uses."""

    def call(name: str, *arguments: Any) -> Any:
        error, *found = getattr(nvrtc, name)(*arguments)
        if error != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise RuntimeError(f"{name}: {error}\n{messages()}")
        return found[0] if found else None

    def messages() -> str:
        text = bytes(nvrtc.nvrtcGetProgramLogSize(program)[1])
        nvrtc.nvrtcGetProgramLog(program, text)
        return text.decode()

    options = [f"-arch={architecture}", *INCLUDES, "-lineinfo", "-std=c++17", "--device-int128"]
    source = FOLDER / name
    program = call("nvrtcCreateProgram", source.read_bytes(), str(source).encode(), 0, [], [])
    call("nvrtcCompileProgram", program, len(options), [option.encode() for option in options])
    text = bytes(call("nvrtcGetPTXSize", program))
    call("nvrtcGetPTX", program, text)
    return load_ptx(text.rstrip(b"\0").decode())


def compiled(name: str, compiler_and_architecture: str, folder: Path) -> LoadedModule:
    """The kernels of a file from "nvcc sm_90" or "nvrtc sm_90"."""
    compiler, architecture = compiler_and_architecture.split()
    return {"nvcc": by_nvcc, "nvrtc": by_nvrtc}[compiler](name, architecture, folder)
