"""Instructions of warpgroups: a thread writes its operands into a block, waits for the 127 others, reads its results.

`emulator.warpgroup` computes the results. `fence.proxy.async` does nothing, because here products and threads see the
same shared memory.
"""

from convbench.emulator.collectives.products import BF16, F16, TF32
from convbench.emulator.collectives.warpgroup import (
    BEGINS,
    BY_DESCRIPTOR,
    COMMIT,
    COUNT,
    FENCE,
    KIND,
    MULTIPLY,
    PENDING,
    WAIT,
    A,
    B,
    C,
)
from convbench.emulator.state import THREAD, Status, offset
from convbench.emulator.support.registers import THREAD_ROW

WIDTHS = 64, 128, 256
KINDS = {"tf32": (TF32, 8), "f16": (F16, 16), "bf16": (BF16, 16)}
_SITE = "i64 %site"
_ALL_LANES = 0xFFFFFFFF
_Bodies = dict[str, tuple[str, tuple[str, ...], str]]


def bodies() -> _Bodies:
    """Result type, parameters and body by PTX, as in `inline_ptx`. The last parameter is the place in the source."""
    found: _Bodies = {
        "fence.proxy.async.shared::cta;": ("void", (), ""),
        "wgmma.fence.sync.aligned;": ("void", (_SITE,), _ask(FENCE, block="null")),
        "wgmma.commit_group.sync.aligned;": ("void", (_SITE,), _ask(COMMIT, block="null")),
    }
    for width in WIDTHS:
        count = width // 2
        for pending in (0, 1):
            body = (
                _block(count) + _put_sums(count) + _ask(WAIT | pending << PENDING | count << COUNT) + _get_sums(count)
            )
            text = wait_text(pending, width)
            found[text] = _struct(count), (*(f"float %x{j}" for j in range(count)), _SITE), body
        for kind in KINDS:
            for begins in (False, True):
                for by_descriptor in (False, True):
                    text = multiply_text(kind, width, begins=begins, by_descriptor=by_descriptor)
                    found[text] = _multiply(kind, width, begins=begins, by_descriptor=by_descriptor)
    return found


def wait_text(pending: int, width: int) -> str:
    """The PTX of a wait that the accumulators of this width are tied to."""
    return f"wgmma.wait_group.sync.aligned {pending}; /* m64n{width} */"


def multiply_text(kind: str, width: int, *, begins: bool, by_descriptor: bool) -> str:
    """The PTX of a product. The accumulators are outputs; they are inputs too, unless the product begins the sum."""
    count = width // 2
    first = count if begins else 2 * count
    left = f"${first}" if by_descriptor else "{" + ", ".join(f"${first + i}" for i in range(4)) + "}"
    right = f"${first + (1 if by_descriptor else 4)}"
    sums = "{" + ", ".join(f"${j}" for j in range(count)) + "}"
    # factors are not negated; halves could be transposed in shared memory, and are not
    rest = "1, 1" if kind == "tf32" else "1, 1, 0, 0" if by_descriptor else "1, 1, 0"
    shape = f"m64n{width}k{KINDS[kind][1]}.f32.{kind}.{kind}"
    return f"wgmma.mma_async.sync.aligned.{shape} {sums}, {left}, {right}, {0 if begins else 1}, {rest};"


def _multiply(kind: str, width: int, *, begins: bool, by_descriptor: bool) -> tuple[str, tuple[str, ...], str]:
    count = width // 2
    option = MULTIPLY | KINDS[kind][0] << KIND | begins << BEGINS | by_descriptor << BY_DESCRIPTOR | count << COUNT
    body = _block(count)
    left = ("i64 %a",) if by_descriptor else tuple(f"i32 %a{i}" for i in range(4))
    for i, operand in enumerate(left):
        body += _put(operand, f"a.at{i}", A + i)
    body += _put("i64 %b", "b.at", B)
    if not begins:
        body += _put_sums(count)
    given = () if begins else tuple(f"float %x{j}" for j in range(count))
    return _struct(count), (*given, *left, "i64 %b", _SITE), body + _ask(option) + _get_sums(count)


def _struct(count: int) -> str:
    return "{" + ", ".join(["float"] * count) + "}"


def _block(count: int) -> str:
    return f"  %block = alloca [{C + count} x i32], align 16\n"


def _put(operand: str, name: str, word: int) -> str:
    return f"  %{name} = getelementptr i8, ptr %block, i64 {4 * word}\n  store {operand}, ptr %{name}, align 4\n"


def _put_sums(count: int) -> str:
    return "".join(_put(f"float %x{j}", f"x.at{j}", C + j) for j in range(count))


def _get_sums(count: int) -> str:
    text, before = "", "undef"
    for j in range(count):
        text += f"  %y.at{j} = getelementptr i8, ptr %block, i64 {4 * (C + j)}\n"
        text += f"  %y{j} = load float, ptr %y.at{j}\n"
        name = "%r" if j == count - 1 else f"%r{j}"
        text += f"  {name} = insertvalue {_struct(count)} {before}, float %y{j}, {j}\n"
        before = name
    return text


def _ask(option: int, *, block: str = "%block") -> str:
    asked = {"site": "%site", "mask": str(_ALL_LANES), "option": str(option), "value": "%where"}
    text = THREAD_ROW + f"  %where = ptrtoint ptr {block} to i64\n"
    for name, value in {"status": str(int(Status.WARPGROUP)), **asked}.items():
        text += f"  %{name}.at = getelementptr i8, ptr %thread, i64 {offset(THREAD, name)}\n"
        text += f"  store i64 {value}, ptr %{name}.at\n"
    return text + "  call void @emu.suspend()\n"
