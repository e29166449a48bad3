"""Build a linked kernel into machine code for this machine, for one shape of block."""

import ctypes
import re
import time
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from convbench.emulator.analysis import has_loop
from convbench.emulator.arguments import Passed
from convbench.emulator.building.kernels import Compiled, Linked, Watch
from convbench.emulator.building.link import has_syncwarps
from convbench.emulator.building.memory import lay_out
from convbench.emulator.building.symbols import is_python
from convbench.emulator.machine import Machine
from convbench.emulator.ptx.memory import PREFIX, WORD
from convbench.emulator.ptx.storage import Storage
from convbench.emulator.source import DebugInfo
from convbench.emulator.watch import Watcher
from convbench.emulator.weave import Layout, Weaver, find_kernel
from convbench.emulator.wide import NotWideError, can_widen, plain, widened, with_constants, without_constants


def build(
    linked: Linked, machine: Machine, block: tuple[int, int, int], scalars: tuple[int, ...] | None = None
) -> Compiled:
    """Compile a linked kernel to machine code for blocks of one shape, and with `scalars` for these integers alone."""
    begin = time.perf_counter()
    layout, static_bytes, shared_bytes = lay_out(linked.retargeted, machine)
    code = _Code(linked.text, linked.entry)
    lanes = 1
    if scalars is not None and (wide := _side_by_side(code, linked, machine, block, scalars)):
        code, lanes = wide
    weaver = _weaver(linked, code.define, code.body, layout, block, machine, scalars)
    woven = "\n".join(code.before) + "\n" + weaver.weave() + "\n".join(_rest(code.behind))
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
        is_brief=not has_loop(weaver.body) and not any(map(is_python, linked.symbols)),
        warpgroups=_has_warpgroups(linked),
        watch=watch,
        pointers=linked.pointers,
        build_s=time.perf_counter() - begin,
        scalars=scalars,
        lanes=lanes,
        variables=_variables(engine, watch, memory) if watch else [],
        memory=memory,
        raises=linked.raises,
        tables=linked.tables,
    )


MOST_LOCAL = 1 << 18  # bytes of local memory of all lanes: it lies on the stack, twice
_DECLARED = re.compile(r"^declare [^@]*@([\w.]+)\(", re.MULTILINE)


class _Code:
    """The text of a module, with the kernel apart."""

    def __init__(self, text: str, entry: str) -> None:
        lines = [line for line in text.splitlines() if not line.lstrip().startswith("#dbg_")]
        first, last = find_kernel(lines, entry)
        self.before, self.define, self.behind = lines[:first], lines[first], lines[last + 1 :]
        self.body = lines[first + 1 : last]


def _side_by_side(
    code: _Code, linked: Linked, machine: Machine, block: tuple[int, int, int], scalars: tuple[int, ...]
) -> tuple[_Code, int] | None:
    """The code for several threads at once, and how many; None if the kernel cannot be run so."""
    threads = block[0] * block[1] * block[2]
    lanes = next((count for count in machine.lanes if threads % count == 0), 1)
    if lanes == 1 or linked.tables is not None or _has_warpgroups(linked) or not can_widen(code.body):
        return None
    if linked.local_bytes * lanes > MOST_LOCAL:
        return None
    try:
        text = "\n".join([*code.before, code.define, *plain(code.body), "}", *code.behind])
        module = machine.parse(with_constants(text, block, scalars))
        machine.optimise(module, 2, vectorise=False)
        code = _Code(without_constants(str(module)), linked.entry)
        code.body, declared = widened(code.body, lanes, block)
    except NotWideError:
        return None
    known = set(_DECLARED.findall("\n".join([*code.before, *code.behind])))
    code.behind += [line for line in sorted(declared) if _DECLARED.findall(line)[0] not in known]
    return code, lanes


def _watch(watcher: Watcher, linked: Linked) -> Watch:
    return Watch(
        watcher.rows,
        watcher.shift,
        list(watcher.local_arrays.values()),
        {},
        has_syncwarps(linked.retargeted),
        watcher.has_atomics,
        watcher.has_copies,
        watcher.has_fences,
        watcher.preempts,
    )


def _has_warpgroups(linked: Linked) -> bool:
    return any("@emu.ptx.wgmma_" in module for module in linked.retargeted.modules)


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
