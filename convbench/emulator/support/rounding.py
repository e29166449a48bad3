"""Arithmetic in a rounding direction that is not to nearest, by the processor's own rounding mode.

These functions are machine code of their own, which a kernel calls by name: a function that changes the rounding mode
must not be inlined into one that assumes the default. They are compiled when a kernel first needs one.
"""

import threading
from typing import Any

import llvmlite.binding as llvm

PREFIX = "emu_rounded_"
_OPERATIONS = {"fadd": 2, "fsub": 2, "fmul": 2, "fdiv": 2, "fma": 3, "sqrt": 1}
_FLOATS = {"f32": "float", "f64": "double"}
_NEAREST = 1  # as LLVM numbers the modes: 0 is towards zero, 2 up, 3 down
_STRICT = 'metadata !"round.dynamic", metadata !"fpexcept.ignore"'

_lock = threading.Lock()
_engine: list[Any] = []


def address(name: str) -> int:
    """The address of a function, such as `emu_rounded_fadd_f32(a, b, mode)`; 0 if there is none of this name."""
    with _lock:
        if not _engine:
            module = llvm.parse_assembly(_text())
            module.verify()
            machine = llvm.Target.from_default_triple().create_target_machine(
                cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=1, jit=True
            )
            engine = llvm.create_mcjit_compiler(module, machine)
            engine.finalize_object()
            _engine.append(engine)
        return int(_engine[0].get_function_address(name))


def _text() -> str:
    parts = ["declare void @llvm.set.rounding(i32)"]
    for short, kind in _FLOATS.items():
        for operation, count in _OPERATIONS.items():
            parts.append(_function(f"{operation}_{short}", kind, [kind] * count, f"{operation}.{short}"))
        parts += [_function(f"{s}itofp_{short}", kind, ["i64"], f"{s}itofp.{short}.i64") for s in ("s", "u")]
    parts.append(_function("fptrunc_f32", "float", ["double"], "fptrunc.f32.f64"))
    return "\n".join(parts)


def _function(name: str, result: str, kinds: list[str], intrinsic: str) -> str:
    parameters = ", ".join(f"{kind} %x{number}" for number, kind in enumerate(kinds))
    declared = ", ".join([*kinds, "metadata", "metadata"])
    return f"""declare {result} @llvm.experimental.constrained.{intrinsic}({declared})
define {result} @{PREFIX}{name}({parameters}, i32 %mode) strictfp nounwind {{
  call void @llvm.set.rounding(i32 %mode) strictfp
  %r = call {result} @llvm.experimental.constrained.{intrinsic}({parameters}, {_STRICT}) strictfp
  call void @llvm.set.rounding(i32 {_NEAREST}) strictfp
  ret {result} %r
}}"""
