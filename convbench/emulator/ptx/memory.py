"""State spaces: where variables lie, and how an address becomes a pointer that is inside its array.

Global addresses and generic addresses are those of the process. Addresses of shared memory count from the beginning of
the block's memory, and addresses of local memory from the beginning of the thread's (PTX ISA, "State Spaces").

No access is made before its address was compared with the bounds of its array. If the flow of values tells the array,
this is one comparison. Otherwise a function looks for the array among all that the launch may touch.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from convbench.emulator.errors import UnsupportedError
from convbench.emulator.limits import check_constants
from convbench.emulator.ptx.emitter import Emitter
from convbench.emulator.ptx.flow import LOADED, Root
from convbench.emulator.ptx.syntax import Address, Function, Instruction, Module, Variable
from convbench.emulator.state import RANGE, FaultKind, offset

WORD = 8  # bytes of a parameter in the launch's list of arguments, at least
LOCAL = '%"local memory"'  # a parameter of every device function
PREFIX = "ptx."  # of a variable's name in LLVM
SPACES = ("global", "shared", "local", "const", "param")


@dataclass
class Places:
    """Where everything lies that a module declares."""

    module: Module
    shared: dict[str, int] = field(default_factory=dict)  # offset in the block's memory, by name
    dynamic: set[str] = field(default_factory=set)
    # words of the arguments that are addresses of arrays, whose bounds are the first rows of the table of ranges
    pointers: tuple[int, ...] = ()
    begins: frozenset[int] = frozenset()  # those of them that are the lowest address of their array
    shared_sizes: dict[str, int] = field(default_factory=dict)
    parameter_bytes: int = 0  # of the kernel's parameters, if it takes the address of one

    local: "LocalPlaces" = field(default_factory=lambda: LocalPlaces())

    @cached_property
    def reachable(self) -> dict[str, Variable]:
        """The variables in global and constant memory whose address a kernel can have.

        They are those that an instruction or the initial value of another one names. Headers of C++ declare hundreds.
        """
        variables = self.module.variables
        waiting = [
            operand.base if isinstance(operand, Address) else operand.partition("+")[0]
            for function in self.module.functions.values()
            for i in function.body
            if isinstance(i, Instruction)
            for operand in i.operands
            if isinstance(operand, Address | str)
        ]
        found: dict[str, Variable] = {}
        while waiting:
            name = waiting.pop()
            variable = variables.get(name)
            if variable and name not in found and variable.space in ("global", "const") and not variable.external:
                found[name] = variable
                waiting += [value.partition("+")[0] for value in variable.values]
        return found

    @property
    def shared_row(self) -> int:
        """The row of the whole shared memory in the table of ranges."""
        return len(self.pointers)


@dataclass
class LocalPlaces:
    """Where the local variables of all functions lie in a thread's local memory.

    No function calls itself, so each variable has one place. A function can follow a pointer into its caller's memory.
    """

    names: dict[str, dict[str, int]] = field(default_factory=dict)  # by function and variable
    size: int = 0
    align: int = 16

    def add(self, function: Function) -> None:
        """Place the variables of a function behind all others."""
        own = self.names.setdefault(function.name, {})
        for variable in function.variables.values():
            if variable.space == "local":
                self.align = max(self.align, variable.align)
                own[variable.name] = -(-self.size // variable.align) * variable.align
                self.size = own[variable.name] + variable.size


def parameter_offsets(function: Function) -> dict[str, int]:
    """Where each parameter begins in the launch's list of arguments, in bytes: each takes whole words of 64 bits."""
    found, place = {}, 0
    for parameter in function.parameters:
        found[parameter.name] = place
        place += -(-parameter.size // WORD) * WORD
    return found


class Memory:
    """The memory that one function sees. Local memory is the entry's, which passes its address to what it calls."""

    def __init__(self, places: Places, function: Function, roots: dict[str, frozenset[Root]]) -> None:
        self.places, self.function, self.roots = places, function, roots
        self.offsets = parameter_offsets(function)
        mine = places.local.names.get(function.name, {})
        self.local = {name: (place, function.variables[name].size) for name, place in mine.items()}
        self.local_bytes = places.local.size  # of all functions

    # ---- addresses

    def variable(self, name: str) -> Variable | None:
        """A variable of the function or the module."""
        found = self.function.variables.get(name) or self.places.module.variables.get(name)
        return found or next((p for p in (*self.function.parameters, *self.function.results) if p.name == name), None)

    def address_of(self, e: Emitter, name: str) -> str:
        """The address of a variable in its own space, as an i64."""
        base, _, more = name.partition("+")
        extra = int(more or 0)
        variable = self.variable(base)
        if variable is None:
            if base in self.places.module.functions:
                return str(self.places.module.address(base))
            raise e.refuse(f"{base} is not declared")
        if base in self.places.shared:
            return str(self.places.shared[base] + extra)
        if base in self.local:
            return str(self.local[base][0] + extra)
        if self.function.is_entry and base in self.offsets:
            return e.op(f"add i64 {e.field('worker', 'arguments')}, {self.offsets[base] + extra}")
        if variable.external and variable.space != "shared":
            raise e.refuse(f"the external variable {base} is not linked")
        if variable.space in ("global", "const"):
            return f"ptrtoint (ptr getelementptr (i8, ptr {symbol(base)}, i64 {extra}) to i64)"
        raise e.refuse(f"it takes the address of {base}, which is a parameter")

    def base(self, e: Emitter, space: str) -> str:
        """The pointer to the beginning of the block's shared memory, or of the function's local memory."""
        return e.field("worker", "shared", "ptr") if space == "shared" else self._depot(e)

    def _depot(self, e: Emitter) -> str:
        if not self.function.is_entry:
            return LOCAL

        def make(op: Callable[[str], str]) -> str:
            size, whole = max(self.local_bytes, 1), self._depot_bytes()
            depot = op(f"alloca [{whole} x i8], align {self.places.local.align}")
            # all bits set: NaN in every floating type; zeros in what lies behind
            e.entry.append(f"  call void @llvm.memset.p0.i64(ptr {depot}, i8 -1, i64 {size}, i1 false)")
            if whole > size:
                rest = op(f"getelementptr i8, ptr {depot}, i64 {size}")
                e.entry.append(f"  call void @llvm.memset.p0.i64(ptr {rest}, i8 0, i64 {whole - size}, i1 false)")
            return depot

        return e.hoist("depot", make)

    def _depot_bytes(self) -> int:
        return max(self.local_bytes, 1)

    def base_address(self, e: Emitter, space: str) -> str:
        """The generic address where a space begins."""
        pointer = self.base(e, space)
        return e.hoist(f"{space}.address", lambda op: op(f"ptrtoint ptr {pointer} to i64"))

    def generic(self, e: Emitter, address: str, space: str) -> str:
        """A generic address from one in a space."""
        return e.op(f"add i64 {address}, {self.base_address(e, space)}") if space in ("shared", "local") else address

    def window(self, e: Emitter, address: str, space: str) -> str:
        """An address in a space from a generic one."""
        return e.op(f"sub i64 {address}, {self.base_address(e, space)}") if space in ("shared", "local") else address

    def value(self, e: Emitter, operand: Address) -> str:
        """The address in an operand, as an i64 in the space of the instruction."""
        if not operand.base:
            return str(operand.offset)
        kind = e.kind_of(operand.base)
        if kind is None:
            return self.address_of(e, f"{operand.base}+{operand.offset}")
        value = e.get(operand.base, kind)
        own = "i32" if kind.endswith("32") else "i64"  # an address of 32 bits wraps
        if operand.offset:
            value = e.op(f"add {own} {value}, {operand.offset}")
        return e.op(f"zext i32 {value} to i64") if own == "i32" else value

    # ---- pointers

    def pointer(self, e: Emitter, operand: Address, space: str, width: int, fault: FaultKind) -> str:
        """The pointer of an access of `width` bytes, which is inside its array; otherwise the kernel ends here."""
        return self.inside(e, self.value(e, operand), self.root(operand), space, width, fault)

    def inside(self, e: Emitter, address: str, root: Root | None, space: str, width: int, fault: FaultKind) -> str:
        """The same for an address, and the memory that it leads into, if that is known."""
        if space == "local" or (root and root[0] == "variable" and root[1] in self.local):
            return self._in_local(e, address, space, width, fault)
        if space == "shared" or (root and root[0] == "variable" and root[1] in self.places.shared):
            return self._in_shared(e, address, space, root, width, fault)
        if root is None:
            return self.search(e, address, width, fault)
        kind, name = root
        if kind == "parameter":
            return self._in_argument(e, address, int(name), width, fault)
        variable = self.variable(name)
        assert variable is not None
        begin = f"ptrtoint (ptr {symbol(name)} to i64)"
        inside = e.op(f"sub i64 {address}, {begin}")
        self._check(e, inside, str(max(variable.size - width + 1, 0)), address, width, fault)
        return e.op(f"getelementptr i8, ptr {symbol(name)}, i64 {inside}")

    def root(self, operand: Address) -> Root | None:
        """The memory that an address leads into, if there is one alone."""
        if self.variable(operand.base):
            return "variable", operand.base
        found = self.roots.get(operand.base, frozenset())
        return next(iter(found)) if len(found) == 1 and LOADED not in found else None

    def _check(self, e: Emitter, inside: str, count: str, address: str, width: int, fault: FaultKind) -> None:
        """End the kernel unless the offset `inside` is one of the first `count` bytes."""
        e.unless(e.op(f"icmp ult i64 {inside}, {count}"), fault, address, str(width))

    def _in_argument(self, e: Emitter, address: str, row: int, width: int, fault: FaultKind) -> str:
        begin = self._of_range(e, row, "begin", "i64")
        count = self._count(e, row, width)
        inside = e.op(f"sub i64 {address}, {begin}")
        self._check(e, inside, count, address, width, fault)
        return e.op(f"getelementptr i8, ptr {self._of_range(e, row, 'begin', 'ptr')}, i64 {inside}")

    def _of_range(self, e: Emitter, row: int, name: str, kind: str) -> str:
        if name == "begin" and row < len(self.places.pointers) and self.places.pointers[row] in self.places.begins:
            return self._argument(e, self.places.pointers[row], kind)
        ranges = e.field("worker", "ranges", "ptr")
        place = row * RANGE.itemsize + offset(RANGE, name)

        def make(op: Callable[[str], str]) -> str:
            at = op(f"getelementptr i8, ptr {ranges}, i64 {place}")
            return op(f"load {kind}, ptr {at}, !invariant.load !{{}}")

        return e.hoist(f"range.{row}.{name}.{kind}", make)

    def _argument(self, e: Emitter, word: int, kind: str) -> str:
        """A word of the launch's arguments. Where it is a begin, LLVM sees that an address minus it is an index."""
        arguments = e.field("worker", "arguments", "ptr")

        def make(op: Callable[[str], str]) -> str:
            at = op(f"getelementptr i8, ptr {arguments}, i64 {word * WORD}")
            return op(f"load {kind}, ptr {at}, !invariant.load !{{}}")

        return e.hoist(f"argument.{word}.{kind}", make)

    def _count(self, e: Emitter, row: int, width: int) -> str:
        """How many of a range's bytes an access of this width may begin at."""
        size = self._of_range(e, row, "size", "i64")

        def make(op: Callable[[str], str]) -> str:
            return op(f"call i64 @llvm.usub.sat.i64(i64 {size}, i64 {width - 1})")

        return e.hoist(f"count.{row}.{width}", make)

    def _in_shared(self, e: Emitter, address: str, space: str, root: Root | None, width: int, fault: FaultKind) -> str:
        generic = address
        if space != "shared":
            address = self.window(e, address, "shared")
        place, count = 0, self._count(e, self.places.shared_row, width)
        if root and root[1] in self.places.shared and root[1] not in self.places.dynamic:
            place = self.places.shared[root[1]]
            count = str(max(self.places.shared_sizes[root[1]] - width + 1, 0))
        elif root and root[1] in self.places.dynamic:
            place = self.places.shared[root[1]]
            dynamic = e.field("worker", "dynamic_bytes")
            count = e.hoist(
                f"dynamic.{width}", lambda op: op(f"call i64 @llvm.usub.sat.i64(i64 {dynamic}, i64 {width - 1})")
            )
        inside = e.op(f"sub i64 {address}, {place}") if place else address
        told = self.generic(e, address, "shared") if space == "shared" else generic
        self._check(e, inside, count, told, width, fault)
        return e.op(f"getelementptr i8, ptr {self.base(e, 'shared')}, i64 {address}")

    def _in_local(self, e: Emitter, address: str, space: str, width: int, fault: FaultKind) -> str:
        if space != "local":
            address = self.window(e, address, "local")
        self._check(e, address, str(max(self.local_bytes - width + 1, 0)), address, width, fault)
        return e.op(f"getelementptr i8, ptr {self.base(e, 'local')}, i64 {address}")

    def search(self, e: Emitter, address: str, width: int, fault: FaultKind) -> str:
        """Look for the array that holds a generic address, among all that the launch may touch."""
        local, size = ("0", 0) if not self.local_bytes else (self.base_address(e, "local"), self.local_bytes)
        worker = e.hoist("worker", lambda op: op("call ptr @emu.worker()"))
        found = e.call(
            "i1", "emu.ptx.find", f"ptr {worker}", f"i64 {address}", f"i64 {width}", f"i64 {local}", f"i64 {size}"
        )
        for name, variable in self.places.reachable.items():
            if variable.size >= width:
                inside = e.op(f"sub i64 {address}, ptrtoint (ptr {symbol(name)} to i64)")
                here = e.op(f"icmp ult i64 {inside}, {variable.size - width + 1}")
                found = e.op(f"or i1 {found}, {here}")
        if self.places.parameter_bytes and fault == FaultKind.READ_OUTSIDE:
            found = e.op(f"or i1 {found}, {self.in_parameters(e, address, width)}")
        e.unless(found, fault, address, str(width))
        return e.op(f"inttoptr i64 {address} to ptr")

    def in_parameters(self, e: Emitter, address: str, width: int) -> str:
        """Whether `width` bytes at an address are parameters of the kernel."""
        inside = e.op(f"sub i64 {address}, {e.field('worker', 'arguments')}")
        return e.op(f"icmp ult i64 {inside}, {max(self.places.parameter_bytes - width + 1, 0)}")


def symbol(name: str) -> str:
    """The LLVM name of a variable in global or constant memory."""
    return f'@"{PREFIX}{name}"'


def space_of(i: Instruction) -> str:
    """The state space that an instruction names; "" for a generic address."""
    for modifier in i.modifiers:
        word = modifier.partition("::")[0]
        if word in SPACES:
            return word
    return ""


def pointer_words(function: Function, words: tuple[int, ...]) -> dict[str, Root]:
    """The parameters that are addresses of arrays, as `flow.find_roots` wants them: by name and offset."""
    found: dict[str, Root] = {}
    for name, place in parameter_offsets(function).items():
        parameter = next(p for p in function.parameters if p.name == name)
        for row, word in enumerate(words):
            inside = word * WORD - place
            if 0 <= inside < parameter.size:
                found[f"{name}+{inside}"] = "parameter", str(row)
    return found


def check_variables(module: Module) -> None:
    """Raise UnsupportedError for variables that the emulator lacks, CompilationError for too many constants."""
    check_constants(sum(variable.size for variable in module.variables.values() if variable.space == "const"))
    for variable in module.variables.values():
        if variable.kind in ("texref", "samplerref", "surfref"):
            raise UnsupportedError(f"PTX: textures and surfaces are not emulated: {variable.name}")
