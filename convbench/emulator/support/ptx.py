"""Functions for PTX instructions that take more than a few lines of IR.

Source: PTX ISA, at the instruction that a function is named after.
"""

from convbench.emulator.state import RANGE, WORKER, offset

_PRMT_MODES = ("f4e", "b4e", "rc8", "ecl", "ecr", "rc16")


def definitions() -> str:
    """IR of `emu.ptx.*`."""
    found = [_FIND, _FNS, _SUM_TO_ODD, _TO_ODD_SIGNED, _TO_ODD_UNSIGNED]
    for width in (32, 64):
        found += [_bfe(width, "s"), _bfe(width, "u"), _bfi(width)]
    found += [_prmt(), *map(_prmt_mode, _PRMT_MODES)]
    return "\n".join(found)


# Whether `width` bytes at a generic address lie in one array, in the block's memory or in the function's local memory.
# It stays a function: inlined at a hundred accesses of one kernel, it took LLVM a minute and a half.
_FIND = f"""define linkonce_odr i1 @emu.ptx.find(
  ptr %worker, i64 %a, i64 %width, i64 %local, i64 %local.bytes
) noinline nounwind willreturn memory(read) {{
entry:
  %inside.local = sub i64 %a, %local
  %most.local = call i64 @llvm.usub.sat.i64(i64 %local.bytes, i64 %width)
  %fits.local = icmp ule i64 %width, %local.bytes
  %low.local = icmp ule i64 %inside.local, %most.local
  %in.local = and i1 %fits.local, %low.local
  %table.at = getelementptr i8, ptr %worker, i64 {offset(WORKER, "ranges")}
  %table = load ptr, ptr %table.at
  %count.at = getelementptr i8, ptr %worker, i64 {offset(WORKER, "n_ranges")}
  %count = load i64, ptr %count.at
  br i1 %in.local, label %found, label %next
next:
  %n = phi i64 [ 0, %entry ], [ %n.next, %other ]
  %more = icmp ult i64 %n, %count
  br i1 %more, label %look, label %missing
look:
  %place = mul i64 %n, {RANGE.itemsize}
  %row = getelementptr i8, ptr %table, i64 %place
  %begin.at = getelementptr i8, ptr %row, i64 {offset(RANGE, "begin")}
  %begin = load i64, ptr %begin.at
  %size.at = getelementptr i8, ptr %row, i64 {offset(RANGE, "size")}
  %size = load i64, ptr %size.at
  %inside = sub i64 %a, %begin
  %most = sub i64 %size, %width
  %fits = icmp ule i64 %width, %size
  %low = icmp ule i64 %inside, %most
  %here = and i1 %fits, %low
  br i1 %here, label %found, label %other
other:
  %n.next = add i64 %n, 1
  br label %next
found:
  ret i1 true
missing:
  ret i1 false
}}
declare i64 @llvm.usub.sat.i64(i64, i64)"""

_FNS = """define linkonce_odr i32 @emu.ptx.fns(i32 %mask, i32 %base, i32 %offset) nounwind {
entry:
  %zero = icmp eq i32 %offset, 0
  %up = icmp sgt i32 %offset, 0
  %step = select i1 %up, i32 1, i32 -1
  %most = call i32 @llvm.abs.i32(i32 %offset, i1 false)
  %count = select i1 %zero, i32 1, i32 %most
  %only = select i1 %zero, i1 true, i1 false
  br label %look
look:
  %at = phi i32 [ %base, %entry ], [ %at.next, %on ]
  %left = phi i32 [ %count, %entry ], [ %left.next, %on ]
  %inside = icmp ult i32 %at, 32
  br i1 %inside, label %test, label %none
test:
  %shifted = lshr i32 %mask, %at
  %bit = and i32 %shifted, 1
  %left.next = sub i32 %left, %bit
  %done = icmp eq i32 %left.next, 0
  br i1 %done, label %found, label %stay
stay:
  br i1 %only, label %none, label %on
on:
  %at.next = add i32 %at, %step
  br label %look
found:
  ret i32 %at
none:
  ret i32 -1
}
declare i32 @llvm.abs.i32(i32, i1)"""


def _to_odd(sign: str, negative: str) -> str:
    """A 64-bit integer as a double whose last bit is set if anything was cut off, so that it can be rounded again."""
    return f"""define linkonce_odr double @emu.ptx.{sign}64.to.odd(i64 %x) alwaysinline nounwind {{
  %negative = {negative}
  %minus = sub i64 0, %x
  %size = select i1 %negative, i64 %minus, i64 %x
  %low = and i64 %size, 2047
  %lost = icmp ne i64 %low, 0
  %large = icmp ugt i64 %size, 9007199254740992
  %cut = and i64 %size, -2048
  %odd = or i64 %cut, 2048
  %rough = select i1 %lost, i64 %odd, i64 %cut
  %whole = select i1 %large, i64 %rough, i64 %size
  %number = uitofp i64 %whole to double
  %opposite = fneg double %number
  %r = select i1 %negative, double %opposite, double %number
  ret double %r
}}"""


_TO_ODD_SIGNED = _to_odd("s", "icmp slt i64 %x, 0")
_TO_ODD_UNSIGNED = _to_odd("u", "icmp eq i1 true, false")


# a + b with the last bit set if anything was lost, so that it can be rounded again; the error of a sum is exact (Knuth,
# "The Art of Computer Programming", volume 2, 4.2.2)
_SUM_TO_ODD = """define linkonce_odr double @emu.ptx.sum.to.odd(double %a, double %b) alwaysinline nounwind {
  %s = fadd double %a, %b
  %b.part = fsub double %s, %a
  %a.part = fsub double %s, %b.part
  %b.lost = fsub double %b, %b.part
  %a.lost = fsub double %a, %a.part
  %lost = fadd double %a.lost, %b.lost
  %some = fcmp one double %lost, 0.0
  %bits = bitcast double %s to i64
  %lost.bits = bitcast double %lost to i64
  %differ = xor i64 %bits, %lost.bits
  %same = icmp sge i64 %differ, 0
  %step = select i1 %same, i64 1, i64 -1
  %last = and i64 %bits, 1
  %even = icmp eq i64 %last, 0
  %wanted = and i1 %some, %even
  %moved = add i64 %bits, %step
  %chosen = select i1 %wanted, i64 %moved, i64 %bits
  %r = bitcast i64 %chosen to double
  ret double %r
}"""


def _bfe(width: int, sign: str) -> str:
    """bfe: the sign is that of the highest bit of the field, or of a if the field reaches beyond it."""
    own, last = f"i{width}", width - 1
    widen = "" if width == 32 else "  %p.wide = zext i32 %p to i64\n  %l.wide = zext i32 %l to i64\n"
    p, length = ("%p", "%l") if width == 32 else ("%p.wide", "%l.wide")
    unsigned = f"""  %shift.ok = icmp ult {own} {p}, {width}
  %p.safe = select i1 %shift.ok, {own} {p}, {own} 0
  %moved = lshr {own} %a, %p.safe
  %moved.ok = select i1 %shift.ok, {own} %moved, {own} 0
  %short = icmp ult {own} {length}, {width}
  %l.safe = select i1 %short, {own} {length}, {own} 0
  %one = shl {own} 1, %l.safe
  %ones = sub {own} %one, 1
  %mask = select i1 %short, {own} %ones, {own} -1
  %field = and {own} %moved.ok, %mask
"""
    signed = f"""  %end = add {own} {p}, {length}
  %top = sub {own} %end, 1
  %top.in = icmp ult {own} %top, {width}
  %top.safe = select i1 %top.in, {own} %top, {own} {last}
  %sign.moved = lshr {own} %a, %top.safe
  %sign = and {own} %sign.moved, 1
  %none = icmp eq {own} {length}, 0
  %negative = icmp ne {own} %sign, 0
  %room = sub {own} {width}, {p}
  %held = select i1 %shift.ok, {own} %room, {own} 0
  %fewer = icmp ult {own} {length}, %held
  %known = select i1 %fewer, {own} {length}, {own} %held
  %known.all = icmp uge {own} %known, {width}
  %known.safe = select i1 %known.all, {own} 0, {own} %known
  %above.raw = shl {own} -1, %known.safe
  %above = select i1 %known.all, {own} 0, {own} %above.raw
  %filled = or {own} %field, %above
  %extended = select i1 %negative, {own} %filled, {own} %field
  %r = select i1 %none, {own} 0, {own} %extended
"""
    body = (
        widen + "  %p = and i32 %b, 255\n  %l = and i32 %c, 255\n"
        if width == 32
        else ("  %p = and i32 %b, 255\n  %l = and i32 %c, 255\n" + widen)
    )
    body += unsigned + (signed if sign == "s" else f"  %r = or {own} %field, 0\n")
    return (
        f"define linkonce_odr {own} @emu.ptx.bfe.{sign}{width}({own} %a, i32 %b, i32 %c) alwaysinline nounwind {{\n"
        f"{body}  ret {own} %r\n}}"
    )


def _bfi(width: int) -> str:
    own = f"i{width}"
    widen = (
        f"  %p = zext i32 %p32 to {own}\n  %l = zext i32 %l32 to {own}\n"
        if width == 64
        else ("  %p = add i32 %p32, 0\n  %l = add i32 %l32, 0\n")
    )
    parameters = f"{own} %a, {own} %b, i32 %c, i32 %d"
    return f"""define linkonce_odr {own} @emu.ptx.bfi.b{width}({parameters}) alwaysinline nounwind {{
  %p32 = and i32 %c, 255
  %l32 = and i32 %d, 255
{widen}  %inside = icmp ult {own} %p, {width}
  %p.safe = select i1 %inside, {own} %p, {own} 0
  %short = icmp ult {own} %l, {width}
  %l.safe = select i1 %short, {own} %l, {own} 0
  %one = shl {own} 1, %l.safe
  %ones = sub {own} %one, 1
  %low = select i1 %short, {own} %ones, {own} -1
  %placed = shl {own} %low, %p.safe
  %mask = select i1 %inside, {own} %placed, {own} 0
  %moved = shl {own} %a, %p.safe
  %new = and {own} %moved, %mask
  %rest = xor {own} %mask, -1
  %old = and {own} %b, %rest
  %r = or {own} %new, %old
  ret {own} %r
}}"""


def _chosen(selector: str, number: int) -> str:
    """IR that takes the byte of b:a, in %both, that the four bits %selector name, into %byte.<number>."""
    return (
        f"  %which.{number} = and i64 {selector}, 7\n  %far.{number} = shl i64 %which.{number}, 3\n"
        f"  %moved.{number} = lshr i64 %both, %far.{number}\n  %byte.{number} = and i64 %moved.{number}, 255\n"
    )


_BOTH = (
    "  %low = zext i32 %a to i64\n  %high = zext i32 %b to i64\n  %up = shl i64 %high, 32\n  %both = or i64 %up, %low\n"
)
_BOTH += "  %word = zext i32 %c to i64\n"


def _joined(prefix: str) -> str:
    body, total = "", f"{prefix}.0"
    for number in range(1, 4):
        body += f"  %up.{number} = shl i64 {prefix}.{number}, {8 * number}\n"
        body += f"  %sum.{number} = or i64 {total}, %up.{number}\n"
        total = f"%sum.{number}"
    return body + f"  %r = trunc i64 {total} to i32\n  ret i32 %r\n"


def _prmt() -> str:
    """IR of prmt without a mode: four selectors of four bits, whose highest bit replicates the byte's sign."""
    body = _BOTH
    for number in range(4):
        body += f"  %s.{number} = lshr i64 %word, {4 * number}\n" + _chosen(f"%s.{number}", number)
        body += f"  %m.{number} = and i64 %s.{number}, 8\n  %signed.{number} = icmp ne i64 %m.{number}, 0\n"
        body += f"  %t.{number} = and i64 %byte.{number}, 128\n  %neg.{number} = icmp ne i64 %t.{number}, 0\n"
        body += f"  %ones.{number} = select i1 %neg.{number}, i64 255, i64 0\n"
        body += f"  %out.{number} = select i1 %signed.{number}, i64 %ones.{number}, i64 %byte.{number}\n"
    head = "define linkonce_odr i32 @emu.ptx.prmt(i32 %a, i32 %b, i32 %c) alwaysinline nounwind {\n"
    return head + body + _joined("%out") + "}"


def _prmt_mode(mode: str) -> str:
    """IR of prmt with a mode: the selector is the low two bits of c (PTX ISA, "prmt", table of modes)."""
    modes: dict[str, list[tuple[int, ...]]] = {
        "f4e": [(0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (3, 4, 5, 6)],
        "b4e": [(0, 7, 6, 5), (1, 0, 7, 6), (2, 1, 0, 7), (3, 2, 1, 0)],
        "rc8": [(n, n, n, n) for n in range(4)],
        "ecl": [tuple(max(n, s) for n in range(4)) for s in range(4)],
        "ecr": [tuple(min(n, s) for n in range(4)) for s in range(4)],
        "rc16": [(0, 1, 0, 1), (2, 3, 2, 3), (0, 1, 0, 1), (2, 3, 2, 3)],
    }  # the bytes of the result for selectors 0 to 3, lowest first
    rows = modes[mode]
    body = _BOTH + "  %mode = and i64 %word, 3\n"
    for number in range(4):
        packed = sum(row[number] << 8 * selector for selector, row in enumerate(rows))
        body += f"  %by.{number} = shl i64 %mode, 3\n  %pick.{number} = lshr i64 {packed}, %by.{number}\n"
        body += _chosen(f"%pick.{number}", number)
    head = f"define linkonce_odr i32 @emu.ptx.prmt.{mode}(i32 %a, i32 %b, i32 %c) alwaysinline nounwind {{\n"
    return head + body + _joined("%byte") + "}"
