"""Atomic additions of PTX that no instruction of LLVM does: each is a loop around a compare-and-swap.

Source: PTX ISA, "atom": float32 in global memory flushes subnormals; halves are rounded to nearest.
"""

_HALVES = {"f16": "half", "bf16": "bfloat16"}


def definitions() -> str:
    """IR of `emu.ptx.atomic.add.*`. Values are given and returned as bits."""
    found = [_loop("ftz", "i32", _FLUSHED)]
    for kind, short in _HALVES.items():
        found.append(_loop(kind, "i16", _sum_of_halves(short, "0", "%old", "%v") + "  %new = or i16 %s.0, 0\n"))
        found.append(_loop(f"{kind}x2", "i32", _in_both(short)))
    return "\n".join(found)


def _loop(name: str, own: str, compute: str) -> str:
    """An atomic addition: `compute` is IR that makes %new of %old and %v."""
    return f"""define linkonce_odr {own} @emu.ptx.atomic.add.{name}(ptr %p, {own} %v) alwaysinline nounwind {{
entry:
  %first = load atomic {own}, ptr %p monotonic, align {int(own[1:]) // 8}
  br label %again
again:
  %old = phi {own} [ %first, %entry ], [ %seen, %again ]
{compute}  %pair = cmpxchg ptr %p, {own} %old, {own} %new seq_cst seq_cst
  %seen = extractvalue {{{own}, i1}} %pair, 0
  %ok = extractvalue {{{own}, i1}} %pair, 1
  br i1 %ok, label %done, label %again
done:
  ret {own} %old
}}"""


def _flushed(name: str, value: str) -> str:
    """The bits of a float32, or of the zero of its sign if it is subnormal."""
    return (
        f"  %{name}.size = and i32 {value}, 2139095040\n  %{name}.small = icmp eq i32 %{name}.size, 0\n"
        f"  %{name}.sign = and i32 {value}, -2147483648\n"
        f"  %{name} = select i1 %{name}.small, i32 %{name}.sign, i32 {value}\n"
    )


_FLUSHED = (
    _flushed("a", "%old")
    + _flushed("b", "%v")
    + "  %x = bitcast i32 %a to float\n  %y = bitcast i32 %b to float\n  %sum = fadd float %x, %y\n"
    "  %nan = fcmp uno float %sum, %sum\n  %sum.bits = bitcast float %sum to i32\n"
    + _flushed("s", "%sum.bits")
    + "  %new = select i1 %nan, i32 2147483647, i32 %s\n"
)


def _sum_of_halves(short: str, number: str, old: str, value: str) -> str:
    return (
        f"  %x.{number} = call double @emu.{short}.wide(i16 {old})\n"
        f"  %y.{number} = call double @emu.{short}.wide(i16 {value})\n"
        f"  %z.{number} = fadd double %x.{number}, %y.{number}\n"
        f"  %s.{number} = call i16 @emu.{short}.rn(double %z.{number})\n"
    )


def _in_both(short: str) -> str:
    """The sums of two pairs of halves."""
    text = ""
    for number in range(2):
        for name in ("old", "v"):
            text += f"  %{name}.{number}.w = lshr i32 %{name}, {16 * number}\n"
            text += f"  %{name}.{number} = trunc i32 %{name}.{number}.w to i16\n"
        text += _sum_of_halves(short, str(number), f"%old.{number}", f"%v.{number}")
        text += f"  %n.{number} = zext i16 %s.{number} to i32\n"
    return text + "  %up = shl i32 %n.1, 16\n  %new = or i32 %up, %n.0\n"
