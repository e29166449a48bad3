"""Write LLVM IR for one function: registers, temporary values, blocks and faults.

A register of PTX is a place on the stack here, which LLVM's first pass turns into values. Within a block, the last
value of a register is remembered, so that little is loaded.
"""

from collections.abc import Callable

from convbench.emulator.errors import UnsupportedError
from convbench.emulator.ptx.kinds import CANONICAL_NAN, bits, literal, llvm
from convbench.emulator.ptx.syntax import Function, Instruction, Operand, Vector, bytes_of
from convbench.emulator.source import Sites
from convbench.emulator.state import THREAD, WORKER, FaultKind, offset

LIKELY = '!prof !{!"branch_weights", i32 1048576, i32 1}'

_SIZE_BITS, _INFINITY_BITS = 0x7FFFFFFF, 0x7F800000  # of float32: all but the sign, and infinity's


class Emitter:
    """The IR of one function, which grows line by line.

    Parameters
    ----------
    function : the function of PTX
    site_of : gives the number of the place in the source of an instruction, which is the n-th of its function
    canonical : registers whose NaNs become canonical when their bits are looked at (`flow`)
    """

    def __init__(self, function: Function, site_of: Callable[[Instruction, int], int], canonical: set[str]) -> None:
        self.function, self.site_of, self.canonical = function, site_of, canonical
        self.entry: list[str] = []  # allocations and values that hold for the whole function
        self.out: list[str] = []
        self.cold: list[str] = []  # blocks that end in a fault
        self.instruction, self.number = Instruction("", (), ()), 0
        self.is_open = True  # whether the current block still lacks its last instruction
        self.names = Sites()  # of variables, for reports
        self._known: dict[str, tuple[str, str]] = {}  # value and LLVM type of a register, in this block
        self._written: set[str] = set()  # registers written since the last label
        self._places: dict[str, str] = {}  # the stack places of registers
        self._hoisted: dict[str, str] = {}
        self._count = 0

    # ---- lines and values

    def new(self) -> str:
        """A new name for a value."""
        self._count += 1
        return f"%v{self._count}"

    def put(self, line: str) -> None:
        """Add an instruction without a value."""
        if not self.is_open:
            self.label(f"dead.{self.new()[1:]}")
        self.out.append(f"  {line}")

    def op(self, line: str) -> str:
        """Add an instruction, and return its value."""
        value = self.new()
        self.put(f"{value} = {line}")
        return value

    def hoist(self, key: str, make: Callable[[Callable[[str], str]], str]) -> str:
        """A value that holds for the whole function: `make` gets a function like `op`, and writes it at the entry."""
        if key not in self._hoisted:

            def op(line: str) -> str:
                value = self.new()
                self.entry.append(f"  {value} = {line}")
                return value

            self._hoisted[key] = make(op)
        return self._hoisted[key]

    def end(self, line: str) -> None:
        """Add the last instruction of a block."""
        self.put(line)
        self.is_open = False

    def label(self, name: str) -> None:
        """Begin a block. The block before it goes on here, unless it has ended."""
        if self.is_open:
            self.out.append(f"  br label %{name}")
        self.out.append(f"{name}:")
        self._known.clear()
        self._written.clear()
        self.is_open = True

    def go_on(self, name: str) -> None:
        """Begin a block that only the current one leads to: its registers stay known."""
        self.out.append(f"{name}:")
        self.is_open = True

    def either(self, condition: str, then: Callable[[], None], otherwise: Callable[[], None] | None = None) -> None:
        """Write a branch: `then` where the i1 is true, `otherwise` where not, and go on behind both."""
        name = self.new()[1:]
        self.end(f"br i1 {condition}, label %then.{name}, label %{'else' if otherwise else 'after'}.{name}")
        before = dict(self._known)
        self.go_on(f"then.{name}")
        then()
        self._leave(f"after.{name}")
        if otherwise:
            self._known = dict(before)
            self.go_on(f"else.{name}")
            otherwise()
            self._leave(f"after.{name}")
        changed = self._written
        self._known = {register: value for register, value in before.items() if register not in changed}
        self.go_on(f"after.{name}")

    def _leave(self, label: str) -> None:
        if self.is_open:
            self.end(f"br label %{label}")

    def call(self, result: str, name: str, *arguments: str) -> str:
        """Call a function of `support`. Its arguments are given with their types."""
        text = f"call {result} @{name}({', '.join(arguments)})"
        if result == "void":
            self.put(text)
            return ""
        return self.op(text)

    def intrinsic(self, name: str, kind: str, *values: str) -> str:
        """Call LLVM's intrinsic for one type: all arguments and the result have it."""
        short = {"float": "f32", "double": "f64"}.get(kind, kind)
        return self.call(kind, f"llvm.{name}.{short}", *(f"{kind} {value}" for value in values))

    def field(self, row: str, name: str, kind: str = "i64") -> str:
        """A field of the thread's or the worker's row that does not change while the thread lives."""

        def make(op: Callable[[str], str]) -> str:
            pointer = self.hoist(row, lambda op: op(f"call ptr @emu.{row}()"))
            at = op(f"getelementptr i8, ptr {pointer}, i64 {offset(THREAD if row == 'thread' else WORKER, name)}")
            return op(f"load {kind}, ptr {at}, !invariant.load !{{}}")

        return self.hoist(f"{row}.{name}.{kind}", make)

    @property
    def site(self) -> int:
        """The number of the current instruction's place in the source."""
        return self.site_of(self.instruction, self.number)

    def refuse(self, why: str) -> UnsupportedError:
        """The error for an instruction that cannot be emulated."""
        return UnsupportedError(f"PTX instruction `{self.instruction}` is not emulated: {why}")

    # ---- faults

    def unless(self, good: str, kind: FaultKind, a: str = "0", b: str = "0", c: str = "0") -> None:
        """End the kernel with a fault unless the i1 `good` is true."""
        name = self.new()[1:]
        self.end(f"br i1 {good}, label %in.{name}, label %out.{name}, {LIKELY}")
        self.cold.append(
            f"out.{name}:\n  call void @emu.fault(i64 {int(kind)}, i64 {self.site}, i64 {a}, i64 {b}, i64 {c})\n"
            "  unreachable"
        )
        self.go_on(f"in.{name}")

    # ---- registers and operands

    def place(self, register: str, kind: str) -> str:
        """The place on the stack of a register of PTX type `kind`."""
        if register not in self._places:
            place = f'%"reg.{register}"'
            self._places[register] = place
            own = llvm(kind)
            zero = {"float": "0.0", "double": "0.0", "i1": "false"}.get(own, "0")
            self.entry.append(f"  {place} = alloca {own}")
            self.entry.append(f"  store {own} {zero}, ptr {place}")
        return self._places[register]

    def kind_of(self, operand: Operand) -> str | None:
        """The declared type of a register; None if the operand is no register."""
        return self.function.register(operand) if isinstance(operand, str) else None

    def get(self, operand: Operand, kind: str) -> str:
        """The value of a scalar operand as LLVM's type for `kind`. A wider register is cut."""
        if not isinstance(operand, str):
            raise self.refuse(f"{operand} is no scalar")
        if operand.startswith("!"):
            return self.op(f"xor i1 {self.get(operand[1:], kind)}, true")
        if operand.startswith("-") and self.function.register(operand[1:]) is not None:
            return self._negated(self.get(operand[1:], kind), kind)
        declared = self.function.register(operand)
        if declared is None:
            return self.constant(operand, kind)
        if operand in self._known:
            value, own = self._known[operand]
        else:
            own = llvm(declared)
            value = self.op(f"load {own}, ptr {self.place(operand, declared)}")
            self._known[operand] = value, own
        return self.cast(value, own, kind)

    def _negated(self, value: str, kind: str) -> str:
        """A number of a floating type with the other sign (`fusion` writes such operands)."""
        own = llvm(kind)
        if own in ("float", "double"):
            return self.op(f"fneg {own} {value}")
        return self.op(f"xor {own} {value}, {-32768 if own == 'i16' else -2147450880}")

    def constant(self, operand: str, kind: str) -> str:
        """The value of an operand that is no register. `lower` adds variables and special registers."""
        return literal(operand, kind)

    def cast(self, value: str, own: str, kind: str, *, signed: bool = False) -> str:
        """Bits of LLVM type `own` as LLVM's type for `kind`: cut, or widened with zeros or the sign."""
        wanted = llvm(kind)
        if own == wanted:
            return value
        if own in ("float", "double"):
            integer = "i32" if own == "float" else "i64"
            value, own = self.op(f"bitcast {own} {value} to {integer}"), integer
        have, want = int(own[1:]), bits(kind)
        if have > want:
            value = self.op(f"trunc {own} {value} to i{want}")
        elif have < want:
            value = self.op(f"{'sext' if signed else 'zext'} {own} {value} to i{want}")
        return self.op(f"bitcast i{want} {value} to {wanted}") if wanted in ("float", "double") else value

    def bits(self, operand: Operand, kind: str) -> str:
        """The value of an operand whose bits are looked at, so that NaNs are canonical; of LLVM's type for `kind`."""
        if isinstance(operand, str) and operand in self.canonical:
            return self.cast(self.canonical_nan(self.get(operand, "f32")), "i32", kind)
        return self.get(operand, kind)

    def canonical_nan(self, value: str) -> str:
        """The bits of a float32, with PTX's canonical NaN.

        Everything is done with integers, because LLVM may take one NaN of a float for another. For example, it drops a
        selection of another NaN where the operand of a square root is negative.
        """
        word = self.op(f"bitcast float {value} to i32")
        size = self.op(f"and i32 {word}, {_SIZE_BITS}")
        is_nan = self.op(f"icmp ugt i32 {size}, {_INFINITY_BITS}")
        return self.op(f"select i1 {is_nan}, i32 {CANONICAL_NAN['f32']}, i32 {word}")

    def set(self, operand: Operand, kind: str, value: str, *, signed: bool = False) -> None:
        """Give a register a value of LLVM's type for `kind`. A wider register is filled up."""
        if operand == "_":
            return
        declared = self.kind_of(operand)
        if declared is None or not isinstance(operand, str):
            raise self.refuse(f"{operand} is no register")
        own = llvm(declared)
        if llvm(kind) != own:
            value = self.cast(value, llvm(kind), declared, signed=signed)
        self.put(f"store {own} {value}, ptr {self.place(operand, declared)}")
        self._known[operand] = value, own
        self._written.add(operand)

    def items(self, operand: Operand) -> tuple[Operand, ...]:
        """The elements of a vector operand, or the operand alone."""
        return operand.items if isinstance(operand, Vector) else (operand,)

    def width(self, operand: Operand) -> int:
        """Bytes of a register."""
        kind = self.kind_of(operand)
        if kind is None:
            raise self.refuse(f"{operand} is no register")
        return bytes_of(kind)
