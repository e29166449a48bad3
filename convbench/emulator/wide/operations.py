"""The instructions of a block, for several lanes at once, but for those that end it."""

import re

from convbench.emulator.state import THREAD, offset
from convbench.emulator.wide.code import (
    CASTS,
    Block,
    Line,
    NotWideError,
    bits_of,
    count_of,
    element_of,
    split,
    typed,
)
from convbench.emulator.wide.memory import Memory
from convbench.emulator.wide.rules import ROW, SPECIAL

_BINARY = (
    "add", "sub", "mul", "shl", "lshr", "ashr", "and", "or", "xor", "udiv", "sdiv", "urem", "srem", "fadd", "fsub",
    "fmul", "fdiv", "frem",
)  # fmt: skip
_DIVISIONS = ("udiv", "sdiv", "urem", "srem")
_DROPPED = ("llvm.assume", "llvm.lifetime.start", "llvm.lifetime.end", "llvm.experimental.noalias")
# what LLVM has for vectors, too; of the last ones, the second operand stays a constant
_INTRINSICS = (
    "fma", "fabs", "sqrt", "copysign", "minnum", "maxnum", "minimum", "maximum", "minimumnum", "maximumnum", "floor",
    "ceil", "trunc", "rint", "nearbyint", "roundeven", "round", "sin", "cos", "exp2", "log2", "exp", "log", "log10",
    "smax", "smin", "umax", "umin", "usub.sat", "uadd.sat", "ssub.sat", "sadd.sat", "ctpop", "bitreverse", "bswap",
    "fshl", "fshr", "fptosi.sat", "fptoui.sat", "tanh", "pow", "canonicalize",
)  # fmt: skip
_WITH_CONSTANT = ("ctlz", "cttz", "abs", "is.fpclass")


class Operations(Memory):
    """Writes the instructions of a block."""

    def _begin(self, block: Block, mask: str | None) -> None:
        self.label, self.mask, self.here, self.vectors = block.label, mask, {}, {}
        for line in block.phis:
            assert line.result is not None
            slots = self._slots_of(line.result)
            self.here[line.result] = [self.op(f"load {kind}, ptr {slot}") for slot, kind in slots]

    def _body(self, block: Block) -> None:
        for line in block.lines[:-1]:
            if line.op != "phi":
                self._line(line)

    def _line(self, line: Line) -> None:
        if line.op == "store":
            self._store(line)
        elif line.op == "call":
            self._call(line)
        elif line.op == "alloca":
            self._alloca(line)
        elif line.op == "load" and line.operands[1].split()[-1] in self.rows:
            raise NotWideError("it reads its thread's row")
        elif line.result is None:
            raise NotWideError(f"`{line.text.strip()}`")
        elif self.shapes.of[line.result].stride is not None:
            if line.result not in self.shapes.assumed:
                self._scalar(line)
            elif self.shapes.tests_sign(line) or line.op in ("zext", "sext"):
                self._test_sign(line)
            else:
                self._divide(line)
        elif line.op == "load":
            self._load(line)
        else:
            self._give(line, self._vectors(line))

    def _scalar(self, line: Line) -> None:
        """An operation on bases."""
        assert line.result is not None
        if line.op in ("atomicrmw", "cmpxchg") or line.rest.startswith("atomic") or "volatile" in line.flags:
            raise NotWideError(f"`{line.text.strip()}`")
        op, flags = line.op, line.flags
        if self.shapes.of[line.result].stride:  # it may overflow for the first lane where that is not active
            op, flags = ("add" if op == "or" else op), ""
        self._give(line, [self.op(f"{op} {flags}{self._bases(line.rest)}{line.metadata}")])

    def _vectors(self, line: Line) -> list[str]:
        """The parts of the result of an operation whose lanes may differ."""
        op, flags, operands = line.op, line.flags, line.operands
        if op in _BINARY:
            kind, first = typed(operands[0])
            own, second = self.wide(kind), self.parts(operands[1], kind)
            if op in _DIVISIONS and self.mask:
                second = [self._safe(part, own) for part in second]
            pairs = zip(self.parts(first, kind), second, strict=True)
            return [self.op(f"{op} {flags}{own} {a}, {b}") for a, b in pairs]
        if op in ("icmp", "fcmp"):
            order, rest = operands[0].split(" ", 1)
            kind, first = typed(rest)
            pairs = zip(self.parts(first, kind), self.parts(operands[1], kind), strict=True)
            return [self.op(f"{op} {flags}{order} {self.wide(kind)} {a}, {b}") for a, b in pairs]
        if op == "select":
            return self._select(line)
        if op in ("fneg", "freeze"):
            kind, value = typed(operands[0])
            return [self.op(f"{op} {flags}{self.wide(kind)} {part}") for part in self.parts(value, kind)]
        if op in CASTS:
            source, target = line.rest.rsplit(" to ", 1)
            kind, value = typed(source)
            if count_of(kind) != count_of(target):
                raise NotWideError(f"`{line.text.strip()}`")
            own = self.wide(target)
            return [self.op(f"{op} {flags}{self.wide(kind)} {part} to {own}") for part in self.parts(value, kind)]
        if op == "getelementptr":
            return [self._pointers(line)]
        if op in ("extractelement", "insertelement", "shufflevector"):
            return self._elements(line)
        raise NotWideError(f"`{line.text.strip()}`")

    def _safe(self, divisor: str, own: str) -> str:
        """A divisor that is 1 for the lanes that are not active."""
        one = f"splat ({element_of(own)} 1)"
        return self.op(f"select {self.masks} {self.mask}, {own} {divisor}, {own} {one}")

    def _select(self, line: Line) -> list[str]:
        (chosen_kind, chosen), (kind, first), (_, second) = map(typed, line.operands)
        own, pairs = self.wide(kind), list(zip(self.parts(first, kind), self.parts(second, kind), strict=True))
        if count_of(chosen_kind) > 1:
            choices = self.parts(chosen, chosen_kind)
        elif self.shapes.shape(chosen).is_uniform:
            base = self.base(chosen)
            return [self.op(f"select {line.flags}i1 {base}, {own} {a}, {own} {b}") for a, b in pairs]
        else:
            choices = self.parts(chosen, "i1") * len(pairs)
        return [
            self.op(f"select {line.flags}{self.masks} {choice}, {own} {a}, {own} {b}")
            for choice, (a, b) in zip(choices, pairs, strict=True)
        ]

    def _pointers(self, line: Line) -> str:
        kind, base, index = line.operands
        _, pointer = typed(base)
        index_kind, number = typed(index)
        own = f"ptr {self.base(pointer)}"
        if not self.shapes.shape(pointer).is_uniform:
            own = f"{self.wide('ptr')} {self.vector(pointer, 'ptr')}"
        if self.shapes.shape(number).is_uniform:
            step = f"{index_kind} {self.base(number)}"
        else:
            step = f"{self.wide(index_kind)} {self.vector(number, index_kind)}"
        return self.op(f"getelementptr {kind}, {own}, {step}")

    def _elements(self, line: Line) -> list[str]:
        kind, value = typed(line.operands[0])
        parts = self.parts(value, kind)
        if line.op == "shufflevector":
            _, other = typed(line.operands[1])
            parts = [*parts, *self.parts(other, kind)]
            _, places = typed(line.operands[2])
            if places == "zeroinitializer":
                return [parts[0]] * count_of(typed(line.operands[2])[0])
            chosen = [item.rsplit(" ", 1)[1] for item in split(places[1:-1])]
            return ["poison" if place in ("poison", "undef") else parts[int(place)] for place in chosen]
        _, place = typed(line.operands[-1])
        if not place.isdigit():
            raise NotWideError(f"`{line.text.strip()}`")
        if line.op == "extractelement":
            return [parts[int(place)]]
        element_kind, element = typed(line.operands[1])
        return [
            self.vector(element, element_kind) if number == int(place) else part for number, part in enumerate(parts)
        ]

    # ---- calls

    def _call(self, line: Line) -> None:
        name = line.callee
        if name in ("emu.suspend", "emu.turns"):
            if self.mask is not None:
                raise NotWideError("a barrier that not all threads reach")
            self.put(f"call {self._bases(line.rest)}")
        elif name.startswith(SPECIAL):
            self._register(line)
        elif name in (ROW, "emu.worker", "emu.scalars") or name.startswith("emu.shared."):
            self._give(line, [self.op(f"call {line.rest}")])
        elif name.startswith(_DROPPED):
            return
        elif name.startswith("llvm.memset."):
            self._fill(line)
        elif line.result is None or not all(map(_is_number, [line.result_type, *(kind for kind, _ in line.arguments)])):
            raise NotWideError(f"`{line.text.strip()}`")
        elif self.shapes.of[line.result].stride is not None and name.startswith("llvm."):
            self._scalar(line)
        elif name.startswith("llvm."):
            self._give(line, self._intrinsic(line))
        elif name.startswith("emu.") and not name.startswith(("emu.libdevice.", "emu.half.", "emu.bfloat16.")):
            raise NotWideError(f"`{line.text.strip()}`")
        elif self.shapes.of[line.result].stride is not None:
            self._scalar(line)
        else:
            self._give(line, [self._one_by_one(line)])

    def _register(self, line: Line) -> None:
        assert line.result is not None
        if self.shapes.of[line.result].stride is not None:
            self._give(line, [self.op(f"call {line.rest}")])
            return
        x, y, z = self.block
        axis = line.callee[-1]
        row = self.op(f"call ptr @{ROW}()")
        at = self.op(f"getelementptr i8, ptr {row}, i64 {offset(THREAD, 'index')}")
        first = self.op(f"trunc i64 {self.op(f'load i64, ptr {at}, !invariant.load !{{}}')} to i32")
        index, own = self._strided(first, "i32", 1), self.wide("i32")
        inside, size = {"x": (1, x), "y": (x, y), "z": (x * y, z)}[axis]
        if inside > 1:
            index = self.op(f"udiv {own} {index}, splat (i32 {inside})")
        self._give(line, [self.op(f"urem {own} {index}, splat (i32 {size})")])

    def _fill(self, line: Line) -> None:
        """Fill memory of each lane with a byte."""
        (_, pointer), (_, byte), (_, size), *_ = line.arguments
        stride, value = self.shapes.shape(pointer).stride, self.base(byte)
        if not (stride and self.mask is None and size.isdigit() and self.shapes.shape(byte).is_uniform):
            raise NotWideError(f"`{line.text.strip()}`")
        first, each = self.base(pointer), int(size)
        pieces = [(0, self.lanes * each)] if each == stride else [(lane * stride, each) for lane in range(self.lanes)]
        for place, count in pieces:
            at = self.op(f"getelementptr i8, ptr {first}, i64 {place}")
            self.put(f"call void @{line.callee}(ptr {at}, i8 {value}, i64 {count}, i1 false)")

    def _intrinsic(self, line: Line) -> list[str]:
        """A call of one of LLVM's own functions, for vectors."""
        name = line.callee.removeprefix("llvm.")
        known = next((one for one in _INTRINSICS if re.fullmatch(rf"{one}(\.\w+)+", name)), None)
        with_constant = next((one for one in _WITH_CONSTANT if re.fullmatch(rf"{one}(\.\w+)+", name)), None)
        if (known or with_constant) is None or line.result_type.startswith("<"):
            raise NotWideError(f"`{line.text.strip()}`")
        suffixes = name[len(known or with_constant or "") :].split(".")[1:]
        whole = f"llvm.{known or with_constant}" + "".join(f".v{self.lanes}{suffix}" for suffix in suffixes)
        given = [f"{self.wide(kind)} {self.vector(value, kind)}" for kind, value in line.arguments]
        if with_constant:
            given[1] = " ".join(line.arguments[1])
        return [self._call_of(self.wide(line.result_type), whole, *given)]

    def _one_by_one(self, line: Line) -> str:
        """A call of a function that uses no memory, for each lane."""
        own = self.wide(line.result_type)
        given = [(kind, self.op(f"freeze {self.wide(kind)} {self.vector(value, kind)}")) for kind, value in
                 line.arguments]  # fmt: skip
        found = "poison"
        for lane in range(self.lanes):
            each = [
                f"{kind} {self.op(f'extractelement {self.wide(kind)} {value}, i64 {lane}')}" for kind, value in given
            ]
            head = line.rest[: line.rest.index("(", line.rest.index("@"))]
            one = self.op(f"call {head}({', '.join(each)})")
            found = self.op(f"insertelement {own} {found}, {line.result_type} {one}, i64 {lane}")
        return found

    # ---- what is assumed

    def _assume(self, condition: str) -> None:
        """Begin anew, with other code, unless a condition is true."""
        self.count += 1
        name = f"{self.prefix}so.{self.count}"
        self.put(f"br i1 {condition}, label %{name}, label %{self.otherwise}")
        self.out.append(f"{name}:")

    def _test_sign(self, line: Line) -> None:
        """A test for the sign, or a wider type, of numbers that are assumed not to be negative in any lane."""
        text = line.rest.rsplit(" to ", 1)[0] if line.op in CASTS else line.operands[0]
        kind, value = typed(text.removeprefix("slt ").removeprefix("sgt "))
        self._assume(self._is_low(kind, value))
        self._scalar(line)

    def _is_low(self, kind: str, value: str) -> str:
        """Whether a number that grows from lane to lane stays below the largest one with a sign."""
        stride = self.shapes.of[value].stride
        assert stride is not None
        most = (1 << bits_of(kind) - 1) - 1 - stride * (self.lanes - 1)
        return self.op(f"icmp ule {kind} {self.base(value)}, {most}")

    def _divide(self, line: Line) -> None:
        """A division whose quotient is assumed to be the same for all lanes."""
        kind, first = typed(line.operands[0])
        divisor = self.shapes.divisor(line)
        stride = self.shapes.of[first].stride
        assert divisor is not None
        assert stride is not None
        span, base, by = stride * (self.lanes - 1), self.base(first), self.base(divisor)
        rest = self.op(f"urem {kind} {base}, {by}")
        room = self._call_of(kind, f"llvm.usub.sat.{kind}", f"{kind} {by}", f"{kind} {span}")
        fits = self.op(f"icmp ult {kind} {rest}, {room}")
        is_so = self.op(f"and i1 {fits}, {self._is_low(kind, first)}")
        if line.op in ("sdiv", "srem"):
            is_so = self.op(f"and i1 {is_so}, {self.op(f'icmp sgt {kind} {by}, 0')}")
        self._assume(is_so)
        is_quotient = line.op in ("udiv", "sdiv", "lshr")
        self._give(line, [self.op(f"udiv {kind} {base}, {by}") if is_quotient else rest])


def _is_number(kind: str) -> bool:
    return kind != "ptr" and kind[0] not in "{[<"
