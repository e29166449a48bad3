"""Counterparts of inline PTX, which are found by the text of the PTX. PTX that is not here is refused by name."""

import re

from convbench.emulator.state import WARP
from convbench.emulator.support import copies, pairs, tensor, warpgroup
from convbench.emulator.support.registers import THREAD_ROW, WORKER_ROW, field

_HALF = "  %half = bitcast i16 %x to half\n"
_TANH = """  %wide = fpext float %x to double
  %found = call double @llvm.tanh.f64(double %wide)
  %r = fptrunc double %found to float
"""
_TO_HALF = "  %r = bitcast half %half to i16\n"
_LOAD_IF = "{ .reg .pred p; setp.ne.u32 p, $2, 0; mov.f32 $0, 0f00000000; @p ld.global.nc.f32 $0, [$1]; }"
_LOADED_IF = """entry:
  %wanted = icmp ne i32 %ok, 0
  br i1 %wanted, label %look, label %done
look:
  %found = load float, ptr %p
  br label %done
done:
  %r = phi float [ 0.0, %entry ], [ %found, %look ]
"""


def _rounded_to_half(kind: str) -> str:
    wide = "  %wide = fpext float %x to double\n" if kind == "float" else ""
    return f"{wide}  %r = call i16 @emu.half.rn(double {'%wide' if wide else '%x'})\n"


def _bodies() -> dict[str, tuple[str, tuple[str, ...], str]]:
    """Result type, parameters and body by PTX. The result is %r."""
    found: dict[str, tuple[str, tuple[str, ...], str]] = {
        "mov.u32 $0, %lanemask_lt;": (
            "i32",
            (),
            THREAD_ROW
            + field("lane", "thread", "lane", kind="i32")
            + "  %bit = shl i32 1, %lane\n  %r = sub i32 %bit, 1\n",
        ),
        "mov.u32 $0, %dynamic_smem_size;": ("i32", (), WORKER_ROW + field("r", "worker", "dynamic_bytes", kind="i32")),
        "nanosleep.u32 $0;": ("void", ("i32 %x",), ""),
        "activemask.b32 $0;": ("i32", ("i64 %site",), "  %r = call i32 @emu.ptx.activemask(i64 %site)\n"),
        "tanh.approx.f32 $0, $1;": (
            "float",
            ("float %x",),
            _TANH,
        ),
    }
    found[_LOAD_IF] = "float", ("ptr %p", "i32 %ok"), _LOADED_IF
    found |= copies.bodies() | pairs.bodies() | tensor.bodies() | warpgroup.bodies()
    for ptx, kind in (("f32", "float"), ("f64", "double")):
        found[f"cvt.{ptx}.f16 $0, $1;"] = kind, ("i16 %x",), _HALF + f"  %r = fpext half %half to {kind}\n"
        found[f"cvt.rn.f16.{ptx} $0, $1;"] = (
            "i16",
            (f"{kind} %x",),
            _rounded_to_half(kind),
        )
    for bits in (8, 16, 32, 64):
        for sign, operation in (("s", "sitofp"), ("u", "uitofp")):
            narrow = max(bits, 16)  # PTX has no 8-bit registers
            body = f"  %half = {operation} i{narrow} %x to half\n" + _TO_HALF
            found[f"cvt.rn.f16.{sign}{bits} $0, $1;"] = "i16", (f"i{narrow} %x",), body
            found[f"cvt.rni.{sign}{bits}.f16 $0, $1;"] = f"i{narrow}", ("i16 %x",), _rounded(sign, bits, narrow)
    for bits in (8, 16, 32, 64):
        for operator in ("ca", "cg", "cs", "lu", "cv"):
            body = f"  %r = load i{bits}, ptr %p\n"
            found[f"ld.global.{operator}.b{bits} $0, [$1];"] = f"i{bits}", ("ptr %p",), body
        for operator in ("cg", "cs", "wb", "wt"):
            body = f"  store i{bits} %v, ptr %p\n"
            found[f"st.global.{operator}.b{bits} [$0], $1;"] = "void", ("ptr %p", f"i{bits} %v"), body
    return found


def _rounded(sign: str, bits: int, narrow: int) -> str:
    """The nearest integer in the range of the type, in a register of `narrow` bits. NaN as in `arithmetic`."""
    extend = {"s": "sext", "u": "zext"}[sign]
    body = _HALF + "  %whole = call half @llvm.rint.f16(half %half)\n"
    body += f"  %inside = call i{bits} @llvm.fpto{sign}i.sat.i{bits}.f16(half %whole)\n"
    if narrow > bits:
        return body + f"  %r = {extend} i{bits} %inside to i{narrow}\n"
    missing = -(1 << 63) if bits == 64 else 0
    return body + f"  %nan = fcmp uno half %half, %half\n  %r = select i1 %nan, i{bits} {missing}, i{bits} %inside\n"


_BODIES = _bodies()
assert WARP == 32, "%lanemask_lt has 32 bits"


def name_of(ptx: str) -> str | None:
    """The function that stands for a piece of inline PTX, or None if there is none."""
    return "emu.ptx." + re.sub(r"\W+", "_", ptx).strip("_") if ptx in _BODIES else None


def types_of(ptx: str) -> tuple[str, list[str]]:
    """LLVM's types of the result and the parameters of the function that stands for a piece of inline PTX."""
    kind, parameters, _ = _BODIES[ptx]
    return kind, [parameter.split()[0] for parameter in parameters]


def is_sited(ptx: str) -> bool:
    """Whether the last parameter is the number of the place in the source, because threads wait for others there."""
    return "i64 %site" in _BODIES[ptx][1]


def definitions() -> str:
    """IR of all these functions."""
    found = ["declare double @llvm.tanh.f64(double)", "declare half @llvm.rint.f16(half)", pairs.DECLARED]
    found += [f"declare i{n} @llvm.fpto{sign}i.sat.i{n}.f16(half)" for n in (8, 16, 32, 64) for sign in "su"]
    for ptx, (kind, parameters, body) in _BODIES.items():
        result = "  ret void\n" if kind == "void" else f"  ret {kind} %r\n"
        head = f"define linkonce_odr {kind} @{name_of(ptx)}({', '.join(parameters)}) alwaysinline nounwind"
        found.append(f"{head} {{\n{body}{result}}}")
    return "\n".join(found)
