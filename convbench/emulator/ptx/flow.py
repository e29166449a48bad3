"""Look at how values flow through a function's registers: where addresses come from, which floats are computed.

Both are found without regard to order: a register is whatever any instruction that writes it makes it.
"""

from collections.abc import Iterable, Mapping

from convbench.emulator.ptx.kinds import kinds_of
from convbench.emulator.ptx.syntax import Address, Function, Instruction, Label, Operand, Pair, Vector

Root = tuple[str, str]  # a kind of memory, and which: ("parameter", name), ("variable", name)
LOADED: Root = ("loaded", "")  # an address that was read from memory, or that a function returned

_PASSING = {"add", "sub", "or", "and", "xor", "min", "max", "selp", "mov", "cvta", "cvt", "shfl", "slct", "lop3"}
_ADDING_LAST = {"mad"}
_READING = {"ld", "ldu", "atom", "call", "tex"}
_COMPUTED = {
    "add", "sub", "mul", "fma", "mad", "div", "rcp", "sqrt", "rsqrt", "sin", "cos", "ex2", "lg2", "tanh", "min", "max",
    "abs", "neg", "cvt",
}  # fmt: skip
NO_RESULT = {
    "st", "red", "bra", "bar", "barrier", "ret", "exit", "membar", "fence", "prefetch", "cp", "wgmma", "stmatrix",
}  # fmt: skip


def names_in(operand: Operand) -> Iterable[str]:
    """The names and numbers of which an operand consists."""
    if isinstance(operand, Vector):
        return operand.items
    if isinstance(operand, Pair):
        return operand.first, operand.second
    if isinstance(operand, Address):
        return (operand.base,)
    return (operand,)


def find_roots(function: Function, known: Mapping[str, Root]) -> dict[str, frozenset[Root]]:
    """The memory that each register's address may lead into; registers that hold none are left out.

    `known` has the variables, and the parameters that are addresses, by name.
    """
    roots: dict[str, set[Root]] = {}
    edges: dict[str, set[str]] = {}
    for i in function.body:
        if not isinstance(i, Instruction) or not i.operands or i.opcode in NO_RESULT:
            continue
        targets = names_in(i.operands[0])
        if i.opcode == "ld" and "param" in i.modifiers and isinstance(i.operands[1], Address):
            address = i.operands[1]
            root = known.get(f"{address.base}+{address.offset}")
            if root is not None:
                for target in targets:
                    roots.setdefault(target, set()).add(root)
            elif address.base not in {variable.name for variable in function.parameters}:
                _add_loaded(i, targets, roots)  # the result of a call
        elif i.opcode in _READING:
            _add_loaded(i, targets, roots)
        elif i.opcode in _PASSING or i.opcode in _ADDING_LAST:
            operands = i.operands[-1:] if i.opcode in _ADDING_LAST else i.operands[1:]
            for target in targets:
                for name in (name for operand in operands for name in names_in(operand)):
                    variable = name.partition("+")[0]
                    if variable in known:
                        roots.setdefault(target, set()).add(known[variable])
                    else:
                        edges.setdefault(name, set()).add(target)
    _propagate(roots, edges)
    return {name: frozenset(found) for name, found in roots.items()}


def _add_loaded(i: Instruction, targets: Iterable[str], roots: dict[str, set[Root]]) -> None:
    kinds = kinds_of(i.modifiers)
    if not kinds or kinds[-1] in ("u64", "s64", "b64", "b128"):
        for target in targets:
            roots.setdefault(target, set()).add(LOADED)


def _propagate(roots: dict[str, set[Root]], edges: dict[str, set[str]]) -> None:
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        for target in edges.get(name, ()):
            before = roots.setdefault(target, set())
            if not roots[name] <= before:
                before |= roots[name]
                waiting.append(target)


def find_spins(function: Function) -> set[int]:
    """The branches that end a loop in which a thread may wait for another: it reads memory atomically or anew.

    Such a thread lets others run now and then, as hardware does since compute capability 7.0. An atomic whose result
    nobody reads does not make a thread wait.
    """
    read = _read_in(function)
    places = {label.name: place for place, label in enumerate(function.body) if isinstance(label, Label)}
    found = set()
    for place, i in enumerate(function.body):
        if isinstance(i, Instruction) and i.opcode == "bra":
            first = places.get(str(i.operands[0]), place)
            if any(_looks_anew(statement, read) for statement in function.body[first:place]):
                found.add(place)
    return found


def _read_in(function: Function) -> set[str]:
    """The registers that an instruction reads."""
    found: set[str] = set()
    for i in function.body:
        if isinstance(i, Instruction):
            for operand in i.operands[0 if i.opcode in NO_RESULT else 1 :]:
                found |= {name.lstrip("!-") for name in names_in(operand)}
            found |= {i.predicate.lstrip("!")} if i.predicate else set()
            if i.operands and isinstance(i.operands[0], Address):
                found |= set(names_in(i.operands[0]))
    return found


def _looks_anew(statement: Instruction | Label, read: set[str]) -> bool:
    if not isinstance(statement, Instruction):
        return False
    if statement.opcode == "mbarrier":
        return bool({"test_wait", "try_wait"} & set(statement.modifiers))
    if statement.opcode == "atom":
        return not read.isdisjoint(names_in(statement.operands[0]))
    return statement.opcode == "ld" and bool({"volatile", "relaxed", "acquire", "mmio"} & set(statement.modifiers))


def sources_of(function: Function, registers: set[str]) -> set[str]:
    """These registers, and those that they are copies of."""
    copies: dict[str, set[str]] = {}
    for i in function.body:
        if isinstance(i, Instruction) and i.opcode in ("mov", "cvt", "selp"):
            copies.setdefault(str(i.operands[0]), set()).update(map(str, i.operands[1:]))
    found, waiting = set(registers), list(registers)
    while waiting:
        new = copies.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def find_computed(function: Function) -> set[str]:
    """Float32 registers whose every value is the result of arithmetic, a constant, or a copy of such a register.

    On a GPU their NaNs are canonical. Here they become so only where somebody looks at the bits.
    """
    writers: dict[str, list[Instruction]] = {}
    for i in function.body:
        if isinstance(i, Instruction) and i.operands and i.opcode not in NO_RESULT:
            for name in names_in(i.operands[0]):
                writers.setdefault(name, []).append(i)
    found = {name for name in writers if function.register(name) == "f32"}
    changed = True
    while changed:
        wrong = {name for name in found if not all(_is_computed(i, function, found) for i in writers[name])}
        found -= wrong
        changed = bool(wrong)
    return found


def _is_computed(i: Instruction, function: Function, found: set[str]) -> bool:
    if i.opcode in ("mov", "selp"):
        sources = i.operands[1:3] if i.opcode == "selp" else i.operands[1:]
        return all(
            isinstance(name, str) and (name in found or (function.register(name) is None and name[:1].isdigit()))
            for name in sources
        )
    if i.opcode == "mma":
        return True
    return i.opcode in _COMPUTED and kinds_of(i.modifiers)[:1] == ["f32"]
