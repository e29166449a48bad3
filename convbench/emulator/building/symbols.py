"""The functions of this process that the code of a kernel calls."""

from typing import Any

import llvmlite.binding as llvm

from convbench.emulator.errors import UnsupportedError
from convbench.emulator.ptx import heap, watched
from convbench.emulator.retarget import Retargeted
from convbench.emulator.source import DebugInfo
from convbench.emulator.support import printing, rounding
from convbench.emulator.weave import is_marker


def bind(symbols: tuple[str, ...]) -> None:
    """Tell LLVM where these functions are in this process."""
    for name in symbols:
        llvm.add_symbol(name, _address(name))


def is_python(symbol: str) -> bool:
    """Whether a function that machine code calls is one of Python's."""
    return symbol == "vprintf" or symbol.startswith((heap.PREFIX, watched.PREFIX))


def _address(name: str) -> int | None:
    if name == "vprintf":
        return printing.address()
    if name.startswith(rounding.PREFIX):
        return rounding.address(name)
    if name.startswith(watched.PREFIX):
        return watched.address(name)
    if name.startswith(heap.PREFIX):
        return heap.address(name)
    address: int | None = llvm.address_of_symbol(name.removeprefix("__nv_"))
    return address


def resolve(name: str, module: Any, asked: set[str], retargeted: Retargeted) -> tuple[str, ...]:
    """The undefined functions that the C library has. Raises UnsupportedError for those that it lacks."""
    missing, found = [], []
    for function in module.functions:
        if not function.is_declaration or is_marker(function.name) or function.name.startswith("llvm."):
            continue
        # a function that the optimiser calls is the C library's; one that the kernel calls may only share its name
        is_known = (
            function.name == "vprintf"
            or function.name.startswith(("__nv_", rounding.PREFIX, watched.PREFIX, heap.PREFIX))
            or function.name not in asked
        )
        if is_known and _address(function.name):
            found.append(function.name)
        else:
            missing.append(function.name)
    if missing:
        raise UnsupportedError(f"{name}: " + "; ".join(_missing(symbol, retargeted) for symbol in missing))
    return tuple(found)


def _missing(symbol: str, retargeted: Retargeted) -> str:
    readable = symbol.replace("emu.nvvm.", "llvm.nvvm.")
    for module in retargeted.modules:
        for line in module.splitlines():
            if " call " in line and (f'@"{symbol}"(' in line or f"@{symbol}(" in line):
                site = DebugInfo(module).site(line)
                place = f" ({site.file}:{site.line})" if site.line else ""
                return f"{readable}{place} has no counterpart on the CPU"
    return f"{readable} has no counterpart on the CPU"
