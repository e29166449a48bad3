"""Control flow: branches, calls, returns, barriers, fences and traps.

Source: PTX ISA, "Control Flow Instructions", "Parallel Synchronization and Communication Instructions".
"""

from functools import partial

from convbench.emulator.checks.unset import ASSEMBLY, variable_of
from convbench.emulator.collectives.warp import ADD, AND, LARGEST, LEAST, MOST, OR, SMALLEST, XOR
from convbench.emulator.ptx import heap
from convbench.emulator.ptx.body import GRID_SYNC, Body, function_name, is_call_through
from convbench.emulator.ptx.instructions.table import lowers
from convbench.emulator.ptx.kinds import kinds_of
from convbench.emulator.ptx.special import read_special
from convbench.emulator.ptx.syntax import Function, Instruction, Pair, Vector
from convbench.emulator.ptx.watched import WatchedMemory
from convbench.emulator.source import Site
from convbench.emulator.state import TURNS, FaultKind
from convbench.emulator.support.collectives import REDUCTIONS

_CONTROL = "Control Flow Instructions"
_SYNC = "Parallel Synchronization and Communication Instructions"


def block_name(label: str) -> str:
    """The LLVM block of a label."""
    return f'"L.{label}"'


@lowers("bra", section=f"{_CONTROL}: bra")
def branch(e: Body, i: Instruction) -> None:
    """Go to a label."""
    e.end(f"br label %{block_name(str(i.operands[0]))}")


def let_others_run(e: Body) -> None:
    """Let other threads run after some turns of a loop, in case this thread waits for one of them."""
    counter = e.place("%turns", "u32")
    turns = e.op(f"add i32 {e.op(f'load i32, ptr {counter}')}, 1")
    e.put(f"store i32 {turns}, ptr {counter}")
    rest = e.op(f"and i32 {turns}, {TURNS - 1}")
    e.either(e.op(f"icmp eq i32 {rest}, 0"), lambda: e.put(f"call void @emu.ptx.yield(i64 {e.site})"))


@lowers("brx", section=f"{_CONTROL}: brx.idx")
def branch_by_index(e: Body, i: Instruction) -> None:
    """Go to one of the labels of a table; an index beyond it is undefined, and a fault here."""
    index = e.get(i.operands[0], "u32")
    targets = e.function.tables.get(str(i.operands[1]))
    if targets is None:
        raise e.refuse(f"{i.operands[1]} is no table of labels")
    e.unless(e.op(f"icmp ult i32 {index}, {len(targets)}"), FaultKind.TRAP)
    cases = " ".join(f"i32 {number}, label %{block_name(label)}" for number, label in enumerate(targets))
    e.end(f"switch i32 {index}, label %{block_name(targets[0])} [{cases}]")


def unset(e: Body, i: Instruction) -> None:
    """End the kernel: it reads a variable that is not set. The instruction is `emulator.unset`'s own, not PTX's."""
    name = variable_of(i.opcode.removeprefix(ASSEMBLY))
    e.unless("false", FaultKind.UNSET, str(e.names.number(Site(function=name))))


@lowers("ret", "exit", section=f"{_CONTROL}: ret, exit")
def leave(e: Body, i: Instruction) -> None:
    """Return from the function, or end the thread."""
    if i.opcode == "exit" and not e.function.is_entry:
        raise e.refuse("a device function ends the thread")
    e.end("br label %leave")


@lowers("trap", "brkpt", section="Miscellaneous Instructions: trap, brkpt")
def trap(e: Body, i: Instruction) -> None:
    """Abort the launch."""
    e.unless("false", FaultKind.TRAP)


@lowers("call", section=f"{_CONTROL}: call")
def call(e: Body, i: Instruction) -> None:
    """Call a device function; its arguments are variables in parameter space."""
    results, name, arguments = i.operands
    assert isinstance(results, Vector)
    assert isinstance(arguments, Vector)
    parameters = e.parameters
    if name == "vprintf":
        given = (parameters.argument(item, 8) for item in arguments.items)
        pointers = [e.memory.search(e, value, 1, FaultKind.READ_OUTSIDE) for value in given]
        found = e.call("i32", "vprintf", *(f"ptr {pointer}" for pointer in pointers))
        parameters.receive(results.items[0], 4, found)
        return
    if name in ("malloc", "free") and not (name in e.functions and e.functions[name].has_body):
        _on_heap(e, name, results, arguments)
        return
    if name == "cudaCGGetIntrinsicHandle":
        parameters.receive(results.items[0], 8, "1")  # a handle is only given back
        return
    if name == GRID_SYNC:
        e.call("void", "emu.grid.at", f"i64 {e.site}")
        parameters.receive(results.items[0], 4, "0")  # cudaSuccess
        return
    if name == "__assertfail":
        e.unless("false", FaultKind.TRAP)
        return
    if isinstance(name, str) and e.kind_of(name):
        _call_through(e, name, results, arguments)
        return
    function = e.functions.get(str(name))
    if function is None or not function.has_body:
        raise e.refuse(f"it has no counterpart on the CPU, because the function {name} has no body")
    _call(e, function, results, arguments)


def _call_through(e: Body, register: str, results: Vector, arguments: Vector) -> None:
    """Call the function whose address is in a register, if it is one whose address the module takes.

    A function whose own address is taken does not call others that call through registers: it might call itself.
    """
    address, found = e.get(register, "b64"), "false"
    mine = e.function.name in e.taken
    for function in (e.functions[name] for name in e.taken):
        counts = (len(function.results), len(function.parameters)) == (len(results.items), len(arguments.items))
        if counts and not (mine and any(is_call_through(i, function) for i in function.body)):
            is_this = e.op(f"icmp eq i64 {address}, {e.memory.places.module.address(function.name)}")
            e.either(is_this, partial(_call, e, function, results, arguments))
            found = e.op(f"or i1 {found}, {is_this}")
    e.unless(found, FaultKind.TRAP)


def _on_heap(e: Body, name: str, results: Vector, arguments: Vector) -> None:
    """`malloc` and `free` of device code."""
    if isinstance(e.memory, WatchedMemory):
        raise e.refuse(f"the checked mode does not watch memory from {name}")
    given = f"i64 {e.parameters.argument(arguments.items[0], 8)}"
    if name == "malloc":
        e.parameters.receive(results.items[0], 8, e.call("i64", f"{heap.PREFIX}malloc", given))
    else:
        e.unless(e.op(f"icmp ne i32 {e.call('i32', f'{heap.PREFIX}free', given)}, 0"), FaultKind.TRAP)


def _call(e: Body, function: Function, results: Vector, arguments: Vector) -> None:
    parameters = e.parameters
    local = e.memory.base(e, "local") if e.memory.local_bytes else "null"
    given = [f"ptr {local}"] + [
        f"i{8 * parameter.size} {parameters.argument(item, parameter.size)}"
        for item, parameter in zip(arguments.items, function.parameters, strict=True)
    ]
    target = function_name(function)
    if not function.results:
        e.call("void", target, *given)
        return
    size = function.results[0].size
    parameters.receive(results.items[0], size, e.call(f"i{8 * size}", target, *given))


# ---- barriers and fences


@lowers("bar", "barrier", section=f"{_SYNC}: bar, barrier, bar.warp.sync")
def barrier(e: Body, i: Instruction) -> None:
    """Wait for the block, or for the lanes of a mask; `.red` also reduces a predicate."""
    words = i.modifiers
    if "warp" in words:
        mask = e.get(i.operands[0], "b32")
        e.call("void", "emu.nvvm.bar.warp.sync", f"i32 {mask}", f"i64 {e.site}")
        return
    if "cluster" in words:
        e.call("void", "emu.nvvm.barrier0", f"i64 {e.site}") if "wait" in words else None
        return
    if isinstance(e.memory, WatchedMemory):
        e.call("void", "emu.place", f"i64 {e.number}")  # tells apart those of one line, in an unrolled loop
    reduction = next((word for word in words if word in REDUCTIONS), "")
    numbers = [e.get(operand, "u32") for operand in (i.operands[1:-1] if reduction else i.operands)]
    number, threads = (*numbers, "0", "0")[:2] if len(numbers) < 2 else numbers
    value = e.op(f"zext i1 {e.get(i.operands[-1], 'pred')} to i32") if reduction else "0"
    if number != "0" or threads != "0":
        if not number.isdigit():
            e.unless(e.op(f"icmp ult i32 {number}, 16"), FaultKind.TRAP)
        elif int(number) >= 16:
            raise e.refuse("barriers are numbered from 0 to 15")
        where = f"i32 {number}", f"i32 {threads}"
        if "arrive" in words:
            e.call("void", "emu.ptx.barrier.arrive", *where, f"i64 {e.site}")
            return
        name = f"emu.ptx.barrier{reduction and '.' + reduction}"
        found = e.call("i32", name, *where, f"i32 {value}", f"i64 {e.site}")
    elif not reduction:
        e.call("void", "emu.nvvm.barrier0", f"i64 {e.site}")
    else:
        found = e.call("i32", f"emu.nvvm.barrier0.{reduction}", f"i32 {value}", f"i64 {e.site}")
    if not reduction:
        return
    if reduction == "popc":
        e.set(i.operands[0], "u32", found)
    else:
        e.set(i.operands[0], "pred", e.op(f"icmp ne i32 {found}, 0"))


@lowers("activemask", section=f"{_SYNC}: activemask")
def active_mask(e: Body, i: Instruction) -> None:
    """Set d = the lanes that run this instruction together: those that have reached it when nobody else can go on."""
    e.set(i.operands[0], "b32", e.call("i32", "emu.ptx.activemask", f"i64 {e.site}"))


_REDUCTIONS = {"add": ADD, "min": LEAST, "max": MOST, "and": AND, "or": OR, "xor": XOR}


@lowers("redux", section=f"{_SYNC}: redux.sync")
def reduce(e: Body, i: Instruction) -> None:
    """Set d = the sum, extremum or combination of the 32-bit values of a mask's lanes."""
    kind = kinds_of(i.modifiers)[-1]
    word = next(word for word in i.modifiers if word in _REDUCTIONS)
    if kind == "f32":
        raise e.refuse("it reduces floats")
    number = {"min": SMALLEST, "max": LARGEST}.get(word, ADD) if kind == "s32" else _REDUCTIONS[word]
    value, mask = e.get(i.operands[1], kind), e.get(i.operands[2], "b32")
    found = e.call("i32", "emu.ptx.redux", f"i32 {mask}", f"i32 {number}", f"i32 {value}", f"i64 {e.site}")
    e.set(i.operands[0], kind, found)


@lowers("elect", section=f"{_SYNC}: elect.sync")
def elect(e: Body, i: Instruction) -> None:
    """Set d|p = the lowest lane of a mask, and whether this lane is it."""
    mask = e.get(i.operands[1], "b32")
    e.call("void", "emu.nvvm.bar.warp.sync", f"i32 {mask}", f"i64 {e.site}")
    leader = e.call("i32", "llvm.cttz.i32", f"i32 {mask}", "i1 false")
    to = i.operands[0]
    assert isinstance(to, Pair)
    lane = read_special(e, "%laneid", "u32")
    e.set(to.second, "pred", e.op(f"icmp eq i32 {leader}, {lane}"))
    e.set(to.first, "b32", leader)


@lowers("membar", "fence", section=f"{_SYNC}: membar, fence")
def fence(e: Body, i: Instruction) -> None:
    """Order this thread's accesses: memory is sequentially consistent here, so only the compiler needs to know."""
    e.put("fence seq_cst")
    if isinstance(e.memory, WatchedMemory):
        e.memory.fence(e, is_device="cta" not in i.modifiers)


@lowers("nanosleep", "griddepcontrol", "setmaxnreg", "pmevent", section="Miscellaneous Instructions")
def nothing(e: Body, i: Instruction) -> None:
    """Take time, registers, or an event of a profiler: nothing that a value depends on."""


# ---- warps

_SHUFFLES = {"idx": 0, "up": 1, "down": 2, "bfly": 3}  # as NVVM numbers them
_VOTES = {"all": 0, "any": 1, "uni": 2, "ballot": 3}


@lowers("shfl", section="Data Movement and Conversion Instructions: shfl.sync")
def shuffle(e: Body, i: Instruction) -> None:
    """d|p = a of another lane, and whether that lane is inside the segment."""
    if "sync" not in i.modifiers:
        raise e.refuse("shfl without .sync does not exist since compute capability 7.0")
    mode = _SHUFFLES[next(word for word in i.modifiers if word in _SHUFFLES)]
    a, b, c, mask = (e.bits(operand, "b32") for operand in i.operands[1:])
    pair = e.call(
        "{i32, i1}", "emu.nvvm.shfl.sync.i32", f"i32 {mask}", f"i32 {mode}", f"i32 {a}", f"i32 {b}", f"i32 {c}",
        f"i64 {e.site}",
    )  # fmt: skip
    to = i.operands[0]
    if isinstance(to, Pair):
        e.set(to.second, "pred", e.op(f"extractvalue {{i32, i1}} {pair}, 1"))
        to = to.first
    e.set(to, "b32", e.op(f"extractvalue {{i32, i1}} {pair}, 0"))


@lowers("vote", section=f"{_SYNC}: vote.sync")
def vote(e: Body, i: Instruction) -> None:
    """Set d = whether a predicate holds for all or any lanes, or is equal in all; or the lanes where it holds."""
    if "sync" not in i.modifiers:
        raise e.refuse("vote without .sync does not exist since compute capability 7.0")
    mode = next(word for word in i.modifiers if word in _VOTES)
    value, mask = e.get(i.operands[1], "pred"), e.get(i.operands[2], "b32")
    pair = e.call(
        "{i32, i1}", "emu.nvvm.vote.sync", f"i32 {mask}", f"i32 {_VOTES[mode]}", f"i1 {value}", f"i64 {e.site}"
    )
    if mode == "ballot":
        e.set(i.operands[0], "b32", e.op(f"extractvalue {{i32, i1}} {pair}, 0"))
    else:
        e.set(i.operands[0], "pred", e.op(f"extractvalue {{i32, i1}} {pair}, 1"))


@lowers("match", section=f"{_SYNC}: match.sync")
def match(e: Body, i: Instruction) -> None:
    """Set d = the lanes that have the same value; with `.all`, p is whether all lanes have it."""
    width = "64" if "b64" in i.modifiers else "32"
    value, mask = e.bits(i.operands[1], f"b{width}"), e.get(i.operands[2], "b32")
    arguments = f"i32 {mask}", f"i{width} {value}", f"i64 {e.site}"
    to = i.operands[0]
    if "any" in i.modifiers:
        e.set(to, "b32", e.call("i32", f"emu.nvvm.match.any.sync.i{width}", *arguments))
        return
    pair = e.call("{i32, i1}", f"emu.nvvm.match.all.sync.i{width}", *arguments)
    if isinstance(to, Pair):
        e.set(to.second, "pred", e.op(f"extractvalue {{i32, i1}} {pair}, 1"))
        to = to.first
    e.set(to, "b32", e.op(f"extractvalue {{i32, i1}} {pair}, 0"))
