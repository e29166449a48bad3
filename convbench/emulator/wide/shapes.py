"""Which values are the same for all lanes, and which grow by a constant from lane to lane.

A value of an integer or pointer type is `base + lane · stride`, exactly, in the arithmetic of its type. A stride of 0
means that it is the same for all lanes. Values of other types are the same for all lanes, or not.
"""

import re
from dataclasses import dataclass, replace

from convbench.emulator.state import WARP
from convbench.emulator.support import registers
from convbench.emulator.wide.code import Block, Line, NotWideError, bits_of, bytes_of, typed
from convbench.emulator.wide.flow import EXIT, Flow, Loop

SPECIAL = f"emu.{registers.PREFIX}"
ROW = "emu.thread"
_OWN = ("llvm.memset.", "llvm.lifetime.", "llvm.assume")  # functions that write nothing but local memory, if anything
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


class Shapes:
    """The shapes of a kernel's values, and which of its blocks some lanes may skip.

    Parameters
    ----------
    flow : its blocks
    lanes : how many threads are side by side
    block : the shape of a block of threads, which `lanes` divides
    assumes : whether to assume what is nearly always true, where it can be seen before the kernel has written anything:
        that lanes go the same way at a branch, that a division of their numbers gives one quotient, and that numbers
        which are tested for their sign are not negative

    Attributes
    ----------
    assumed : the results of divisions and of tests, and the blocks with branches, for which that was assumed
    of : the shape of each value
    partial : the blocks that some lanes of a group may not reach with the others
    uneven : the loops that lanes may leave at different times
    """

    def __init__(self, flow: Flow, lanes: int, block: tuple[int, int, int], *, assumes: bool) -> None:
        self.flow, self.lanes, self.block = flow, lanes, block
        self.assumed: set[str] = set()
        self._early = _without_effects(flow) if assumes else set()
        self.of: dict[str, Shape] = {}
        self.partial: set[str] = set()
        self.uneven: list[Loop] = []
        self._lines = {line.result: (label, line) for label in flow.order for line in flow.blocks[label].lines
                       if line.result}  # fmt: skip
        self._joins: set[str] = set()
        self._forced: set[str] = set()
        users: dict[str, set[str]] = {}
        for label in flow.order:
            for line in flow.blocks[label].lines:
                for value in line.uses:
                    users.setdefault(value, set()).add(label)
        self.users = users
        controls = flow.controls()
        while True:
            self._settle()
            self._assume_branches()
            uneven = [label for label in flow.order if self.is_uneven(flow.blocks[label])]
            if not self._spread(uneven, controls):
                break

    def is_uneven(self, block: Block) -> bool:
        """Whether lanes may go different ways behind a block."""
        if len(self.flow.after[block.label]) < 2:
            return False
        is_assumed = block.label in self.assumed and block.label not in self.partial
        return not is_assumed and not self.has_even_number(block)

    def has_even_number(self, block: Block) -> bool:
        """Whether the number that decides where a block leads is the same for all lanes."""
        return self.shape(typed(block.end.operands[0])[1]).is_uniform

    def shape(self, value: str) -> Shape:
        """The shape of a value or a constant."""
        if value.startswith("%"):
            return self.of.get(value, UNIFORM)
        number = _number(value)
        if number is None:
            return UNIFORM
        return Shape(0, _factor(number), number if number >= 0 else None)

    def _settle(self) -> None:
        """Find shapes with what is known of the branches. A shape only ever becomes less regular."""
        self.of = {}
        changed = True
        while changed:
            changed = False
            for label in self.flow.order:
                for line in self.flow.blocks[label].lines:
                    if line.result is None:
                        continue
                    new = VARYING if line.result in self._forced else self._shape_of(line, label)
                    if line.op == "phi" and line.result in self.of:
                        new = new.joined(self.of[line.result])
                    if self.of.get(line.result) != new:
                        self.of[line.result], changed = new, True

    def _assume_branches(self) -> None:
        for label in self._early - self.partial:
            block = self.flow.blocks[label]
            is_branch = block.end.op == "br" and len(self.flow.after[label]) == len(block.targets) == 2
            if is_branch and not self.has_even_number(block) and not self.flow.loops_of(label):
                self.assumed.add(label)

    def _spread(self, uneven: list[str], controls: dict[str, set[str]]) -> bool:
        """Find what uneven branches do to blocks and values. Returns whether that is more than was known."""
        flow = self.flow
        known = len(self.partial), len(self._joins), len(self._forced)
        waiting = list(uneven)
        seen = set(waiting)
        while waiting:
            source = waiting.pop()
            for block, deciding in controls.items():
                if source in deciding and block not in self.partial and block != EXIT:
                    self.partial.add(block)
                if source in deciding and block not in seen and block != EXIT:
                    seen.add(block)
                    waiting.append(block)
        self.uneven = []
        for source in uneven:
            self._joins |= flow.joins(flow.after[source])
            meeting = flow.meeting(source)
            self.uneven += [loop for loop in flow.loops_of(source) if meeting not in loop.blocks]
        for loop in self.uneven:
            targets = [target for _, target in flow.exits(loop)]
            self._joins |= flow.joins(dict.fromkeys(targets))
            self._joins |= {target for target in targets if targets.count(target) > 1}
            self._forced |= {
                line.result for label in loop.blocks for line in flow.blocks[label].lines
                if line.result and self.users.get(line.result, set()) - loop.blocks
            }  # fmt: skip
        return (len(self.partial), len(self._joins), len(self._forced)) != known

    def _shape_of(self, line: Line, label: str) -> Shape:
        op = line.op
        if op == "phi":
            return self._of_phi(line, label)
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
            if found.stride is None and label in self._early:
                found = self._assumed_of(line)
            return found.below(self._top(line))
        if op in ("freeze", "ptrtoint", "inttoptr"):
            return shapes[0] if shapes else UNIFORM
        if op in ("trunc", "zext", "sext"):
            return self._of_cast(line, label, shapes[0] if shapes else UNIFORM)
        if op == "icmp" and line.rest.split()[0] in ("eq", "ne"):
            one, two = (self.shape(self._value(text)) for text in line.operands[:2])
            return UNIFORM if one.stride is not None and one.stride == two.stride else VARYING
        if self.tests_sign(line) and (shapes[0].stride or 0) > 0 and label in self._early:
            assert line.result is not None
            self.assumed.add(line.result)
            return UNIFORM
        return UNIFORM if all(shape.is_uniform for shape in shapes) else VARYING

    def _of_phi(self, line: Line, label: str) -> Shape:
        known = [self.of[value] if value in self.of else self.shape(value) for value, _ in line.incoming
                 if value in self.of or not value.startswith("%")]  # fmt: skip
        if label in self._joins and len({value for value, _ in line.incoming}) > 1:
            return VARYING
        if not known:
            return UNIFORM
        found = known[0]
        for shape in known[1:]:
            found = found.joined(shape)
        return found

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

    def _assumed_of(self, line: Line) -> Shape:
        """The shape of the result of a division whose quotient is the same for all lanes."""
        divisor = None if line.type.startswith("<") else self.divisor(line)
        if divisor is None or not self.shape(divisor).is_uniform:
            return VARYING
        shape = self.shape(self._value(line.operands[0]))
        if shape.stride is None or shape.stride <= 0:
            return VARYING
        assert line.result is not None
        self.assumed.add(line.result)
        return UNIFORM if line.op in ("udiv", "sdiv", "lshr") else Shape(shape.stride)

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
        if op in ("urem", "udiv") and number:
            found = number - 1 if op == "urem" else most * 2 // number
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
        if label in self._early and shape.stride > 0:  # it is assumed that no lane is negative
            assert line.result is not None
            self.assumed.add(line.result)
            return shape
        return VARYING

    @staticmethod
    def _value(operand: str) -> str:
        """The value of the first operand of an operation, which its type stands before."""
        return operand.split(" ")[-1]


def _without_effects(flow: Flow) -> set[str]:
    """The blocks before whose end nothing was written, and no other thread was waited for."""
    late = {
        label for label in flow.order
        if any(
            line.op == "store" or (line.op == "call" and line.result is None and not line.callee.startswith(_OWN))
            for line in flow.blocks[label].lines
        )
    }  # fmt: skip
    waiting = list(late)
    while waiting:
        for label in flow.after[waiting.pop()]:
            if label != EXIT and label not in late:
                late.add(label)
                waiting.append(label)
    return set(flow.order) - late


def _number(value: str) -> int | None:
    return int(value) if re.fullmatch(r"-?\d+", value) else None


def _factor(number: int) -> int:
    """The largest power of two that divides a number."""
    return number & -number or _MOST
