"""The shape of the result of each operation: whether it is the same for all lanes, or grows from lane to lane.

A value of an integer or pointer type is `base + lane · stride`, exactly, in the arithmetic of its type. A stride of 0
means that it is the same for all lanes. Values of other types are the same for all lanes, or not.
"""

import re
from dataclasses import dataclass, replace

from convbench.emulator.state import WARP
from convbench.emulator.support import registers
from convbench.emulator.wide.code import Line, NotWideError, bits_of, bytes_of, typed

SPECIAL = f"emu.{registers.PREFIX}"
ROW = "emu.thread"
_SAME = ("emu.worker", "emu.scalars", ROW)  # functions whose result is the same for all lanes
_OF_INTEGERS = ("add", "sub", "mul", "shl", "and", "or", "xor", "lshr", "udiv", "urem", "sdiv", "srem")
_MOST = 1 << 62


@dataclass(frozen=True)
class Shape:
    """The shape of a value.

    Attributes
    ----------
    stride : from lane to lane; None: it may be anything in each lane
    factor : a power of two that divides the value of the first lane
    top : a number that no lane is above, if it is known that none is negative
    """

    stride: int | None
    factor: int = 1
    top: int | None = None

    @property
    def is_uniform(self) -> bool:
        """Whether all lanes have the same value."""
        return self.stride == 0

    def joined(self, other: "Shape") -> "Shape":
        """The shape of a value that is one of two."""
        return Shape(self.stride, min(self.factor, other.factor)) if self.stride == other.stride else VARYING

    def below(self, top: int | None) -> "Shape":
        """The same shape, of a value that is known not to be above a number."""
        return replace(self, top=top)


VARYING, UNIFORM = Shape(None), Shape(0)


class Rules:
    """The shapes of results, by those of the operands.

    Parameters
    ----------
    lanes : how many threads are side by side
    block : the shape of a block of threads, which `lanes` divides
    early : the blocks in which something may be assumed

    Attributes
    ----------
    of : the shape of each value, as far as it is known
    assumed : the results for which something was assumed, and the blocks whose branches were
    """

    def __init__(self, lanes: int, block: tuple[int, int, int], early: set[str]) -> None:
        self.lanes, self.block, self.early = lanes, block, early
        self.of: dict[str, Shape] = {}
        self.assumed: set[str] = set()

    def shape(self, value: str) -> Shape:
        """The shape of a value or a constant."""
        if value.startswith("%"):
            return self.of.get(value, UNIFORM)
        number = _number(value)
        if number is None:
            return UNIFORM
        return Shape(0, _factor(number), number if number >= 0 else None)

    def shape_of(self, line: Line, label: str) -> Shape:
        """The shape of the result of a line, which is no phi, in a block."""
        op = line.op
        if op == "call":
            return self._of_call(line)
        if op == "alloca":
            return Shape(bytes_of(line.operands[0]), 1)
        shapes = [self.shape(value) for value in line.uses]
        if op == "getelementptr":
            return self._of_pointer(line)
        if op == "select":
            return self._of_select(line)
        if op in _OF_INTEGERS and not self.tests_sign(line):
            found = self._of_integers(line)
            if found.stride is None:
                found = self._assumed_of(line, label)
            return found.below(self._top(line))
        if op in ("freeze", "ptrtoint", "inttoptr"):
            return shapes[0] if shapes else UNIFORM
        if op in ("trunc", "zext", "sext"):
            return self._of_cast(line, label, shapes[0] if shapes else UNIFORM)
        if op == "icmp" and line.rest.split()[0] in ("eq", "ne"):
            one, two = (self.shape(self._value(text)) for text in line.operands[:2])
            return UNIFORM if one.stride is not None and one.stride == two.stride else VARYING
        if self.tests_sign(line) and self._may_be_low(self._value(line.operands[0]), line.type, label):
            assert line.result is not None
            self.assumed.add(line.result)
            return UNIFORM
        return UNIFORM if all(shape.is_uniform for shape in shapes) else VARYING

    def _of_call(self, line: Line) -> Shape:
        name = line.callee
        if name.startswith(SPECIAL):
            register, _, axis = name.removeprefix(SPECIAL).partition(".")
            if register == "laneid":
                return Shape(1, self.lanes, WARP - 1)
            if register != "tid":
                return UNIFORM
            x, y, z = self.block
            inside, size = {"x": (1, x), "y": (x, y), "z": (x * y, z)}[axis]
            found = VARYING if inside % self.lanes else UNIFORM
            if axis == "x" and x % self.lanes == 0:
                found = Shape(1, self.lanes)
            return found.below(size - 1)
        if name in _SAME or name.startswith("emu.shared."):
            return UNIFORM
        return UNIFORM if all(self.shape(value).is_uniform for _, value in line.arguments) else VARYING

    def _of_pointer(self, line: Line) -> Shape:
        kind, base, *indices = line.operands
        shape = self.shape(typed(base)[1])
        if len(indices) != 1:
            uniform = shape.is_uniform and all(self.shape(typed(one)[1]).is_uniform for one in indices)
            if not uniform:
                raise NotWideError(f"`{line.text.strip()}`")
            return UNIFORM
        index_kind, value = typed(indices[0])
        index = self.shape(value)
        if shape.stride is None or index.stride is None or (index.stride and bits_of(index_kind) != 64):
            return VARYING
        size = bytes_of(kind)
        return Shape(shape.stride + index.stride * size, min(shape.factor, index.factor * _factor(size)))

    def _of_select(self, line: Line) -> Shape:
        chosen, *values = (typed(operand)[1] for operand in line.operands)
        if not self.shape(chosen).is_uniform:
            return VARYING
        return self.shape(values[0]).joined(self.shape(values[1]))

    def _of_integers(self, line: Line) -> Shape:
        first, second = line.operands
        a, b = self.shape(self._value(first)), self.shape(second)
        if line.type.startswith("<") or a.stride is None or b.stride is None:
            return UNIFORM if a.is_uniform and b.is_uniform else VARYING
        op, span = line.op, (self.lanes - 1) * a.stride
        number = _number(second)
        if op == "add" or (op == "or" and "disjoint" in line.flags):
            return Shape(a.stride + b.stride, min(a.factor, b.factor))
        if op == "sub":
            return Shape(a.stride - b.stride, min(a.factor, b.factor))
        if a.is_uniform and b.is_uniform:
            factor = min(a.factor * b.factor, _MOST) if op == "mul" else 1
            if op == "shl" and number is not None:
                factor = min(a.factor << number, _MOST)
            return Shape(0, factor)
        if not b.is_uniform or number is None:
            return VARYING
        if op == "mul":
            return Shape(a.stride * number, min(a.factor * _factor(number), _MOST))
        if op == "shl":
            return Shape(a.stride << number, min(a.factor << number, _MOST))
        if a.stride <= 0:
            return VARYING
        step = 1 << min(number, 64) if op == "lshr" else number + (op == "and")
        # of a power of two, no multiple is passed from the first lane to the last, because of where the first one is
        stays = step > 0 and step == _factor(step) and min(a.factor, step) > span
        if op in ("lshr", "udiv"):
            return UNIFORM if stays else VARYING
        if op == "urem" or (op == "and" and stays):
            return Shape(a.stride, min(a.factor, step)) if stays else VARYING
        low = 1 << span.bit_length()
        if op == "and" and number & (low - 1) == 0 and a.factor >= low:
            return UNIFORM
        return VARYING

    def divisor(self, line: Line) -> str | None:
        """The divisor of a division of the first operand, also for one that is written as a shift or a mask."""
        second = line.operands[1]
        number = _number(second)
        if line.op in ("udiv", "urem", "sdiv", "srem"):
            return second
        if line.op == "lshr" and number is not None:
            return str(1 << number)
        if line.op == "and" and number is not None and number > 0 and number & (number + 1) == 0:
            return str(number + 1)
        return None

    def tests_sign(self, line: Line) -> bool:
        """Whether an operation gives nothing but the sign of its operand."""
        if line.op == "icmp":
            return (line.rest.split()[0], line.operands[1]) in (("slt", "0"), ("sgt", "-1"))
        is_shift = line.op in ("ashr", "lshr") and not line.type.startswith("<")
        return is_shift and line.operands[1] == str(bits_of(line.type) - 1)

    def _may_be_low(self, value: str, kind: str, label: str) -> bool:
        """Whether it may be assumed in a block that a number rises from lane to lane and is not negative in any."""
        span = (self.shape(value).stride or 0) * (self.lanes - 1)
        return label in self.early and 0 < span < 1 << bits_of(kind) - 1

    def _assumed_of(self, line: Line, label: str) -> Shape:
        """The shape of the result of a division whose quotient is assumed to be the same for all lanes."""
        value = self._value(line.operands[0])
        if line.type.startswith("<") or not self._may_be_low(value, line.type, label):
            return VARYING
        divisor = self.divisor(line)
        if divisor is None or not self.shape(divisor).is_uniform:
            return VARYING
        assert line.result is not None
        self.assumed.add(line.result)
        return UNIFORM if line.op in ("udiv", "sdiv", "lshr") else Shape(self.shape(value).stride)

    def _top(self, line: Line) -> int | None:
        """A number that the result of an operation is not above, and not negative, in any lane; None if unknown."""
        if line.type.startswith("<"):
            return None
        a, b = (self.shape(self._value(operand)).top for operand in line.operands[:2])
        number, most = _number(line.operands[1]), (1 << bits_of(line.type) - 1) - 1
        op, found = line.op, None
        if op == "and":
            known = [top for top in (a, b) if top is not None]
            return min(known) if known else None
        if op in ("urem", "udiv") and number is not None and number > 0:
            found = number - 1 if op == "urem" else (most * 2 + 1) // number
            found = found if a is None else min(found, a if op == "urem" else a // number)
        elif op == "lshr" and number:
            found = (2 * most + 1 if a is None else a) >> number
        elif a is not None and b is not None:
            found = {
                "add": a + b, "or": (1 << max(a, b).bit_length()) - 1, "mul": a * b, "shl": a << min(b, 64),
                "xor": (1 << max(a, b).bit_length()) - 1,
            }.get(op)  # fmt: skip
        return found if found is not None and found <= most else None

    def _of_cast(self, line: Line, label: str, shape: Shape) -> Shape:
        if line.op == "trunc":
            fits = shape.top is not None and shape.top < 1 << bits_of(line.type) - 1
            return shape if fits else shape.below(None)
        if not shape.stride or shape.top is not None:
            return shape
        kind, value = typed(line.rest.rsplit(" to ", 1)[0])
        if self._may_be_low(value, kind, label):
            assert line.result is not None
            self.assumed.add(line.result)
            return shape
        return VARYING

    @staticmethod
    def _value(operand: str) -> str:
        """The value of the first operand of an operation, which its type stands before."""
        return operand.split(" ")[-1]


def _number(value: str) -> int | None:
    return int(value) if re.fullmatch(r"-?\d+", value) else None


def _factor(number: int) -> int:
    """The largest power of two that divides a number."""
    return number & -number or _MOST
