"""The IR of one function with everything that its instructions need: memory, parameters, and the other functions."""

from collections.abc import Callable

from convbench.emulator.ptx.counts.counted import CountedMemory, Counting
from convbench.emulator.ptx.emitter import Emitter
from convbench.emulator.ptx.flow import LOADED, Root, find_computed, find_roots
from convbench.emulator.ptx.fusion import fused
from convbench.emulator.ptx.kinds import bits, is_floating, is_signed, literal, llvm
from convbench.emulator.ptx.memory import LOCAL, WORD, Memory, Places, pointer_words
from convbench.emulator.ptx.pending import Pending
from convbench.emulator.ptx.special import is_special, read_special
from convbench.emulator.ptx.syntax import Address, Function, Instruction, Label, Module, Operand, bytes_of
from convbench.emulator.ptx.watched import WatchedMemory, Watching
from convbench.emulator.state import FaultKind
from convbench.emulator.targets import number_of

GRID_SYNC = "cudaCGSynchronize"  # a function of the device runtime, which numba-cuda calls for `this_grid().sync()`


def function_name(function: Function) -> str:
    """The LLVM name of a function."""
    return f'"ptx.{function.name}"'


def is_call_through(i: Instruction | Label, function: Function) -> bool:
    """Whether a statement calls the function whose address is in a register."""
    return isinstance(i, Instruction) and i.opcode == "call" and function.register(str(i.operands[1])) is not None


def listed_functions(module: Module) -> list[str]:
    """The functions whose addresses are initial values of variables."""
    values = {value for variable in module.variables.values() for value in variable.values}
    return [name for name, function in module.functions.items() if name in values and function.has_body]


def taken_addresses(module: Module) -> list[str]:
    """The functions whose address is taken, which may be called through a register."""
    found: dict[str, None] = dict.fromkeys(listed_functions(module))
    for function in module.functions.values():
        for i in function.body:
            if isinstance(i, Instruction) and i.opcode != "call":
                names = [operand for operand in i.operands if isinstance(operand, str)]
                found |= dict.fromkeys(n for n in names if n in module.functions and module.functions[n].has_body)
    return list(found)


class Body(Emitter):
    """The lowering of one function.

    Parameters
    ----------
    module, function : what is lowered
    places : where the module's shared variables lie, and which arguments are arrays
    site_of : as in `Emitter`
    watching : what the checks of the kernel share; None without checks
    counting : what a profile of the kernel notes; None without one
    """

    def __init__(
        self,
        module: Module,
        function: Function,
        places: Places,
        site_of: Callable[[Instruction, int], int],
        watching: Watching | None = None,
        counting: Counting | None = None,
    ) -> None:
        function = fused(function)
        super().__init__(function, site_of, find_computed(function))
        known: dict[str, Root] = {
            name: ("variable", name)
            for name, variable in (*module.variables.items(), *function.variables.items())
            if variable.space != "param"
        }
        if function.is_entry:
            known |= pointer_words(function, places.pointers)
            known |= {parameter.name: LOADED for parameter in function.parameters}  # if its address is taken
        self.functions = module.functions
        self.target = number_of(module.target)  # None if a text names none
        self.taken = taken_addresses(module)
        roots = find_roots(function, known)
        self.memory = Memory(places, function, roots)
        if watching:
            self.memory = WatchedMemory(places, function, roots, watching)
        elif counting:
            self.memory = CountedMemory(places, function, roots, module, counting)
        self.parameters = Parameters(self)
        self.pending = Pending(function) if watching else None

    def get(self, operand: Operand, kind: str) -> str:
        """As in `Emitter`; in checked mode, a sum of a warpgroup must have ended."""
        if self.pending and isinstance(operand, str) and operand in self.pending.registers:
            self.pending.check(self, operand)
        return super().get(operand, kind)

    def constant(self, operand: str, kind: str) -> str:
        """An immediate, a special register, or the address of a variable."""
        if is_special(operand):
            return read_special(self, operand, kind)
        if operand[0].isdigit() or operand[0] == "-":
            return literal(operand, kind)
        value = self.memory.address_of(self, operand)
        return value if bits(kind) == 64 else self.op(f"trunc i64 {value} to {llvm(kind)}")


class Parameters:
    """Parameter space: the arguments of a kernel, and the arguments and results of device functions."""

    def __init__(self, e: Body) -> None:
        self.e = e
        self._slots: dict[str, str] = {}

    def signature(self) -> tuple[str, str, str]:
        """The result type, the last instruction and the parameters of a device function."""
        function = self.e.function
        listed = ", ".join((f"ptr {LOCAL}", *(f'i{8 * p.size} %"argument.{p.name}"' for p in function.parameters)))
        if not function.results:
            return "void", "  ret void", listed
        result = function.results[0]
        own = f"i{8 * result.size}"
        is_register = result.space == "reg"
        slot = self.e.place(result.name, result.kind) if is_register else self._slot(result.name, result.size)
        return own, f"  %result = load {own}, ptr {slot}, align 1\n  ret {own} %result", listed

    def load(self, targets: tuple[Operand, ...], kind: str, address: Address) -> None:
        """ld.param: from the kernel's arguments, a device function's, or the result of a call."""
        e, own, size = self.e, llvm(kind), bytes_of(kind)
        if e.kind_of(address.base):  # a parameter whose address was taken
            begin, width = e.memory.value(e, address), size * len(targets)
            e.unless(e.memory.in_parameters(e, begin, width), FaultKind.READ_OUTSIDE, begin, str(width))
            for number, target in enumerate(targets):
                at = e.op(f"inttoptr i64 {e.op(f'add i64 {begin}, {number * size}')} to ptr")
                e.set(target, kind, e.op(f"load {own}, ptr {at}, align 1"), signed=is_signed(kind))
            return
        for number, target in enumerate(targets):
            place = address.offset + number * size
            mark = ""
            if e.function.is_entry and address.base in e.memory.offsets:
                place += e.memory.offsets[address.base]
                begin = self._arguments(kind, place, size)
                mark = ", !invariant.load !{}"
            else:
                begin = self._slot(address.base)
            at = e.op(f"getelementptr i8, ptr {begin}, i64 {place}")
            e.set(target, kind, e.op(f"load {own}, ptr {at}, align 1{mark}"), signed=is_signed(kind))

    def _arguments(self, kind: str, place: int, size: int) -> str:
        """The list of arguments to load one from. Of `emu.scalars`, `weave` may make constants.

        Numbers of a floating type never become constants: LLVM folds some functions of constants in its own way.
        """
        e = self.e
        words = range(place // WORD, (place + size - 1) // WORD + 1)
        if is_floating(kind) or any(word in e.memory.places.pointers for word in words):
            return e.field("worker", "arguments", "ptr")
        return e.hoist("scalars", lambda op: op("call ptr @emu.scalars()"))

    def store(self, sources: tuple[Operand, ...], kind: str, address: Address) -> None:
        """st.param: an argument of a call, or a device function's result."""
        e, own, size = self.e, llvm(kind), bytes_of(kind)
        begin = self._slot(address.base)
        for number, source in enumerate(sources):
            at = e.op(f"getelementptr i8, ptr {begin}, i64 {address.offset + number * size}")
            e.put(f"store {own} {e.bits(source, kind)}, ptr {at}, align 1")

    def argument(self, name: str, size: int) -> str:
        """The bits of an argument of a call."""
        e = self.e
        kind = e.kind_of(name)
        if kind is not None or e.memory.variable(name) is None:
            return e.bits(name, f"b{8 * size}")
        return e.op(f"load i{8 * size}, ptr {self._slot(name)}, align 1")

    def receive(self, name: str, size: int, value: str) -> None:
        """Store the result of a call."""
        if self.e.kind_of(name) is not None:
            self.e.set(name, f"b{8 * size}", value)
        elif name != "_":
            self.e.put(f"store i{8 * size} {value}, ptr {self._slot(name)}, align 1")

    def _slot(self, name: str, size: int = 0) -> str:
        """The place on the stack of a variable in parameter space."""
        if name not in self._slots:
            e = self.e
            variable = e.memory.variable(name)
            if variable is None:
                raise e.refuse(f"{name} is not declared")
            slot = self._slots[name] = f'%"slot.{name}"'
            size = max(size or variable.size, 1)
            e.entry.append(f"  {slot} = alloca [{size} x i8], align 16")
            if any(parameter.name == name for parameter in e.function.parameters):
                e.entry.append(f'  store i{8 * size} %"argument.{name}", ptr {slot}, align 1')
            else:
                e.entry.append(f"  store i{8 * size} 0, ptr {slot}, align 1")
        return self._slots[name]
