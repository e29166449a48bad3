"""Build a kernel, for given types of its arguments, into machine code for this machine, and cache the result."""

import ctypes
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, TypeVar

import llvmlite.binding as llvm
import numpy as np
import numpy.typing as npt

from convbench.emulator import support
from convbench.emulator.analysis import Root, has_loop
from convbench.emulator.arguments import Passed, Pointers
from convbench.emulator.checks import loops
from convbench.emulator.counting.tables import Tables
from convbench.emulator.errors import UnsupportedError
from convbench.emulator.front_end import lower
from convbench.emulator.limits import check_constants
from convbench.emulator.machine import Machine
from convbench.emulator.nvvm import fusion, libdevice, nans, unrolling
from convbench.emulator.ptx import heap, watched
from convbench.emulator.ptx.counts.counted import Counting
from convbench.emulator.ptx.lower import lower as lower_ptx
from convbench.emulator.ptx.lower import shared_variables
from convbench.emulator.ptx.memory import PREFIX, WORD, Places
from convbench.emulator.ptx.storage import Storage, stored
from convbench.emulator.ptx.syntax import Module as PtxModule
from convbench.emulator.ptx.syntax import Variable, bytes_of
from convbench.emulator.ptx.watched import Watching
from convbench.emulator.retarget import Array, Retargeted, retarget
from convbench.emulator.source import UNKNOWN, DebugInfo, Sites
from convbench.emulator.support import printing, rounding
from convbench.emulator.watch import Watcher
from convbench.emulator.weave import Layout, Weaver, find_kernel, is_marker

GAP = 256  # bytes between shared arrays, so that the end of one is not the beginning of the next
KEPT = 128  # compiled kernels in memory; the least recently used one is freed first
_PART = re.compile(r"_\$_\d+$")  # behind the name of a shared array of which NVVM keeps a part
_lock = threading.RLock()


@dataclass(frozen=True)
class Watch:
    """The facts about a checked kernel from which a launch prepares its checks."""

    rows: list[Root]  # the ranges of memory, in the order of their table
    shift: int  # a cell of the shadow stands for 2 ** shift bytes
    local: list[Array]
    variables: dict[str, tuple[int, int]]  # bytes of an element, and elements, of a module's variables
    syncwarps: bool  # whether the kernel has syncwarps, which order lanes of a warp without a barrier
    atomics: bool  # whether it has atomics
    copies: bool  # whether it has asynchronous copies
    fences: bool  # whether it has fences, which order accesses around atomics
    preempts: bool  # whether it has several atomics, before which threads may let others run


@dataclass
class Compiled:
    """Machine code of one kernel for one signature and one shape of block."""

    name: str
    engine: Any
    start: int
    resume: int
    suspends: bool
    layout: Layout
    shared: dict[str, Array]
    static_bytes: int  # of shared memory, as hardware would count them
    shared_bytes: int  # where dynamic shared memory begins, behind the static arrays and their gaps
    local_bytes: int  # of all local arrays of a thread
    sites: Sites
    warpgroups: bool = False  # whether it has wgmma, for which threads need tables
    spins: bool = False  # whether it has loops in which a thread may wait for others, of other blocks too
    grid: bool = False  # whether it synchronises the whole grid
    is_brief: bool = False  # whether each thread surely ends soon: it has no loop, and calls nothing of Python
    watch: "Watch | None" = None
    pointers: tuple[int, ...] | None = None  # words of the arguments whose bounds the code asks for; None: it does not
    build_s: float = 0.0  # how long the machine code took
    scalars: tuple[int, ...] | None = None  # the words of the arguments whose integers are part of the code
    ran_s: dict[tuple[int, ...], float] = field(default_factory=dict)  # how long it has run with which of them
    variables: list[Passed] = field(default_factory=list)  # the variables of its module, if it is watched
    memory: Storage | None = None  # of PTX: that of all the module's variables
    raises: Callable[[Storage], None] | None = None  # see `Linked`
    tables: Tables | None = None  # of a profile
    _frame_bytes: int = -1

    def frame_bytes(self, threads: npt.NDArray[Any]) -> int:
        """Bytes of a thread's coroutine frame, which keeps its values while it waits. The compiled code tells them."""
        if self._frame_bytes < 0:
            ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.start)(threads.ctypes.data)
            self._frame_bytes = int(threads[0]["handle"])
        return self._frame_bytes


@dataclass
class Linked:
    """A kernel and everything that it calls, as the text of one optimised module that still has its markers."""

    name: str
    text: str
    entry: str
    retargeted: Retargeted
    checked: bool
    symbols: tuple[str, ...]  # functions of the C library, which a process must bind before it builds
    pointers: tuple[int, ...] | None = None  # see `Compiled`
    local_bytes: int = 0  # of local memory that `retargeted.local` does not list
    watch: Watch | None = None  # of checked PTX, whose checks the lowering has written
    variables: dict[str, Variable] = field(default_factory=dict)  # of PTX, in the memory of the module
    storage: Storage | None = None  # that memory, once there is some
    raises: Callable[[Storage], None] | None = None  # raises the exception that a run of the kernel noted, if any
    tables: Tables | None = None  # of a profile

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "storage": None, "raises": None}  # another process has its own

    def memory(self) -> Storage:
        """The memory of the module's variables."""
        if self.storage is None:
            self.storage = Storage(self.variables)
        return self.storage


# a constant array of a kernel, in numba-cuda's IR for NVVM
_CONSTANT = re.compile(r"^@[^=]+ = (?:\w+ )*addrspace\(4\) constant (\[.*?\]) (?:c\"|\[|zeroinitializer)", re.MULTILINE)


def link(
    kernel: Any,
    types: tuple[Any, ...],
    machine: Machine,
    compute_capability: tuple[int, int],
    *,
    checked: bool,
    strict: bool = False,
) -> Linked:
    """Link a kernel for these types of arguments and blocks of any shape. With `strict`, no index may be negative.

    Raises UnsupportedError, and the errors of Numba.
    """
    lowered = lower(kernel, types, compute_capability=compute_capability, checked=checked, strict=strict)
    retargeted = retarget(lowered.modules, watch_local=checked)
    constants = (kind for module in lowered.modules for kind in _CONSTANT.findall(module))
    check_constants(sum(machine.size_of(kind) for kind in constants))
    reflected = libdevice.Reflected(compute_capability, bool(kernel.targetoptions.get("fastmath")))
    library = partial(libdevice.definition, reflected=reflected)
    return _link(kernel.py_func.__name__, retargeted, lowered.entry, machine, library, checked=checked)


def link_ptx(
    module: PtxModule,
    entry: str,
    name: str,
    pointers: Pointers,
    machine: Machine,
    *,
    checked: bool,
    counted: bool = False,
    shared: Mapping[str, Array] | None = None,
) -> Linked:
    """Link a kernel of a PTX module, for blocks of any shape; `counted` for a profile. Raises UnsupportedError.

    `shared` has what is known of shared variables, by their names: those that it lacks have the names of their symbols.
    """
    retargeted = Retargeted()
    for variable in shared_variables(module, entry):
        is_dynamic = not variable.size
        array = Array(variable.name, variable.size, "i8", variable.align, UNKNOWN, is_dynamic, variable.name)
        known = (shared or {}).get(_PART.sub("", variable.name))
        if known and known.dynamic == is_dynamic and known.count * machine.size_of(known.element) == variable.size:
            array = replace(known, align=variable.align)
        elif known:
            array = replace(array, label=known.variable)
        retargeted.shared[variable.name] = array
    layout, *_ = _lay_out(retargeted, machine)
    places = Places(
        module,
        {shared: place for shared, (place, _) in layout.shared.items()},
        {shared for shared, array in retargeted.shared.items() if array.dynamic},
        pointers.words,
        pointers.begins,
        {shared: size for shared, (_, size) in layout.shared.items()},
    )
    variables = [v for v in module.variables.values() if v.space in ("global", "const") and not v.external]
    watching = None
    if checked:
        words = [("argument", str(word)) for word in pointers.words]
        blocks = [("shared", name) for name in layout.shared]
        watching = Watching([*words, *blocks, *(("memory", variable.name) for variable in variables)])
    counting = Counting() if counted else None
    lowered = lower_ptx(module, entry, places, name, watching, counting)
    retargeted.modules.append(lowered.text)
    retargeted.sites = lowered.sites
    linked = _link(name, retargeted, lowered.entry, machine, None, checked=checked)
    linked.local_bytes = lowered.local_bytes
    linked.variables = stored(module)
    if module.storage is None:
        module.storage = linked.memory()
    linked.storage = module.storage
    linked.tables = counting.tables if counting else None
    if watching is None:
        linked.pointers = pointers.words
    else:
        linked.watch = Watch(
            watching.rows,
            watching.shift,
            [Array(label, 0, "i8", 1, UNKNOWN, label=label) for label in watching.local],
            {variable.name: (bytes_of(variable.kind), variable.count) for variable in variables},
            _has_syncwarps(retargeted),
            watching.atomics,
            watching.copies,
            watching.fences,
            watching.preempts,
        )
    return linked


def build(
    linked: Linked, machine: Machine, block: tuple[int, int, int], scalars: tuple[int, ...] | None = None
) -> Compiled:
    """Compile a linked kernel to machine code for blocks of one shape, and with `scalars` for these integers alone."""
    begin = time.perf_counter()
    layout, static_bytes, shared_bytes = _lay_out(linked.retargeted, machine)
    lines = [line for line in linked.text.splitlines() if not line.lstrip().startswith("#dbg_")]
    first, last = find_kernel(lines, linked.entry)
    weaver = _weaver(linked, lines[first], lines[first + 1 : last], layout, block, machine, scalars)
    woven = "\n".join(lines[:first]) + "\n" + weaver.weave() + "\n".join(_rest(lines[last + 1 :]))
    module = machine.parse(woven)
    # the checks leave little to optimise, and with level 1 they compile in half the time
    machine.optimise(module, 1 if linked.checked else 3, vectorise=not linked.checked)
    engine = llvm.create_mcjit_compiler(module, machine.new())
    memory = linked.memory()
    for variable in module.global_variables:
        name = variable.name.removeprefix(PREFIX)
        if name != variable.name and name in memory:
            engine.add_global_mapping(variable, memory.address(name))
    engine.finalize_object()
    watch = _watch(weaver, linked) if isinstance(weaver, Watcher) else linked.watch
    return Compiled(
        name=linked.name,
        engine=engine,
        start=engine.get_function_address("emu_start"),
        resume=engine.get_function_address("emu_resume"),
        suspends=weaver.suspends,
        layout=layout,
        shared=linked.retargeted.shared,
        static_bytes=static_bytes,
        shared_bytes=shared_bytes,
        local_bytes=sum(layout.local.values()) + linked.local_bytes,
        sites=linked.retargeted.sites,
        spins=bool(weaver.spins) or any("@emu.ptx.yield(" in module for module in linked.retargeted.modules),
        grid=weaver.grid,
        is_brief=not has_loop(weaver.body) and not any(map(_is_python, linked.symbols)),
        warpgroups=_has_warpgroups(linked),
        watch=watch,
        pointers=linked.pointers,
        build_s=time.perf_counter() - begin,
        scalars=scalars,
        variables=_variables(engine, watch, memory) if watch else [],
        memory=memory,
        raises=linked.raises,
        tables=linked.tables,
    )


def _watch(watcher: Watcher, linked: Linked) -> Watch:
    return Watch(
        watcher.rows,
        watcher.shift,
        list(watcher.local_arrays.values()),
        {},
        _has_syncwarps(linked.retargeted),
        watcher.has_atomics,
        watcher.has_copies,
        watcher.has_fences,
        watcher.preempts,
    )


def _has_warpgroups(linked: Linked) -> bool:
    return any("@emu.ptx.wgmma_" in module for module in linked.retargeted.modules)


def _has_syncwarps(retargeted: Retargeted) -> bool:
    return any("call void @emu.nvvm.bar.warp.sync(" in module for module in retargeted.modules)


def _variables(engine: Any, watch: Watch, memory: Storage) -> list[Passed]:
    """The variables of a module as arrays: the memory is the module's, or that of the code."""
    found = []
    for name, (itemsize, count) in watch.variables.items():
        if name in memory:
            array = memory.bytes_of(name)
        else:
            address = engine.get_global_value_address(PREFIX + name)
            array = np.ctypeslib.as_array((ctypes.c_uint8 * (itemsize * count)).from_address(address))
        found.append(Passed(name, array.view(f"u{itemsize}") if itemsize <= WORD else array, -1))
    return found


def _weaver(
    linked: Linked,
    define: str,
    body: list[str],
    layout: Layout,
    block: tuple[int, int, int],
    machine: Machine,
    scalars: tuple[int, ...] | None,
) -> Weaver:
    if linked.pointers is not None or linked.watch is not None:  # PTX, whose loops let others run already
        return Weaver(define, body, layout, block, scalars, checked=linked.checked)
    if not linked.checked:
        debug, sites = DebugInfo(linked.text), linked.retargeted.sites
        return Weaver(define, body, layout, block, scalars, lambda line: sites.number(debug.site(line)))
    return Watcher(
        define,
        body,
        layout,
        block,
        debug=DebugInfo(linked.text),
        sites=linked.retargeted.sites,
        size_of=machine.size_of,
        local_arrays=linked.retargeted.local,
        warpgroups=_has_warpgroups(linked),
    )


def _rest(lines: list[str]) -> list[str]:
    """The lines after the kernel, without the declarations that `weave` adds itself."""
    return [line for line in lines if not re.match(r"declare .*@(emu\.|llvm\.memset\.p0\.i64)", line)]


def _link(
    name: str,
    retargeted: Retargeted,
    entry: str,
    machine: Machine,
    library: support.Library | None,
    *,
    checked: bool,
) -> Linked:
    whole = machine.parse(retargeted.modules[0])
    for text in retargeted.modules[1:]:
        whole.link_in(machine.parse(text))
    asked = {function.name for function in whole.functions if function.is_declaration}
    whole.link_in(machine.parse(support.module(retargeted.modules, checked=checked, library=library)))
    for function in whole.functions:
        if not function.is_declaration and function.name != entry:
            function.linkage = "internal"
            if not any(b"noinline" in bytes(attribute) for attribute in function.attributes):
                function.add_function_attribute("alwaysinline")
    whole.verify()
    if checked:
        machine.inline(whole)
        whole = _with_turns(whole, entry, machine)
        machine.tidy(whole)
    else:
        machine.optimise(whole, 1, vectorise=False)
    symbols = _resolve(name, whole, asked, retargeted)
    bind(symbols)
    text = str(whole)
    if library is not None:  # PTX says itself what is fused, and which NaNs are computed
        text = nans.canonical(fusion.fused(support.inlined_later(text)))
        if f"call double @{fusion.SUM_TO_ODD}(" in text:
            text += support.definition(fusion.SUM_TO_ODD)
        if not checked:
            text = unrolling.marked(text)
    return Linked(name, text, entry, retargeted, checked, symbols)


def _with_turns(module: Any, entry: str, machine: Machine) -> Any:
    """The module, whose barriers note the turns of the loops around them."""
    text = str(module)
    if loops.MARKER not in text:
        return module
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#dbg_")]
    first, last = find_kernel(lines, entry)
    return machine.parse("\n".join([*lines[: first + 1], *loops.number_turns(lines[first + 1 : last]), *lines[last:]]))


def bind(symbols: tuple[str, ...]) -> None:
    """Tell LLVM where these functions are in this process."""
    for name in symbols:
        llvm.add_symbol(name, _address(name))


def _is_python(symbol: str) -> bool:
    """Whether a function that machine code calls is one of Python's."""
    return symbol == "vprintf" or symbol.startswith((heap.PREFIX, watched.PREFIX))


def _address(name: str) -> int | None:
    if name == "vprintf":
        return printing.address()
    if name.startswith(rounding.PREFIX):
        return rounding.address(name)
    if name.startswith(watched.PREFIX):
        return watched.address(name)
    if name.startswith(heap.PREFIX):
        return heap.address(name)
    address: int | None = llvm.address_of_symbol(name.removeprefix("__nv_"))
    return address


def _resolve(name: str, module: Any, asked: set[str], retargeted: Retargeted) -> tuple[str, ...]:
    """The undefined functions that the C library has. Raises UnsupportedError for those that it lacks."""
    missing, found = [], []
    for function in module.functions:
        if not function.is_declaration or is_marker(function.name) or function.name.startswith("llvm."):
            continue
        # a function that the optimiser calls is the C library's; one that the kernel calls may only share its name
        is_known = (
            function.name == "vprintf"
            or function.name.startswith(("__nv_", rounding.PREFIX, watched.PREFIX, heap.PREFIX))
            or function.name not in asked
        )
        if is_known and _address(function.name):
            found.append(function.name)
        else:
            missing.append(function.name)
    if missing:
        raise UnsupportedError(f"{name}: " + "; ".join(_missing(symbol, retargeted) for symbol in missing))
    return tuple(found)


def _missing(symbol: str, retargeted: Retargeted) -> str:
    readable = symbol.replace("emu.nvvm.", "llvm.nvvm.")
    for module in retargeted.modules:
        for line in module.splitlines():
            if " call " in line and (f'@"{symbol}"(' in line or f"@{symbol}(" in line):
                site = DebugInfo(module).site(line)
                place = f" ({site.file}:{site.line})" if site.line else ""
                return f"{readable}{place} has no counterpart on the CPU"
    return f"{readable} has no counterpart on the CPU"


def _lay_out(found: Retargeted, machine: Machine) -> tuple[Layout, int, int]:
    """Place shared arrays one after another with a gap after each, and dynamic memory last.

    Returns the layout, the static bytes as hardware would count them, and where dynamic memory begins.
    """
    shared: dict[str, tuple[int, int]] = {}
    place = static = 0
    for name, array in sorted(found.shared.items(), key=lambda item: item[1].dynamic):
        size = array.count * machine.size_of(array.element)
        if array.dynamic:
            shared[name] = place, 0
            continue
        shared[name] = place, size
        static = -(-static // array.align) * array.align + size
        place += -(-size // GAP) * GAP + GAP
    local = {name: array.count * machine.size_of(array.element) for name, array in found.local.items()}
    return Layout(shared, local), static, place


Kept = TypeVar("Kept")


class Cache(Generic[Kept]):
    """A cache of compiled or linked kernels. When it is full, the least recently used one is freed."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._compiled: OrderedDict[Any, Kept] = OrderedDict()

    def get(self, key: Any, make: Callable[[], Kept]) -> Kept:
        with _lock:
            if key not in self._compiled:
                self._compiled[key] = make()
                while len(self._compiled) > self._kept:
                    self._compiled.popitem(last=False)
            self._compiled.move_to_end(key)
            return self._compiled[key]
