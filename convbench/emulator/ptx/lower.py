"""Lower a kernel of a PTX module to LLVM IR, with the markers that `weave` replaces.

Each instruction is lowered by the function that `table` has for it. What leaves is like what `retarget` makes of
numba-cuda's own IR: a module, the kernel's name, its shared arrays, and the places in the source.
"""

import re
from dataclasses import dataclass

from convbench.emulator.checks.unset import ASSEMBLY
from convbench.emulator.errors import UnsupportedError
from convbench.emulator.ptx.body import GRID_SYNC, Body, function_name, listed_functions, taken_addresses
from convbench.emulator.ptx.counts.counted import CountedMemory, Counting, longest_trace
from convbench.emulator.ptx.flow import find_spins, names_in
from convbench.emulator.ptx.gaps import without_gaps
from convbench.emulator.ptx.instructions import block_name, handler_of, let_others_run, unset
from convbench.emulator.ptx.kinds import kinds_of, literal, llvm
from convbench.emulator.ptx.memory import WORD, Places, check_variables, symbol
from convbench.emulator.ptx.storage import LEAST_ALIGNMENT, stored, with_numbers
from convbench.emulator.ptx.syntax import Function, Instruction, Label, Module, Variable
from convbench.emulator.ptx.watched import WatchedMemory, Watching, cell_shift, count_atomics, count_turn, find_turns
from convbench.emulator.source import GROUPS, Site, Sites
from convbench.emulator.targets import why_refused

FLOATING_KINDS = ("f16", "f16x2", "bf16", "bf16x2", "f32", "f32x2", "f64")


@dataclass
class Lowered:
    """A kernel in LLVM IR."""

    text: str
    entry: str
    sites: Sites
    local_bytes: int


def lower(
    module: Module,
    entry: str,
    places: Places,
    readable: str,
    watching: Watching | None = None,
    counting: Counting | None = None,
) -> Lowered:
    """Lower an entry and the device functions that it may call.

    Parameters
    ----------
    places : where the module's shared variables lie, and which arguments are arrays
    readable : the kernel's name in the source, which faults tell
    watching : the ranges of memory, if every access is checked; what the checks need besides is noted there
    counting : the tables of a profile, which are filled

    Raises
    ------
    UnsupportedError
        an instruction or a variable has no counterpart here, or the module's target lacks it; the message shows it.
    """
    check_variables(module)
    blocks = module.functions[entry].directives.get("reqnctapercluster", ())
    if any(count > 1 for count in blocks):
        shape = " × ".join(map(str, blocks))
        raise UnsupportedError(f"PTX: clusters of blocks are not emulated: {readable} asks for {shape} blocks")
    sites = Sites()

    def site_of(i: Instruction, number: int) -> int:
        line = i.line
        if line.caller and module.files.get(line.file, "").endswith(GROUPS):
            line = line.caller
        file = module.files.get(line.file, "")
        # without lines, the instruction itself is the place
        return sites.number(
            Site(file, line.line, readable) if file and line.line else Site(function=f"instruction {number}, `{i}`")
        )

    # a launch looks up where watched variables lie, and LLVM must not change them
    linkage = "" if watching else "internal "
    outside = stored(module)
    parts = [
        _external(variable) if variable.name in outside else _constant(with_numbers(module, variable), linkage)
        for variable in module.variables.values()
        if variable.space in ("global", "const") and not variable.external
    ]
    reached = [without_gaps(module.functions[name]) for name in called(module, entry)]
    if _takes_address(module.functions[entry]):
        places.parameter_bytes = sum(-(-p.size // WORD) * WORD for p in module.functions[entry].parameters)
    for function in reached:
        places.local.add(function)
    if watching:
        atomics = count_atomics(reached)
        watching.shift, watching.preempts = cell_shift(reached), atomics > 1
        watching.ordered = atomics > 0 or any(
            GRID_SYNC in i.operands for function in reached for i in _calls_of(function)
        )
    for function in reached:
        body = Body(module, function, places, site_of, watching, counting)
        body.names = sites
        try:
            parts.append(_function(body))
        except UnsupportedError as error:
            line = body.instruction.line
            file = module.files.get(line.file, "")
            where = f" ({file}:{line.line})" if file and line.line else ""
            raise UnsupportedError(f"{readable}{where}: {error}") from error
        if counting and isinstance(body.memory, CountedMemory):
            counting.longest[function.name] = body.memory.words
    if counting:
        counting.tables.longest = longest_trace(reached, counting.longest, taken_addresses(module))
    text = "\n".join(parts)
    return Lowered(
        text + "\n" + declarations(text),
        function_name(module.functions[entry]).strip('"'),
        sites,
        places.local.size,
    )


def lower_function(module: Module, name: str) -> tuple[str, str]:
    """Lower a device function that uses no memory: its IR, and the declarations of what it calls.

    The IR's function takes the address of local memory, which it does not use, and the bits of each argument.
    """
    text = _function(Body(module, module.functions[name], Places(module), lambda _i, _number: 0))
    return text, declarations(text)


def called(module: Module, entry: str) -> list[str]:
    """The functions that an entry may call, with itself. A table of functions is a variable with initial values."""
    found, waiting = [], [entry, *listed_functions(module)]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.append(name)
        for i in module.functions[name].body:
            for operand in i.operands if isinstance(i, Instruction) else ():
                function = module.functions.get(operand) if isinstance(operand, str) else None
                if function is not None and function.has_body:
                    waiting.append(function.name)
    return found


def _calls_of(function: Function) -> list[Instruction]:
    """The calls of a function."""
    return [i for i in function.body if isinstance(i, Instruction) and i.opcode == "call"]


def _takes_address(function: Function) -> bool:
    """Whether an instruction takes the address of a parameter."""
    names = {parameter.name for parameter in function.parameters}
    operands = (operand for i in function.body if isinstance(i, Instruction) for operand in i.operands)
    return any(isinstance(operand, str) and operand.partition("+")[0] in names for operand in operands)


def shared_variables(module: Module, entry: str) -> list[Variable]:
    """The shared variables that an entry uses: its own, its functions', and those of the module that they name."""
    functions = [module.functions[name] for name in called(module, entry)]
    named = {
        name.partition("+")[0] for function in functions for i in function.body
        if isinstance(i, Instruction) for operand in i.operands for name in names_in(operand)
    }  # fmt: skip
    found = [variable for name, variable in module.variables.items() if name in named]
    found += [variable for function in functions for variable in function.variables.values()]
    return [variable for variable in found if variable.space == "shared"]


def _external(variable: Variable) -> str:
    """A variable whose memory is the module's (`storage`)."""
    align = max(variable.align, LEAST_ALIGNMENT)
    return f"{symbol(variable.name)} = external global [{variable.size} x i8], align {align}"


def _constant(variable: Variable, linkage: str) -> str:
    """A constant that is a part of the machine code."""
    element = llvm(variable.kind)
    items = [f"{element} {literal(value, variable.kind)}" for value in variable.values]
    zero = {"float": "0.0", "double": "0.0"}.get(element, "0")
    items += [f"{element} {zero}"] * (variable.count - len(items))
    listed = f"[{', '.join(items)}]" if variable.values else "zeroinitializer"
    form = f"[{variable.count} x {element}] {listed}"
    return f"{symbol(variable.name)} = {linkage}global {form}, align {max(variable.align, LEAST_ALIGNMENT)}"


def _function(body: Body) -> str:
    """A function as IR."""
    spins = find_spins(body.function)
    turns = find_turns(body.function) - spins if isinstance(body.memory, WatchedMemory) else set()
    counted = body.memory if isinstance(body.memory, CountedMemory) else None
    pauses, starts = (find_turns(body.function), set(counted.blocks)) if counted else (set(), set())
    for place, statement in enumerate(body.function.body):
        for copy, name in body.function.copies.get(place, {}).items():
            kind = body.function.registers[copy]
            body.set(copy, kind, body.get(name, kind))
        if isinstance(statement, Label):
            body.label(block_name(statement.name))
        else:
            body.number = place
            if counted:
                body.instruction = statement
                if place in starts:
                    counted.enter(body, place)
                if place in pauses:
                    counted.pause(body)
            if place in spins:
                let_others_run(body)
            elif place in turns:
                count_turn(body)
            _instruction(body, statement)
    if body.is_open:
        body.end("br label %leave")
    head, leave, listed = "void", "  ret void", ""
    if not body.function.is_entry:
        head, leave, listed = body.parameters.signature()
        head = f"internal {head}"
        if counted:
            leave = f"{counted.leave(body)}\n{leave}"
    begin = [f"define {head} @{function_name(body.function)}({listed}) {{", "entry:"]
    lines = [*begin, *body.entry, "  br label %begin", "begin:", *body.out, "leave:", leave, *body.cold, "}"]
    return counted.filled("\n".join(lines)) if counted else "\n".join(lines)


def _instruction(body: Body, i: Instruction) -> None:
    body.instruction = i
    if body.target and (why := why_refused(i.name, body.target)):
        raise UnsupportedError(f"PTX: {why}")
    handler = unset if i.opcode.startswith(ASSEMBLY) else handler_of(i.opcode, is_floating=_is_floating(i))
    if handler is None:
        raise body.refuse("it has no counterpart on the CPU")
    if body.pending and body.pending.registers:
        unwatched = handler

        def handler(body: Body, i: Instruction) -> None:
            assert body.pending is not None
            body.pending.around(body, i, lambda: unwatched(body, i))

    if not i.predicate:
        handler(body, i)
        return
    guard = body.get(i.predicate, "pred")
    if i.negated:
        guard = body.op(f"xor i1 {guard}, true")
    body.either(guard, lambda: handler(body, i))


def _is_floating(i: Instruction) -> bool:
    kinds = kinds_of(i.modifiers)
    if i.opcode == "set":
        return kinds[-1] in FLOATING_KINDS
    return bool(kinds) and kinds[-1] in FLOATING_KINDS


def declarations(text: str) -> str:
    """Declarations of the functions that the IR calls and does not define, as their calls use them."""
    found: dict[str, str] = {}
    defined = set(re.findall(r'^define [^@]*@("[^"]+"|[\w.$]+)\(', text, re.MULTILINE))
    for result, name, arguments in re.findall(r'call (\S+|\{[^}]*\}) @("[^"]+"|[\w.$]+)\((.*?)\)$', text, re.MULTILINE):
        if name in defined or name in found:
            continue
        while "(" in arguments:  # of constant expressions, only the type in front counts
            arguments = re.sub(r"\([^()]*\)", "", arguments)
        kinds = ", ".join(re.findall(r"(?:^|, )((?:\{[^}]*\}|<[^>]*>|\w+))", arguments))
        pure = " memory(none)" if name.startswith(("emu.nvvm.read", "emu.thread", "emu.worker", "emu.scalars")) else ""
        more = " cold noreturn" if name == "emu.fault" else ""
        found[name] = f"declare {result} @{name}({kinds}){pure}{more}" + (
            " nounwind" if name.startswith("emu.") else ""
        )
    return "\n".join(found.values())
