"""Barriers and warp collectives: a thread writes its request into its row, waits, and reads the answer.

The scheduler (`schedule`) answers. Each function takes one argument more than NVVM's: the number of the place in the
source. By this number the scheduler knows whether threads that wait together wait at the same place.
"""

from convbench.emulator.state import THREAD, Status, offset
from convbench.emulator.support.registers import THREAD_ROW, field

_PAIR = (
    "  %pair.0 = insertvalue {i32, i1} undef, i32 %narrow, 0\n"
    "  %flag = trunc i64 %predicate to i1\n"
    "  %pair = insertvalue {i32, i1} %pair.0, i1 %flag, 1\n"
    "  ret {i32, i1} %pair\n"
)

# the requests of barrier.popc, .and and .or, by the scheduler's numbers
REDUCTIONS = {"popc": 1, "and": 2, "or": 3}


def definitions() -> str:
    """IR of `emu.nvvm.barrier0*`, `bar.warp.sync`, `shfl.sync`, `vote.sync` and `match.*.sync`."""
    found = [_ask("void", "barrier0", (), Status.BARRIER, {"option": "0"}), _shuffle(), _vote()]
    for name, number in REDUCTIONS.items():
        asked = {"option": str(number), "value": "%v.wide"}
        found.append(_ask("i32", f"barrier0.{name}", ("i32 %v",), Status.BARRIER, asked))
    found.append(_ask("void", "bar.warp.sync", ("i32 %m",), Status.SYNCWARP, {"mask": "%m.wide"}))
    found += [_named(name, number) for name, number in {"": 0, **REDUCTIONS}.items()]
    asked = {"mask": "%b.wide", "extra": "%n.wide"}
    found.append(_ask("void", "emu.ptx.barrier.arrive", ("i32 %b", "i32 %n"), Status.ARRIVE, asked))
    found.append(_ask("i32", "emu.ptx.activemask", (), Status.ACTIVE, {}))
    found += [_ask("void", f"emu.ptx.{name}", (), Status.READY, {}) for name in ("yield", "pause")]
    asked = {"mask": "%m.wide", "option": "%o.wide", "value": "%v.wide"}
    found.append(_ask("i32", "emu.ptx.redux", ("i32 %m", "i32 %o", "i32 %v"), Status.REDUCE, asked))
    for name, status in (("tensor", Status.TENSOR), ("wgmma_now", Status.WARPGROUP)):
        asked = {"mask": str(0xFFFFFFFF), "option": "%option", "value": "%where"}
        where = "  %where = ptrtoint ptr %block to i64\n"
        found.append(_ask("void", f"emu.ptx.{name}", ("ptr %block", "i64 %option"), status, asked, where))
    for bits in (32, 64):
        value = "%v.wide" if bits == 32 else "%v"
        for number, (name, kind) in enumerate((("any", "i32"), ("all", "{i32, i1}"))):
            asked = {"mask": "%m.wide", "value": value, "option": str(number)}
            parameters = ("i32 %m", f"i{bits} %v")
            found.append(_ask(kind, f"match.{name}.sync.i{bits}", parameters, Status.MATCH, asked))
    found.append("define linkonce_odr i64 @cudaCGGetIntrinsicHandle(i32 %scope) alwaysinline {\n  ret i64 1\n}")
    synchronise = "  call void @emu.grid()\n  ret i32 0\n"
    found.append(f"define linkonce_odr i32 @cudaCGSynchronize(i64 %g, i32 %f) alwaysinline {{\n{synchronise}}}")
    return "\n".join(found)


def _named(name: str, number: int) -> str:
    """A barrier with a number and a count of threads."""
    asked = {"mask": "%b.wide", "extra": "%n.wide", "option": str(number), "value": "%v.wide"}
    parameters = ("i32 %b", "i32 %n", "i32 %v")
    return _ask("i32", f"emu.ptx.barrier{name and '.' + name}", parameters, Status.NAMED, asked)


def _shuffle() -> str:
    parameters = ("i32 %m", "i32 %mode", "i32 %v", "i32 %b", "i32 %c")
    asked = {"mask": "%m.wide", "option": "%mode.wide", "extra": "%extra"}
    packed = "  %c.high = shl i64 %c.wide, 32\n  %extra = or i64 %c.high, %b.wide\n"
    return _ask("{i32, i1}", "shfl.sync.i32", parameters, Status.SHUFFLE, asked, packed)


def _vote() -> str:
    parameters = ("i32 %m", "i32 %mode", "i1 %v")
    asked = {"mask": "%m.wide", "option": "%mode.wide", "value": "%v.wide"}
    return _ask("{i32, i1}", "vote.sync", parameters, Status.VOTE, asked)


def _ask(
    kind: str, name: str, parameters: tuple[str, ...], status: Status, asked: dict[str, str], extra: str = ""
) -> str:
    body = THREAD_ROW
    for parameter in parameters:
        narrow, variable = parameter.split()
        if narrow not in ("i64", "ptr"):
            body += f"  {variable}.wide = zext {narrow} {variable} to i64\n"
    body += extra
    for row_field, value in {"status": str(int(status)), "site": "%site", **asked}.items():
        body += f"  %{row_field}.at = getelementptr i8, ptr %thread, i64 {offset(THREAD, row_field)}\n"
        body += f"  store i64 {value}, ptr %{row_field}.at\n"
    is_shuffle = status is Status.SHUFFLE
    body += "  call void @emu.turns(i64 0)\n" * (status is Status.BARRIER)
    body += "  call void @emu.give(i32 %v)\n" * is_shuffle + "  call void @emu.suspend()\n"
    if kind == "void":
        body += "  ret void\n"
    else:
        word = "raw" if is_shuffle else "narrow"
        body += field("result", "thread", "result") + f"  %{word} = trunc i64 %result to i32\n"
        body += "  %narrow = call i32 @emu.take(i32 %raw)\n" * is_shuffle
        body += (field("predicate", "thread", "predicate") + _PAIR) if kind != "i32" else "  ret i32 %narrow\n"
    listed = ", ".join((*parameters, "i64 %site"))
    whole = name if name.startswith("emu.") else f"emu.nvvm.{name}"
    return f"define linkonce_odr {kind} @{whole}({listed}) alwaysinline nounwind {{\n{body}}}"
