"""Report a fault: turn the row of the stopped thread into a sentence with kernel, line, block, thread and array."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from convbench.emulator.building import Compiled
from convbench.emulator.checks.shadow import epoch_of, is_of_copy, thread_of
from convbench.emulator.checks.taint import LANES
from convbench.emulator.errors import KernelFault, Remark
from convbench.emulator.places import Places
from convbench.emulator.source import Site, Sites
from convbench.emulator.state import REMARKS, WARP, FaultKind, Status

_BETWEEN_THREADS = {
    FaultKind.DIVERGENT_BARRIER: "threads of one block wait at different barriers",
    FaultKind.EARLY_EXIT: "this thread returned before a barrier that others of its block wait at",
    FaultKind.MASK_WITHOUT_SELF: "the mask of a warp collective does not name the lane that calls it",
    FaultKind.MASK_NAMES_EXITED: "the mask of a warp collective names a lane that has returned",
    FaultKind.MASK_NAMES_ABSENT: "the mask of a warp collective names a lane that the block does not have",
    FaultKind.DIVERGENT_COLLECTIVE: "lanes of one mask wait at different warp collectives",
    FaultKind.INCOMPLETE_BARRIER: "a barrier waits for threads that never come",
    FaultKind.PART_OF_WARPGROUP: "only a part of the 128 threads of a warpgroup is here, and all must be",
    FaultKind.INCOMPLETE_COLLECTIVE: "a warp collective waits for lanes that never come",
}
_IN_DIFFERENT_TURNS = "threads of one block wait at one barrier in different turns of a loop"
_WAITS: dict[int, str] = {
    Status.READY: "spinning",
    Status.BARRIER: "at a barrier",
    Status.NAMED: "at a barrier",
    Status.GRID: "at a grid synchronisation",
}
_RACES = {
    FaultKind.RACE_READ: "reads {element}, which {other} wrote",
    FaultKind.RACE_WRITE: "writes {element}, which {other} wrote",
    FaultKind.RACE_OVERWRITE: "writes {element}, which {other} read",
}


@dataclass(frozen=True)
class Stop:
    """A thread that stopped. It holds copies of its row, the rows of its block, and the worker's header."""

    kind: FaultKind
    thread: npt.NDArray[Any]
    threads: npt.NDArray[Any]
    header: npt.NDArray[Any]
    others: tuple[str, ...] = ()  # who else waits, and where


def noted(
    workers: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]], *, keep_going: bool
) -> list[Stop]:
    """The noted faults and remarks (`notes`) of workers, as (notes, header, threads), the earliest first.

    Without `keep_going` only the remarks: the fault that ended the launch is known already.
    """
    found = []
    for notes, header, threads in workers:
        for row in notes:
            kind = FaultKind(int(row["kind"]))
            if kind not in REMARKS and not keep_going:
                continue
            thread, own = threads[int(row["thread"])].copy(), header[0].copy()
            thread["fault_site"] = row["site"]
            for letter in "abc":
                thread[f"fault_{letter}"] = row[letter]
            for name in ("ctaid_x", "ctaid_y", "ctaid_z", "range_begin", "range_end"):
                own[name] = row[name]
            found.append(((int(row["epoch"]), int(row["time"]), int(row["site"])), Stop(kind, thread, threads, own)))
    return [stop for _, stop in sorted(found, key=lambda item: item[0])]


def remark(stop: Stop, compiled: Compiled, places: Places) -> Remark:
    """The remark of a note that is no fault."""
    fault = report(stop, compiled, places)
    return Remark(str(fault), fault.kind, fault.kernel, fault.file, fault.line, fault.block, fault.thread, fault.array)


def report(stop: Stop, compiled: Compiled, places: Places) -> KernelFault:
    """The exception to raise."""
    header, row = stop.header, stop.thread
    if stop.kind == FaultKind.RACE_OVERWRITE:
        if is_of_copy(int(row["fault_b"]), int(row["fault_c"]), int(row["index"])):
            stop = replace(stop, kind=FaultKind.COPY_SOURCE)
            row["fault_b"] = 0
        row["fault_c"] = 0
    block = (int(header["ctaid_x"]), int(header["ctaid_y"]), int(header["ctaid_z"]))
    thread = (int(row["tid_x"]), int(row["tid_y"]), int(row["tid_z"]))
    if stop.kind in _BETWEEN_THREADS:
        site, what = _between_threads(stop, compiled.sites)
        array = ""
    else:
        site = compiled.sites[int(row["fault_site"])]
        if stop.kind == FaultKind.SOURCE_NOT_IN_MASK:
            site = compiled.sites[(int(row["fault_a"]) - 1) // LANES]
        what, array = _access(stop, places, compiled.sites)
    place = f"{site.file}:{site.line}" if site.line else "unknown line"
    inside = f" in {site.function}" if site.function not in ("", compiled.name) else ""
    line = f": `{site.text()}`" if site.text() else ""
    return KernelFault(
        f"{compiled.name} ({place}{inside}){line}: {what}; block {block}, thread {thread}",
        kind=stop.kind,
        kernel=compiled.name,
        file=site.file,
        line=site.line,
        block=block,
        thread=thread,
        array=array,
    )


def _between_threads(stop: Stop, sites: Sites) -> tuple[Site, str]:
    """The place and the description of an error between threads, with the lines at which they wait."""
    what = _BETWEEN_THREADS[stop.kind]
    if stop.kind == FaultKind.PART_OF_WARPGROUP:
        waiting = stop.threads[stop.threads["status"] > Status.FAULT]
    elif stop.kind in (FaultKind.DIVERGENT_BARRIER, FaultKind.EARLY_EXIT, FaultKind.INCOMPLETE_BARRIER):
        waiting = stop.threads[np.isin(stop.threads["status"], (Status.BARRIER, Status.NAMED, Status.GRID))]
    else:
        warp = int(stop.thread["index"]) // WARP
        waiting = stop.threads[(stop.threads["status"] > Status.FAULT) & (stop.threads["index"] // WARP == warp)]
        what += f" (mask 0x{int(stop.thread['mask']) & 0xFFFFFFFF:08x}, lane {int(stop.thread['lane'])})"
    places = [sites[int(number)] for number in dict.fromkeys(waiting["site"].tolist())]
    if stop.kind == FaultKind.DIVERGENT_BARRIER and len(places) == 1 and len(set(waiting["option"].tolist())) == 1:
        what = _IN_DIFFERENT_TURNS
    is_own = stop.thread["status"] > Status.FAULT or not places  # nobody else waits
    own = sites[int(stop.thread["site"])] if is_own else places[0]
    others = _lines([place for place in places if place != own])
    return own, what + (f"; others wait at {others}" if others else "")


def waiting(header: npt.NDArray[Any], threads: npt.NDArray[Any], sites: Sites) -> list[str]:
    """Who waits where in one block that cannot go on, a sentence for each place."""
    block = (int(header["ctaid_x"]), int(header["ctaid_y"]), int(header["ctaid_z"]))
    found: dict[tuple[int, int], int] = {}
    for row in threads[threads["status"] != Status.DONE]:
        key = int(row["status"]), int(row["site"])
        found[key] = found.get(key, 0) + 1
    return [
        f"block {block}: {count} thread{'s' * (count > 1)} "
        f"{_WAITS.get(status, 'at a warp collective')} at line {sites[site].line or '?'}"
        for (status, site), count in found.items()
    ]


def _lines(places: Sequence[Site]) -> str:
    return ", ".join(f"line {place.line}" for place in places)


def _access(stop: Stop, places: Places, sites: Sites) -> tuple[str, str]:
    """The description of a faulty access, and the name of its array."""
    row, kind = stop.thread, stop.kind
    a, b, c = (int(row[name]) for name in ("fault_a", "fault_b", "fault_c"))
    if kind in (FaultKind.INDEX, FaultKind.NEGATIVE_INDEX):
        extent, axis = b & (2**56 - 1), b >> 56
        array = places.local(-1 - c) if c < 0 else places.array(c) if c else ""
        of = f" of {array}" if array else ""
        along = f" for axis {axis}" if axis >= 0 else ""  # an index into `array.flat` has no axis
        if kind == FaultKind.NEGATIVE_INDEX:
            return f"index {a} counts from the end{along}{of}, which has {extent} elements", array
        return f"index {a} is out of bounds{along}{of}, which has {extent} elements", array
    if kind == FaultKind.STEPS:
        return f"a thread took more than {a:,} steps of its loops: the kernel may never end", ""
    if kind == FaultKind.SOURCE_NOT_IN_MASK:
        lane = (a - 1) % LANES
        return f"a shuffle reads a lane that its mask does not name, in lane {lane}, and its value is used", ""
    if kind == FaultKind.UNSET:
        return f"reads variable {sites[a].function}, which this thread has not set", ""
    if kind == FaultKind.UNWAITED:
        return "uses a sum that wgmma still writes: wait for its group first", ""
    if kind == FaultKind.UNFENCED:
        return "multiplies registers with no wgmma.fence behind the last wait", ""
    if kind == FaultKind.SPINNING:
        what = "spins on memory that nobody changes: it waits for a thread, or for a block, that never comes"
        return what + "".join(f"; {other}" for other in stop.others), ""
    if kind == FaultKind.TRAP:
        return "the kernel aborts itself: a trap, or an assertion that failed", ""
    if kind == FaultKind.UNEVEN_OPERANDS:
        return "threads of one warpgroup bring different descriptors", ""
    if kind == FaultKind.UNWRITTEN and b < 0:
        array = places.local(-1 - b)
        return f"reads an element of local array {array} that was never written", array
    if kind == FaultKind.OPERAND:
        array, element = places.element(a) if a else ("", "a register")
        if c < 0:
            array = places.local(-1 - c)
            element = f"an element of local array {array}"
        product = sites[b]
        line = f" of line {product.line}" if product.line else f" in {product.function}" * bool(product.function)
        return f"writes {element}, which the wgmma{line} still uses: wait for its group first", array
    verb = "reads" if kind == FaultKind.READ_OUTSIDE else "writes"
    if c < 0:  # the local memory of a thread in PTX, whose addresses count from its beginning
        array = places.local(-1 - c)
        if kind == FaultKind.MISALIGNED:
            return f"accesses byte {a} of local memory {array}, an address that is no multiple of {b} bytes", array
        return f"{verb} {b} bytes outside local memory {array}, at its byte {a}", array
    if kind in (FaultKind.READ_OUTSIDE, FaultKind.WRITE_OUTSIDE):
        array, where = places.nearest(a)
        return f"{verb} {b} bytes outside every array, {where}", array
    array, element = places.element(a)
    if kind == FaultKind.UNWRITTEN:
        return f"reads {element}, which was never written", array
    if kind == FaultKind.MISALIGNED:
        return f"accesses {element} at an address that is no multiple of {b} bytes", array
    if kind == FaultKind.RECHECKED_READ:
        what = "which others update: a compare-and-swap compares it again, and an atomic read would say so"
        return f"reads {element}, {what}", array
    if kind == FaultKind.SAME_VALUE:
        other, order = _other(stop, b)
        return f"writes {element}, as {other} does, with the same value{order}", array
    if kind == FaultKind.COPY_TARGET:
        return f"writes {element} while an asynchronous copy to it is under way: wait for the copy first", array
    if kind == FaultKind.COPY_SOURCE:
        issued = f" that line {sites[b].line} began" if b and sites[b].line else ""
        what = "changed" if b else "is written"
        return f"{element} {what} while an asynchronous copy{issued} reads it: wait for the copy first", array
    other, order = _other(stop, b)
    return f"data race: {_RACES[kind].format(element=element, other=other)}{order}", array


def _other(stop: Stop, stamp: int) -> tuple[str, str]:
    """The thread that made the other access of a race, and what would have ordered the two."""
    x, y = int(stop.header["ntid_x"]), int(stop.header["ntid_y"])
    index = thread_of(stamp)
    thread = (index % x, index // x % y, index // (x * y))
    if not int(stop.header["range_begin"]) <= epoch_of(stamp) <= int(stop.header["range_end"]):
        return f"thread {thread} of another block", ""
    if index == int(stop.thread["index"]):
        return "several threads", ", with no barrier between"  # the stamp names only the last of them
    return f"thread {thread}", ", with no barrier between"
