"""Memory fences, and the atomics for which numba-cuda calls a function instead of using LLVM's own instructions.

Here these atomics are an `atomicrmw` or, for floating maximum and minimum, a loop around `cmpxchg`. Maximum and minimum
come in two kinds. `max` keeps a NaN that is in memory already, and `nanmax` replaces it by a number. Both ignore a NaN
as the new value. An addition of float32 in global memory flushes subnormals, and one in shared memory does not
(PTX ISA, "atom").
"""

from convbench.emulator.support.registers import WORKER_ROW, field

_SHARED = (
    WORKER_ROW
    + field("shared", "worker", "shared")
    + field("bytes", "worker", "shared_bytes")
    + "  %a = ptrtoint ptr %p to i64\n  %inside = sub i64 %a, %shared\n  %is.shared = icmp ult i64 %inside, %bytes\n"
)
_FLOATS = {"float": ("i32", "f32"), "double": ("i64", "f64")}


def definitions() -> str:
    """IR of `emu.nvvm.atomic.*`, `___numba_atomic_*` and the fences."""
    found = [
        f"define linkonce_odr void @emu.nvvm.membar.{scope}() alwaysinline nounwind {{\n"
        f"  fence {of}seq_cst\n  ret void\n}}"
        for scope, of in (("cta", 'syncscope("block") '), ("gl", ""), ("sys", ""))
    ]
    for kind, (bits, short) in _FLOATS.items():
        for name, operation in (
            (f"emu.nvvm.atomic.load.add.{short}.p0{short}", "fadd"),
            (f"___numba_atomic_{kind}_add", "fadd"),
            (f"___numba_atomic_{kind}_sub", "fsub"),
        ):
            found.append(_sum(name, operation) if kind == "float" else _swap(kind, name, operation))
        for name, better in (("max", "olt"), ("min", "ogt")):
            found.append(_extremum(kind, bits, f"___numba_atomic_{kind}_{name}", better, keep_nan=True))
            found.append(_extremum(kind, bits, f"___numba_atomic_{kind}_nan{name}", better, keep_nan=False))
    for name, operation in (("inc", "uinc_wrap"), ("dec", "udec_wrap")):
        found.append(_swap("i32", f"emu.nvvm.atomic.load.{name}.32.p0i32", operation))
        found.append(_swap("i64", f"___numba_atomic_u64_{name}", operation))
    return "\n".join(found)


def _swap(kind: str, name: str, operation: str) -> str:
    return (
        f"define linkonce_odr {kind} @{name}(ptr %p, {kind} %v) alwaysinline nounwind {{\n"
        f"  %old = atomicrmw {operation} ptr %p, {kind} %v monotonic\n  ret {kind} %old\n}}"
    )


def _sum(name: str, operation: str) -> str:
    negated = "  %x = fneg float %v\n" if operation == "fsub" else "  %x = bitcast float %v to float\n"
    return f"""define linkonce_odr float @{name}(ptr %p, float %v) alwaysinline nounwind {{
{_SHARED}  br i1 %is.shared, label %plain, label %flushed
plain:
  %old = atomicrmw {operation} ptr %p, float %v monotonic
  ret float %old
flushed:
{negated}  %bits = bitcast float %x to i32
  %old.bits = call i32 @emu.ptx.atomic.add.ftz(ptr %p, i32 %bits)
  %seen = bitcast i32 %old.bits to float
  ret float %seen
}}"""


def _extremum(kind: str, bits: str, name: str, better: str, *, keep_nan: bool) -> str:
    """A loop of compare and swap. It reads atomically, so that the checks see no plain access."""
    order = better if keep_nan else f"u{better[1:]}"  # an unordered comparison is also true if the old value is NaN
    return f"""define linkonce_odr {kind} @{name}(ptr %p, {kind} %v) alwaysinline nounwind {{
entry:
  %first = load atomic {bits}, ptr %p unordered, align {int(bits[1:]) // 8}
  %offers.nan = fcmp uno {kind} %v, %v
  br label %attempt
attempt:
  %old.bits = phi {bits} [ %first, %entry ], [ %seen, %swap ]
  %old = bitcast {bits} %old.bits to {kind}
  %improves = fcmp {order} {kind} %old, %v
  %number = xor i1 %offers.nan, true
  %wanted = and i1 %improves, %number
  br i1 %wanted, label %swap, label %done
swap:
  %new.bits = bitcast {kind} %v to {bits}
  %outcome = cmpxchg weak ptr %p, {bits} %old.bits, {bits} %new.bits monotonic monotonic
  %seen = extractvalue {{{bits}, i1}} %outcome, 0
  %swapped = extractvalue {{{bits}, i1}} %outcome, 1
  br i1 %swapped, label %done, label %attempt
done:
  ret {kind} %old
}}"""
