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


def build(
    linked: Linked, machine: Machine, block: tuple[int, int, int], scalars: tuple[int, ...] | None = None
) -> Compiled:
    """Compile a linked kernel to machine code for blocks of one shape, and with `scalars` for these integers alone."""
    begin = time.perf_counter()
    layout, static_bytes, shared_bytes = lay_out(linked.retargeted, machine)
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
        is_brief=not has_loop(weaver.body) and not any(map(is_python, linked.symbols)),
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
