"""Special registers: the indices of a thread, and the sizes of its block and grid (PTX ISA, "Special Registers").

They stay calls until the kernel is woven, because only then is the shape of the block known. It becomes a constant, by
which the compiler proves that most indices into shared arrays are inside.
"""

from convbench.emulator.state import THREAD, WARP, WORKER, offset

PREFIX = "nvvm.read.ptx.sreg."
_AXES = "xyz"
_REGISTERS = (
    *(f"{register}.{axis}" for register in ("tid", "ntid", "ctaid", "nctaid") for axis in _AXES),
    *("laneid", "warpsize", "envreg0"),
)
_MOST_BLOCKS = (2**31 - 1, 65535, 65535)

THREAD_ROW = "  %thread = call ptr @emu.thread()\n"


def field(value: str, row: str, name: str, *, kind: str = "i64", mark: str = "") -> str:
    """IR that loads field `name` of the THREAD or WORKER row at pointer %`row` into %`value`."""
    record = WORKER if row.endswith("worker") else THREAD
    return (
        f"  %{value}.at = getelementptr i8, ptr %{row}, i64 {offset(record, name)}\n"
        f"  %{value} = load {kind}, ptr %{value}.at{mark}\n"
    )


WORKER_ROW = "  %worker = call ptr @emu.worker()\n"


def is_register(function: str) -> bool:
    """Whether a function of this name reads a register that the emulator has."""
    return function.startswith(f"emu.{PREFIX}") and function.removeprefix(f"emu.{PREFIX}") in _REGISTERS


def declaration(function: str) -> str:
    """IR that declares such a function, whose calls LLVM may drop or merge."""
    return f"declare i32 @{function}() memory(none) nounwind willreturn"


def read(register: str, value: str, block: tuple[int, int, int]) -> str:
    """IR that reads a register into `value`, in a kernel woven for blocks of this shape.

    A coroutine lives as long as its block, so no register changes during its life.
    """
    name, _, axis = register.partition(".")
    if name == "warpsize":
        return f"  {value} = add i32 {WARP}, 0"
    if name == "envreg0":
        return f"  {value} = add i32 0, 0"
    if name == "laneid":
        return _load(value, "emu.thread", "lane", WARP)
    extent = block[_AXES.index(axis)]
    if name == "ntid":
        return f"  {value} = add i32 {extent}, 0"
    if name == "tid":
        return _load(value, "emu.thread", f"tid_{axis}", extent)
    most = _MOST_BLOCKS[_AXES.index(axis)]
    return _load(value, "emu.worker", f"{name}_{axis}", most + (name == "nctaid"))


def _load(value: str, row: str, name: str, end: int) -> str:
    mark = ", !invariant.load !{}, !range !{i32 0, i32 " + str(end if end < 2**31 else -(2**31)) + "}"
    return field(value.removeprefix("%"), row, name, kind="i32", mark=mark).rstrip("\n")
