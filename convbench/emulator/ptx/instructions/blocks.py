"""Operands of matrix instructions: they go into a block of words on the stack, where their results appear."""

from convbench.emulator.collectives import products
from convbench.emulator.ptx.body import Body
from convbench.emulator.ptx.syntax import Operand, Vector
from convbench.emulator.ptx.watched import WatchedMemory

FACTORS = {
    "tf32": products.TF32, "f16": products.F16, "bf16": products.BF16, "s8": products.S8, "u8": products.U8,
    "e4m3": products.E4M3, "e5m2": products.E5M2, "s4": products.S4, "u4": products.U4, "f64": products.F64,
}  # fmt: skip
SUMS = {"f32": products.FLOAT, "f16": products.HALF, "s32": products.INTEGER, "f64": products.DOUBLE}
UNKNOWN = "this shape or these types are not known here"
_LLVM = {"f32": "float", "f64": "double", "b64": "i64"}


def kinds_among(modifiers: tuple[str, ...]) -> list[str]:
    """The types among the modifiers of a matrix instruction."""
    return [word for word in modifiers if word in FACTORS or word in SUMS or word == "b1"]


def shape_among(modifiers: tuple[str, ...]) -> tuple[int, int, int]:
    """The rows, columns and depth in m16n8k16; zeros if there is no shape."""
    for word in modifiers:
        rows, is_shape, rest = word.removeprefix("m").partition("n")
        columns, is_whole, depth = rest.partition("k")
        if is_shape and is_whole and rows.isdigit() and columns.isdigit() and depth.isdigit():
            return int(rows), int(columns), int(depth)
    return 0, 0, 0


def factor_of(kind: str, modifiers: tuple[str, ...]) -> int:
    """The number of a type of factors; of bits, which are combined by and or by exclusive or."""
    return (products.XOR if "xor" in modifiers else products.AND) if kind == "b1" else FACTORS[kind]


def register_of(kind: str) -> str:
    """The type of the registers that hold elements of this type."""
    return kind if kind in ("f32", "f64") else "b32"


def words_of(operand: Operand, kind: str) -> int:
    """The words of 32 bits in the registers of an operand."""
    return (len(operand.items) if isinstance(operand, Vector) else 1) * (2 if kind in ("f64", "b64") else 1)


def block_of(e: Body, words: int) -> str:
    """A block of words on the stack, which a lane fills and the scheduler reads."""
    return e.hoist(f"matrix.{words}", lambda op: op(f"alloca [{words} x i32], align 16"))


def word_at(e: Body, block: str, word: int) -> str:
    """The pointer to a word of a block."""
    return e.op(f"getelementptr i8, ptr {block}, i64 {4 * word}")


def put(e: Body, block: str, word: int, operand: Operand, kind: str) -> int:
    """Store the registers of an operand from a word on. Returns the word behind them."""
    for item in e.items(operand):
        e.put(f"store {_LLVM.get(kind, 'i32')} {e.get(item, kind)}, ptr {word_at(e, block, word)}, align 4")
        word += 2 if kind in ("f64", "b64") else 1
    return word


def take(e: Body, to: Operand, block: str, word: int, kind: str) -> None:
    """Give registers the words of a block."""
    for item in e.items(to):
        value = e.op(f"load {_LLVM.get(kind, 'i32')}, ptr {word_at(e, block, word)}, align 4")
        e.set(item, kind, value)
        word += 2 if kind == "f64" else 1


def ask(e: Body, block: str, option: int) -> None:
    """Wait for the warp, and let the scheduler compute the results of an instruction in the block."""
    e.call("void", "emu.ptx.tensor", f"ptr {block}", f"i64 {option}", f"i64 {e.site}")


def run_together(e: Body) -> None:
    """Let no lane go on before all have stored, as on hardware. Checked mode leaves it to the program to order them."""
    if not isinstance(e.memory, WatchedMemory):
        e.call("void", "emu.nvvm.bar.warp.sync", "i32 -1", f"i64 {e.site}")
