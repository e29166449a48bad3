"""Instructions of tensor cores: a lane writes its operands into a block, waits for its warp, and reads its results.

`emulator.tensor` computes the results. The row of 16 bytes that a lane brings to ldmatrix is read here, so that the
checked mode sees an access like any other.
"""

from convbench.emulator.collectives.products import BF16, F16, TF32
from convbench.emulator.collectives.tensor import LOAD, LOAD_TRANSPOSED
from convbench.emulator.state import THREAD, Status, offset
from convbench.emulator.support.copies import TO
from convbench.emulator.support.registers import THREAD_ROW

_WORDS, _FLOATS = "{i32, i32, i32, i32}", "{float, float, float, float}"
_ALL_LANES = 0xFFFFFFFF
_LISTED = "{$0, $1, $2, $3}"
_SITE = "i64 %site"


def bodies() -> dict[str, tuple[str, tuple[str, ...], str]]:
    """Result type, parameters and body by PTX, as in `inline_ptx`. The last parameter is the place in the source."""
    found: dict[str, tuple[str, tuple[str, ...], str]] = {}
    for suffix, instruction in (("", LOAD), (".trans", LOAD_TRANSPOSED)):
        body = TO + "  %block = alloca [4 x i32], align 16\n"
        body += "  call void @emu.matrix.row(ptr %block, ptr %to)\n" + _ask(instruction) + _read("i32", _WORDS, 0)
        text = f"ldmatrix.sync.aligned.m8n8.x4{suffix}.shared.b16 {_LISTED}, [$4];"
        found[text] = _WORDS, ("i32 %window", _SITE), body
    operands = [f"i32 %x{i}" for i in range(6)] + [f"float %x{i}" for i in range(6, 10)]
    for shape, kind, instruction in (("m16n8k8", "tf32", TF32), ("m16n8k16", "f16", F16), ("m16n8k16", "bf16", BF16)):
        body = "  %block = alloca [10 x i32], align 16\n"
        for i, operand in enumerate(operands):
            body += f"  %at{i} = getelementptr i8, ptr %block, i64 {4 * i}\n  store {operand}, ptr %at{i}\n"
        body += _ask(instruction) + _read("float", _FLOATS, 6)
        text = f"mma.sync.aligned.{shape}.row.col.f32.{kind}.{kind}.f32 {_LISTED}, "
        text += "{$4, $5, $6, $7}, {$8, $9}, {$10, $11, $12, $13};"
        found[text] = _FLOATS, (*operands, _SITE), body
    return found


def definitions(*, checked: bool) -> str:
    """IR of `emu.matrix.row`. In checked mode, its access must be aligned as the hardware requires."""
    align = 16 if checked else 1
    return (
        "define linkonce_odr void @emu.matrix.row(ptr %block, ptr %from) alwaysinline nounwind {\n"
        f"  %row = load <4 x i32>, ptr %from, align {align}\n  store <4 x i32> %row, ptr %block, align 16\n"
        "  ret void\n}"
    )


def _ask(instruction: int) -> str:
    asked = {"site": "%site", "mask": str(_ALL_LANES), "option": str(instruction), "value": "%where"}
    text = THREAD_ROW + "  %where = ptrtoint ptr %block to i64\n"
    for name, value in {"status": str(int(Status.TENSOR)), **asked}.items():
        text += f"  %{name}.at = getelementptr i8, ptr %thread, i64 {offset(THREAD, name)}\n"
        text += f"  store i64 {value}, ptr %{name}.at\n"
    return text + "  call void @emu.suspend()\n"


def _read(kind: str, result: str, first: int) -> str:
    text, before = "", "undef"
    for i in range(4):
        text += f"  %from{i} = getelementptr i8, ptr %block, i64 {4 * (first + i)}\n"
        text += f"  %y{i} = load {kind}, ptr %from{i}\n"
        name = "%r" if i == 3 else f"%r{i}"
        text += f"  {name} = insertvalue {result} {before}, {kind} %y{i}, {i}\n"
        before = name
    return text
