"""Matrix instructions of warps and warpgroups, by the functions that stand for inline PTX (`support.inline_ptx`).

A product of a warpgroup is computed where it is issued: it fences, commits and waits at once. A right program cannot
tell the difference.
"""

from convbench.emulator.ptx.body import Body
from convbench.emulator.ptx.instructions.table import lowers
from convbench.emulator.ptx.syntax import Address, Instruction, Operand, Vector
from convbench.emulator.state import FaultKind
from convbench.emulator.support import inline_ptx, warpgroup

_WARP = "Warp-Level Matrix Instructions"
_GROUP = "Asynchronous Warpgroup-Level Matrix Multiply-Accumulate Instructions"
_ROW_BYTES = 16  # that a lane brings to ldmatrix


def _called(e: Body, text: str, values: list[str]) -> tuple[str, str]:
    """Call the function that stands for a piece of PTX. Returns its value and type."""
    name = inline_ptx.name_of(text)
    if name is None:
        raise e.refuse("this shape or these types are not known here")
    result, kinds = inline_ptx.types_of(text)
    if inline_ptx.is_sited(text):
        values = [*values, str(e.site)]
    arguments = (f"{kind} {value}" for kind, value in zip(kinds, values, strict=True))
    return e.call(result, name, *arguments), result


def _values(e: Body, operands: tuple[Operand, ...], text: str) -> list[str]:
    """The elements of all operands, of the types that the function takes."""
    _, kinds = inline_ptx.types_of(text)
    items = [item for operand in operands for item in e.items(operand)]
    wanted = {"float": "f32", "i32": "b32", "i64": "b64", "double": "f64"}
    return [e.get(item, wanted[kind]) for item, kind in zip(items, kinds, strict=False)]


def _spread(e: Body, to: Operand, value: str, result: str) -> None:
    """Give the registers of a vector the elements of a structure."""
    for number, item in enumerate(e.items(to)):
        kind = result.strip("{}").split(", ")[0]
        e.set(item, "f32" if kind == "float" else "b32", e.op(f"extractvalue {result} {value}, {number}"))


def _text(i: Instruction) -> str:
    """The piece of inline PTX that has the same opcode, with its operands numbered."""
    number = 0
    shown = []
    for operand in i.operands:
        count = len(operand.items) if isinstance(operand, Vector) else 1
        names = ", ".join(f"${number + place}" for place in range(count))
        shown.append(f"{{{names}}}" if isinstance(operand, Vector) else names)
        if isinstance(operand, Address):
            shown[-1] = f"[{names}]"
        number += count
    return f"{i.name} {', '.join(shown)};"


@lowers("mma", section=f"{_WARP}: mma")
def multiply(e: Body, i: Instruction) -> None:
    """Set d = a · b + c, for the fragments of a warp."""
    text = _text(i)
    if inline_ptx.name_of(text) is None:
        raise e.refuse("this shape or these types are not known here")
    _spread(e, i.operands[0], *_called(e, text, _values(e, i.operands[1:], text)))


@lowers("ldmatrix", section=f"{_WARP}: ldmatrix")
def load_matrix(e: Body, i: Instruction) -> None:
    """Load four matrices of 8 × 8 halves for a warp."""
    text = _text(i)
    if inline_ptx.name_of(text) is None:
        raise e.refuse("only .x4 of b16 is known here")
    address = i.operands[1]
    assert isinstance(address, Address)
    memory = e.memory
    pointer = memory.pointer(e, address, "shared", _ROW_BYTES, FaultKind.READ_OUTSIDE)
    place = e.op(f"sub i64 {e.op(f'ptrtoint ptr {pointer} to i64')}, {memory.base_address(e, 'shared')}")
    _spread(e, i.operands[0], *_called(e, text, [e.op(f"trunc i64 {place} to i32")]))


@lowers("wgmma", section=_GROUP)
def multiply_in_warpgroup(e: Body, i: Instruction) -> None:
    """Set d = a · b + d, for the fragments of a warpgroup; a is in registers or in shared memory."""
    if i.modifiers[0] != "mma_async":
        return  # fences, groups and waits order what has happened already
    sums, left, right, scale, *rest = i.operands
    shape, _, kind, *_ = i.modifiers[3:]
    width = int(shape.partition("n")[2].partition("k")[0])
    if [operand for operand in rest[:2] if operand != "1"] or [operand for operand in rest[2:] if operand != "0"]:
        raise e.refuse("negated or transposed factors")
    if kind not in warpgroup.KINDS or width not in warpgroup.WIDTHS:
        raise e.refuse("this shape or these types are not known here")
    if scale not in ("0", "1"):
        raise e.refuse("whether it begins a sum is not known when it compiles")
    text = warpgroup.multiply_text(kind, width, begins=scale == "0", by_descriptor=not isinstance(left, Vector))
    operands = (left, right) if scale == "0" else (sums, left, right)
    _called(e, "wgmma.fence.sync.aligned;", [])
    value, result = _called(e, text, _values(e, operands, text))
    _called(e, "wgmma.commit_group.sync.aligned;", [])
    marks = [e.op(f"extractvalue {result} {value}, {number}") for number in range(len(e.items(sums)))]
    _spread(e, sums, *_called(e, warpgroup.wait_text(0, width), marks))
