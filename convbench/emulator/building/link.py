"""Link a kernel and everything that it calls, for given types of its arguments, to one module that is optimised."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from convbench.emulator import support
from convbench.emulator.arguments import Pointers
from convbench.emulator.building.kernels import Linked, Watch
from convbench.emulator.building.memory import lay_out
from convbench.emulator.building.symbols import bind, resolve
from convbench.emulator.checks import loops
from convbench.emulator.front_end import lower
from convbench.emulator.limits import check_constants
from convbench.emulator.machine import Machine
from convbench.emulator.nvvm import fusion, libdevice, nans, unrolling
from convbench.emulator.ptx.counts.counted import Counting
from convbench.emulator.ptx.lower import lower as lower_ptx
from convbench.emulator.ptx.lower import shared_variables
from convbench.emulator.ptx.memory import Places
from convbench.emulator.ptx.storage import stored
from convbench.emulator.ptx.syntax import Module as PtxModule
from convbench.emulator.ptx.syntax import bytes_of
from convbench.emulator.ptx.watched import Watching
from convbench.emulator.retarget import Array, Retargeted, retarget
from convbench.emulator.source import UNKNOWN
from convbench.emulator.weave import find_kernel

_PART = re.compile(r"_\$_\d+$")  # behind the name of a shared array of which NVVM keeps a part
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
    retargeted = retarget(lowered.modules, watch_local=checked, compute_capability=compute_capability)
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
    layout, *_ = lay_out(retargeted, machine)
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
            has_syncwarps(retargeted),
            watching.atomics,
            watching.copies,
            watching.fences,
            watching.preempts,
        )
    return linked


def has_syncwarps(retargeted: Retargeted) -> bool:
    """Whether a kernel synchronises lanes of a warp."""
    return any("call void @emu.nvvm.bar.warp.sync(" in module for module in retargeted.modules)


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
    symbols = resolve(name, whole, asked, retargeted)
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
