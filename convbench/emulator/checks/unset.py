"""Find variables that are read although no path has set them: a flag beside each variable, checked at each read.

Python raises UnboundLocalError there, and Numba reads zero. These are replacements for parts of numba-cuda's lowering.
LLVM proves nearly every flag true and removes it. A variable that only takes the value of another, as where two
versions of a variable meet, takes its flag too.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir

SET = "emu.set."  # begins the name of the function that checks a flag; the rest is the variable's name, in hexadecimal
ASSEMBLY = "emu_unset_"  # begins the instruction of PTX that stands where a variable is unset
_BIT = ir.IntType(1)
_NOTHING = ("null", "undef")  # operations of Numba's intermediate code for the value of a variable that nobody has set

Report = Callable[[Any, ir.Value, str], None]  # writes code for: the variable of this name is set if the flag is 1


def call(builder: Any, flag: ir.Value, name: str) -> None:
    """Call the function `emu.set.<name>` with the flag, for `retarget`."""
    kind = ir.FunctionType(ir.VoidType(), [_BIT])
    whole = SET + name.encode().hex()
    function = builder.module.globals.get(whole) or ir.Function(builder.module, kind, whole)
    builder.call(function, [flag])


def assemble(builder: Any, flag: ir.Value, name: str) -> None:
    """Write an instruction `emu_unset_<name>` for the PTX, where the flag is 0."""
    with builder.if_then(builder.not_(flag), likely=False):
        kind = ir.FunctionType(ir.VoidType(), [])
        builder.asm(kind, f"{ASSEMBLY}{name.encode().hex()};", "", [], side_effect=True)


def variable_of(hexadecimal: str) -> str:
    """The name of a variable in one of the two names above."""
    return bytes.fromhex(hexadecimal).decode()


def patches(report: Report) -> list[tuple[Any, str, Any]]:
    """The replacements, for `patched`."""
    from numba.cuda.core import ir as numba_ir  # here, because Numba's simulator lacks the compiler
    from numba.cuda.lowering import CUDALower

    lower_inst, loadvar, storevar = CUDALower.lower_inst, CUDALower.loadvar, CUDALower.storevar

    def checked_inst(self: Any, inst: Any) -> None:
        value = inst.value if isinstance(inst, numba_ir.Assign) else None
        if isinstance(value, numba_ir.Expr) and value.op in _NOTHING and _is_user(inst.target.name):
            lower_inst(self, inst)
            flag = _flag(self, inst.target.name)
            if flag is not None:
                self.builder.store(_BIT(0), flag)
            return
        if not isinstance(value, numba_ir.Var) or not _is_user(inst.target.name) or not _is_user(value.name):
            lower_inst(self, inst)
            return
        with _Quiet(self):
            lower_inst(self, inst)
        source, target = _flag(self, value.name), _flag(self, inst.target.name)
        if target is not None:
            self.builder.store(_BIT(1) if source is None else self.builder.load(source), target)

    def checked_load(self: Any, name: str) -> Any:
        value = loadvar(self, name)
        flag = None if getattr(self, "_emu_quiet", 0) else _flag(self, name)
        if flag is not None:
            report(self.builder, self.builder.load(flag), name.partition(".")[0])
        return value

    def checked_store(self: Any, value: Any, name: str, argidx: int | None = None) -> None:
        with _Quiet(self):
            storevar(self, value, name, argidx)
        flag = _flag(self, name)
        if flag is not None:
            self.builder.store(_BIT(1), flag)

    return [
        (CUDALower, "lower_inst", checked_inst),
        (CUDALower, "loadvar", checked_load),
        (CUDALower, "storevar", checked_store),
    ]


class _Quiet:
    """No read is checked meanwhile."""

    def __init__(self, lower: Any) -> None:
        self._lower = lower

    def __enter__(self) -> None:
        self._lower._emu_quiet = getattr(self._lower, "_emu_quiet", 0) + 1  # noqa: SLF001

    def __exit__(self, *error: object) -> None:
        self._lower._emu_quiet -= 1  # noqa: SLF001


def _is_user(name: str) -> bool:
    """Whether a variable has its name from the source."""
    return not name.startswith(("$", "arg."))


def _flag(lower: Any, name: str) -> Any:
    """The flag of a variable; None for one that has no place in memory, and so is set once, before its reads."""
    if not _is_user(name) or name not in lower.varmap or name in lower.func_ir.arg_names:
        return None
    flags = lower.__dict__.setdefault("_emu_flags", {})
    if name not in flags:
        builder = lower.builder
        with builder.goto_entry_block():
            flags[name] = builder.alloca(_BIT, name=f"{name}.set")
            builder.store(_BIT(0), flags[name])
    return flags[name]
