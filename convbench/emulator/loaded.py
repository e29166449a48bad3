"""Load the text of a PTX module, whoever compiled it, and launch its kernels."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convbench.emulator.errors import CompilationError
from convbench.emulator.launch import Dimensions, Emulator
from convbench.emulator.ptx.kernel import PtxKernel
from convbench.emulator.ptx.parser import parse
from convbench.emulator.ptx.storage import Storage, stored
from convbench.emulator.ptx.syntax import Module


class LoadedKernel:
    """A kernel that can be launched."""

    def __init__(self, kernel: PtxKernel, emulator: Emulator, watching: Emulator) -> None:
        self._kernel, self._emulator, self._watching = kernel, emulator, watching

    @property
    def ptx(self) -> PtxKernel:
        """The entry of the module."""
        return self._kernel

    def launch(
        self,
        grid: Dimensions,
        block: Dimensions,
        *args: Any,
        shared_bytes: int = 0,
        memory: Sequence[npt.NDArray[Any]] = (),
        checked: bool = False,
    ) -> None:
        """Run the kernel on the CPU.

        Parameters
        ----------
        grid, block : one to three dimensions
        args : NumPy arrays for addresses, which the kernel reads and writes in place; numbers; structures of ctypes,
            records of NumPy or bytes for parameters that are aggregates
        shared_bytes : dynamic shared memory of a block
        memory : arrays that the kernel reaches through pointers in structures or in other arrays; it may touch no more
        checked : whether to check every access and barrier, and to try every order of threads

        Raises
        ------
        CompilationError, UnsupportedError, LaunchError
            an argument does not fit, an instruction has no counterpart, or the hardware would refuse the launch.
        KernelFault
            the kernel made an error.
        OrderDependenceError
            with `checked`: another order of threads and blocks gave another result.
        """
        emulator = self._watching if checked else self._emulator
        emulator.launch(self._kernel, grid, block, *args, shared_bytes=shared_bytes, memory=memory)


class LoadedModule(Mapping[str, LoadedKernel]):
    """The kernels of a PTX module, by name. A name is the whole mangled one, or the part of it that is unique."""

    def __init__(self, module: Module, emulator: Emulator) -> None:
        self._module = module
        watching = Emulator(code="ptx", checked=True)
        self._kernels = {name: LoadedKernel(PtxKernel(module, name), emulator, watching) for name in module.entries()}

    def __getitem__(self, name: str) -> LoadedKernel:
        if name in self._kernels:
            return self._kernels[name]
        found = [entry for entry in self._kernels if f"{len(name)}{name}" in entry]  # as the Itanium C++ ABI mangles it
        if len(found) == 1:
            return self._kernels[found[0]]
        raise KeyError(f"{name}: the module has {', '.join(self._kernels) or 'no kernel'}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._kernels)

    def __len__(self) -> int:
        return len(self._kernels)

    def variable(self, name: str) -> npt.NDArray[np.uint8]:
        """The bytes of a variable in global memory, to read and write in place. Its kernels see what is written.

        Raises KeyError for a name that the module does not have.
        """
        storage = self._storage()
        if name not in storage:
            raise KeyError(f"{name}: the module has {', '.join(storage) or 'no variable in global memory'}")
        return storage.bytes_of(name)

    def variables(self) -> list[npt.NDArray[np.uint8]]:
        """The bytes of all variables in global memory."""
        storage = self._storage()
        return [storage.bytes_of(name) for name in storage]

    def _storage(self) -> Storage:
        if self._module.storage is None:
            self._module.storage = Storage(stored(self._module))
        storage: Storage = self._module.storage
        return storage


def load_ptx(source: str | Path, *more: str | Path, workers: int | None = None) -> LoadedModule:
    """Load PTX, each module as its text or the path of its file. Several modules are linked into one.

    A variable in global memory keeps its value from one launch to the next, and all kernels of the module share it.
    `LoadedModule.variable` has its bytes.

    Raises
    ------
    CompilationError
        it is no PTX: it has no `.version`.
    UnsupportedError
        it has a directive that the emulator lacks.
    FileNotFoundError
        there is no such file.
    """
    return LoadedModule(parse(*map(_text, (source, *more))), Emulator(workers=workers, code="ptx"))


def _text(source: str | Path) -> str:
    text = source if isinstance(source, str) and "\n" in source else Path(source).read_text(encoding="utf-8")
    if ".version" not in text:
        raise CompilationError(f"this is no PTX, because it has no .version: {text[:80]!r}")
    return text
