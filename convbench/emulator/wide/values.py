"""The values of a kernel while its code for several lanes is written: their names, their places, and vectors of them.

A value that another block uses, and every phi, has a place on the stack, which LLVM makes a register again.
"""

from convbench.emulator.wide.code import (
    VALUE,
    Line,
    NotWideError,
    bits_of,
    bytes_of,
    count_of,
    element_of,
    split,
    typed,
)
from convbench.emulator.wide.flow import Flow
from convbench.emulator.wide.rules import ROW
from convbench.emulator.wide.shapes import Shapes

_NOTHING = ("poison", "undef", "zeroinitializer")  # constants of any type


class Values:
    """Writes instructions, and finds the operands for them.

    Parameters
    ----------
    flow, shapes : of the kernel
    lanes : how many threads are side by side
    block : the shape of a block of threads
    prefix : of all names
    otherwise : the label at which to begin anew where something that was assumed is not so

    Attributes
    ----------
    out, entry : the code of the blocks, and what comes before them
    declared : declarations of the functions that it calls
    label, mask : the block that is written, and the lanes that are active in it; None: all
    """

    def __init__(
        self, flow: Flow, shapes: Shapes, lanes: int, block: tuple[int, int, int], prefix: str, otherwise: str = ""
    ) -> None:
        self.flow, self.shapes, self.lanes, self.block = flow, shapes, lanes, block
        self.prefix, self.otherwise = prefix, otherwise
        self.masks = f"<{lanes} x i1>"
        self.out: list[str] = []
        self.entry: list[str] = []
        self.declared: set[str] = set()
        self.count = 0
        self.number = {label: place for place, label in enumerate(flow.order)}
        self.lines: dict[str, Line] = {}
        self.home: dict[str, str] = {}  # the block of each value
        for label in flow.order:
            for line in flow.blocks[label].lines:
                if line.result:
                    self.lines[line.result], self.home[line.result] = line, label
        self.rows = self._rows()
        self.kept = self._kept_values()
        self.escaping = self._escaping_values()
        self.slots: dict[str, list[str]] = {}
        self.here: dict[str, list[str]] = {}  # what is known of values in this block: the base, or the parts
        self.vectors: dict[str, list[str]] = {}  # the parts of values that have a base
        self.label = ""
        self.mask: str | None = None

    def _at(self, kind: str, label: str) -> str:
        return f"{self.prefix}{kind}.{self.number[label]}"

    def put(self, text: str) -> None:
        """Add an instruction."""
        self.out.append(f"  {text}")

    def op(self, text: str) -> str:
        """Add an instruction that has a result; returns its name."""
        self.count += 1
        name = f"%{self.prefix}{self.count}"
        self.out.append(f"  {name} = {text}")
        return name

    def wide(self, kind: str) -> str:
        """The type of a part of a value of a type."""
        return f"<{self.lanes} x {element_of(kind) if kind.startswith('<') else kind}>"

    def _slot(self, name: str, kind: str, initial: str = "") -> str:
        self.entry.append(f"  {name} = alloca {kind}")
        if initial:
            self.entry.append(f"  store {kind} {initial}, ptr {name}")
        return name

    def _slot_of_mask(self, kind: str, label: str) -> str:
        name = f"%{self._at(kind, label)}"
        if name not in self.slots:
            self.slots[name] = [self._slot(name, self.masks, "zeroinitializer")]
        return name

    def _slots_of(self, value: str, *, turn: bool = False) -> list[tuple[str, str]]:
        """The places of a value on the stack, with their types; those for the next turn of its loop for a phi."""
        line, shape = self.lines[value], self.shapes.of[value]
        kind = line.result_type
        kinds = [kind] if shape.stride is not None else [self.wide(kind)] * count_of(kind)
        key = f"next {value}" if turn else value
        if key not in self.slots:
            self.count += 1
            name = f"%{self.prefix}{'next' if turn else 'slot'}.{self.count}"
            self.slots[key] = [self._slot(f"{name}.{part}", own) for part, own in enumerate(kinds)]
        return list(zip(self.slots[key], kinds, strict=True))

    def _kept_values(self) -> set[str]:
        """The values that a block other than their own uses."""
        found = set()
        for label in self.flow.order:
            for line in self.flow.blocks[label].lines:
                if line.op == "phi":
                    found |= {value for value, source in line.incoming if self.home.get(value, source) != source}
                else:
                    found |= {value for value in line.uses if self.home.get(value, label) != label}
            for target in self.flow.blocks[label].targets:
                if target in self.flow.blocks and self.flow.blocks[target].is_fault:
                    for line in self.flow.blocks[target].lines:
                        found |= {value for value in line.uses if self.home.get(value, label) != label}
        return found

    def _escaping_values(self) -> set[str]:
        """The values that are used behind a loop that lanes may leave at different times."""
        users = self.shapes.users
        return {
            value for loop in self.shapes.uneven for value in self.kept
            if self.home[value] in loop.blocks and users.get(value, set()) - loop.blocks
        }  # fmt: skip

    def _rows(self) -> dict[str, int]:
        """The values that are addresses in the thread's row, with their offsets."""
        found: dict[str, int] = {}
        for value, line in self.lines.items():
            if line.op == "call" and line.callee == ROW:
                found[value] = 0
            elif line.op == "getelementptr" and typed(line.operands[1])[1] in found:
                kind, base, index = line.operands
                found[value] = found[typed(base)[1]] + int(typed(index)[1]) * bytes_of(kind)
        for line in self.lines.values():
            if line.op not in ("getelementptr", "load") and not found.keys().isdisjoint(line.uses):
                raise NotWideError("an address in its thread's row is computed")
        return found

    def base(self, value: str) -> str:
        """The value of the first lane, for one that is the same for all lanes or grows by a constant."""
        if not value.startswith("%"):
            return value
        if value not in self.here:
            ((slot, kind),) = self._slots_of(value)
            self.here[value] = [self.op(f"load {kind}, ptr {slot}")]
        return self.here[value][0]

    def parts(self, value: str, kind: str) -> list[str]:
        """A value of a type as vectors over the lanes, one for each element."""
        count = count_of(kind)
        element = element_of(kind) if kind.startswith("<") else kind
        if not value.startswith("%"):
            if value in _NOTHING:
                return [value] * count
            if count == 1:
                return [f"splat ({kind} {value})"]
            items = [typed(item)[1] for item in split(value[1:-1])] if value.startswith("<") else []
            if len(items) != count:
                raise NotWideError(f"the constant {value}")
            return [item if item in _NOTHING else f"splat ({element} {item})" for item in items]
        shape = self.shapes.of[value]
        if shape.stride is None:
            if value not in self.here:
                self.here[value] = [self.op(f"load {own}, ptr {slot}") for slot, own in self._slots_of(value)]
            return self.here[value]
        if value not in self.vectors:
            base = self.base(value)
            if count > 1:
                each = [self.op(f"extractelement {kind} {base}, i64 {place}") for place in range(count)]
                self.vectors[value] = [self._splat(one, element) for one in each]
            else:
                self.vectors[value] = [self._strided(base, kind, shape.stride)]
        return self.vectors[value]

    def vector(self, value: str, kind: str) -> str:
        """A scalar value as a vector over the lanes."""
        (found,) = self.parts(value, kind)
        return found

    def _splat(self, value: str, kind: str) -> str:
        own = f"<{self.lanes} x {kind}>"
        first = self.op(f"insertelement {own} poison, {kind} {value}, i64 0")
        return self.op(f"shufflevector {own} {first}, {own} poison, <{self.lanes} x i32> zeroinitializer")

    def _strided(self, base: str, kind: str, stride: int) -> str:
        if stride == 0:
            return self._splat(base, kind)
        if kind == "ptr":
            steps = ", ".join(f"i64 {lane * stride}" for lane in range(self.lanes))
            return self.op(f"getelementptr i8, ptr {base}, <{self.lanes} x i64> <{steps}>")
        half = 1 << bits_of(kind) - 1
        each = [(lane * stride + half) % (2 * half) - half for lane in range(self.lanes)]
        steps = ", ".join(f"{kind} {step}" for step in each)
        return self.op(f"add <{self.lanes} x {kind}> {self._splat(base, kind)}, <{steps}>")

    def _give(self, line: Line, found: list[str]) -> None:
        """Keep a result: a base, or parts."""
        value = line.result
        assert value is not None
        self.here[value] = found
        if value in self.kept:
            for (slot, kind), one in zip(self._slots_of(value), found, strict=True):
                if self.mask and value in self.escaping:
                    before = self.op(f"load {kind}, ptr {slot}")
                    one = self.op(f"select {self.masks} {self.mask}, {kind} {one}, {kind} {before}")
                self.put(f"store {kind} {one}, ptr {slot}")

    def _bases(self, text: str) -> str:
        """A text with the bases of values in the place of their names."""
        return VALUE.sub(lambda match: self.base(match[0]), text)

    def _some(self, slot: str) -> tuple[str, str]:
        """The mask in a slot, and whether it has any lane."""
        mask = self.op(f"load {self.masks}, ptr {slot}")
        return mask, self._any(mask)

    def _any(self, mask: str) -> str:
        bits = self.op(f"bitcast {self.masks} {mask} to i{self.lanes}")
        return self.op(f"icmp ne i{self.lanes} {bits}, 0")

    def _call_of(self, result: str, name: str, *arguments: str) -> str:
        kinds = [typed(one)[0] for one in arguments]
        self.declared.add(f"declare {result} @{name}({', '.join(kinds)})")
        text = f"call {result} @{name}({', '.join(arguments)})"
        if result == "void":
            self.put(text)
            return ""
        return self.op(text)


def short(kind: str) -> str:
    """The name of a type in that of an intrinsic."""
    return {"float": "f32", "double": "f64", "half": "f16", "bfloat": "bf16", "ptr": "p0"}.get(kind, kind)
