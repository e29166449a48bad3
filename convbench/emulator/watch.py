"""The weaver of the checked mode: it adds a check to every access of a kernel, and counts the steps of its loops.

It works on the kernel after light optimisation, which leaves only real loads and stores. Each pointer is traced back to
an argument, a shared array or a local array. Only if that fails must the check find the array by the address. No other
thread can see a local array, so its accesses are checked on the spot: beside it lies a map that tells which of its
bytes have been written.
"""

import re
from collections.abc import Callable

from convbench.emulator.analysis import (
    ACCESS,
    DERIVING,
    OWN,
    RESULT,
    UNKNOWN,
    VALUE,
    Root,
    accessed_pointer,
    accessed_type,
    find_loop_heads,
    find_places,
    find_rechecked,
    find_roots,
    without_integers,
)
from convbench.emulator.checks import asynchronous, notes, shadow
from convbench.emulator.collectives.warpgroup import overwrites_address
from convbench.emulator.retarget import Array
from convbench.emulator.source import DebugInfo, Sites
from convbench.emulator.state import RANGE, WORKER, FaultKind, offset
from convbench.emulator.sums import Sums, is_under_way
from convbench.emulator.weave import MARKER, Layout, Weaver, load

_ALIGN = re.compile(r", align (\d+)")
_SET = re.compile(rf"call void @llvm\.memset\S*\(ptr[^%]*(?P<to>{VALUE}), i8 [^,]*, i64 (?P<size>[^,]+),")
_COPY = re.compile(
    rf"call void @llvm\.mem(?:cpy|move)\S*\("
    rf"ptr[^%]*(?P<to>{VALUE}), ptr[^%]*(?P<source>{VALUE}), i64 (?P<size>[^,]+),"
)
_COPIED = re.compile(r"@emu\.copy\.issue\.(\d+)\(")
_FENCE = re.compile(r"^\s+fence (?P<scope>syncscope)?")
_WORD = re.compile(rf"^\s+(?P<word>{VALUE}) = ptrtoint ptr (?P<pointer>{VALUE}) to i64")


class Watcher(Weaver):
    """A weaver that checks.

    Parameters
    ----------
    debug, sites : the places in the source that the instructions came from, and the numbers of these places
    size_of : gives the bytes of one of LLVM's types
    local_arrays : the local arrays that the kernel declares, by marker
    warpgroups : whether the kernel has products of warpgroups
    """

    def __init__(
        self,
        define: str,
        body: list[str],
        layout: Layout,
        block: tuple[int, int, int],
        *,
        debug: DebugInfo,
        sites: Sites,
        size_of: Callable[[str], int],
        local_arrays: dict[str, Array],
        warpgroups: bool = False,
    ) -> None:
        self.debug, self.sites, self.size_of, self.local_arrays = debug, sites, size_of, local_arrays
        body = without_integers(body)
        super().__init__(define, body, layout, block, site_of=self._site, checked=True)
        pointers = [("argument", str(j)) for j, (kind, _) in enumerate(self.parameters) if kind == "ptr"]
        self.rows: list[Root] = [*pointers, *(("shared", name) for name in layout.shared)]
        self.roots = find_roots(body, self.parameters)
        self.words = {m["word"]: m["pointer"] for line in body if (m := _WORD.match(line))}
        self.sums = Sums(body, self.roots) if warpgroups else None
        self.heads = find_loop_heads(body)
        self.lines_of_heads = find_places(body, self.heads, lambda line: debug.site(line).line > 0)
        self.shift = self._shift()
        self.has_copies = False
        self.has_fences = any(_FENCE.match(line) for line in body)
        atomics = sum(self._is_atomic(match) for line in body if (match := ACCESS.match(line)))
        self.has_atomics = atomics > 0
        self.preempts = atomics > 1  # an update made of two may be lost between them
        self.suspends |= self.preempts
        self.ordered = self.has_atomics or self.grid
        self.rechecked = find_rechecked(body, self.roots) if self.has_atomics else set()

    def prologue(self) -> str:
        """Load the words that the checks need, and allocate the local arrays with their maps."""
        found = load("ranges", "emu.worker", "i64") + load("budget", "emu.worker", "i64")
        found += "  %emu.row = ptrtoint ptr %emu.thread to i64\n"
        for number in range(len(self.rows)):
            for name in ("begin", "size", "cells"):
                place = number * RANGE.itemsize + offset(RANGE, name)
                found += f"  %emu.{number}.{name}.at = add i64 %emu.ranges, {place}\n"
                found += f"  %emu.{number}.{name}.place = inttoptr i64 %emu.{number}.{name}.at to ptr\n"
                found += f"  %emu.{number}.{name} = load i64, ptr %emu.{number}.{name}.place, !invariant.load !{{}}\n"
        found += "  %emu.steps = alloca i64\n  store i64 0, ptr %emu.steps\n"
        for marker, array in self.local_arrays.items():
            size = self.layout.local[marker]
            align = max(array.align, 16)
            found += f"  %{marker} = alloca [{array.count} x {array.element}], align {align}\n"
            found += f"  %{marker}.written = alloca [{size} x i8], align {align}\n"
        return found

    def marker(self, line: str, match: re.Match[str]) -> bool:
        """Replace the markers of faults, copies and local arrays here, and the others as `Weaver` does."""
        name = match["name"]
        if name in ("fault", "note"):
            line = self._name_local(line)
            match = MARKER.match(line) or match
        if name == "note":
            called = f"call void inttoptr (i64 {notes.address()} to ptr)"
            self.out.append(f"  {called}(i64 %emu.row, {match['arguments']})")
            return False
        if name.startswith("copy."):
            self._copy(line, name.removeprefix("copy."), match["arguments"])
            return False
        if not name.startswith("local."):
            return super().marker(line, match)
        marker = "emu." + name.removesuffix(".begin")
        if name.endswith(".begin"):
            size = self.layout.local[marker]
            # all bits set: NaN in every floating type
            self.out.append(f"  call void @llvm.memset.p0.i64(ptr %{marker}, i8 -1, i64 {size}, i1 false)")
            self.out.append(f"  call void @llvm.memset.p0.i64(ptr %{marker}.written, i8 0, i64 {size}, i1 false)")
        else:
            value = match["value"]
            self.out.append(f"  {value} = getelementptr i8, ptr %{marker}, i64 0")
            self.out.append(f"  {_written(value)} = getelementptr i8, ptr %{marker}.written, i64 0")
        return False

    def enter(self, line: str) -> None:
        """Count the steps of a loop at its head. Where it may wait for others, the scheduler counts."""
        if self.block not in self.heads or self.block in self.spins:
            return
        line = self.lines_of_heads.get(self.block, line)
        name = self.piece()
        self.out.append(f"  %{name}.before = load i64, ptr %emu.steps")
        self.out.append(f"  %{name}.steps = add i64 %{name}.before, 1")
        self.out.append(f"  store i64 %{name}.steps, ptr %emu.steps")
        self.out.append(f"  %{name}.bad = icmp ugt i64 %{name}.steps, %emu.budget")
        self._stop_if(name, line, f"i64 {int(FaultKind.STEPS)}", "i64 %emu.budget, i64 0, i64 0")

    def instruction(self, line: str) -> None:
        """Add the checks of an instruction's accesses before it."""
        for value in self.sums.used(line) if self.sums else ():
            name = self.piece()
            self.out.append(is_under_way(value, name))
            self._stop_if(name, line, f"i64 {int(FaultKind.UNWAITED)}", "i64 0, i64 0, i64 0")
        if match := ACCESS.match(line):
            if self.preempts and self._is_atomic(match):
                self.preempt(line)
            self._access(line, match)
        elif match := _SET.search(line):
            self._block_write(line, match["to"], match["size"])
        elif match := _COPY.search(line):
            self._block_read(line, match["source"], match["size"])
            self._block_write(line, match["to"], match["size"])
        super().instruction(line)
        self._order(line)
        self._mirror(line)

    def _name_local(self, line: str) -> str:
        """Make the last argument of a fault, the address of its array, a number if the array is local.

        Addresses of local arrays differ between threads.
        """
        word = line[line.rindex("i64 ") + 4 : line.rindex(")")]
        root = self.roots.get(self.words.get(word, ""), UNKNOWN)
        return line.replace(f"i64 {word})", f"i64 {-1 - self._number_of(root)})") if root[0] == "local" else line

    def _order(self, line: str) -> None:
        """After a fence, or an atomic of a kernel with fences, note it: the two order what lies around them."""
        if not (self.has_fences and self.has_atomics):
            return
        atomic, fence = (f"call void inttoptr (i64 {address} to ptr)" for address in shadow.ordering_addresses())
        if match := _FENCE.match(line):
            self.out.append(f"  {fence}(i64 %emu.row, i64 {int(not match['scope'])})")
        elif (match := ACCESS.match(line)) and self._is_atomic(match):
            name = self.piece()
            self.out.append(f"  %{name}.place = ptrtoint ptr {accessed_pointer(match)} to i64")
            writes = str(int(match["operation"] != "load"))
            if match["operation"] == "cmpxchg" and (result := RESULT.match(line)):
                pair = f"{{ {accessed_type(match)}, i1 }}"
                self.out.append(f"  %{name}.swapped = extractvalue {pair} {result['value']}, 1")
                self.out.append(f"  %{name}.writes = zext i1 %{name}.swapped to i64")
                writes = f"%{name}.writes"
            self.out.append(f"  {atomic}(i64 %emu.row, i64 %{name}.place, i64 {writes})")

    def _is_atomic(self, access: re.Match[str]) -> bool:
        """Whether it is an atomic access to memory that other threads see."""
        if access["operation"] not in ("atomicrmw", "cmpxchg") and "atomic" not in access["flags"]:
            return False
        pointer = accessed_pointer(access)
        return pointer is not None and self.roots.get(pointer, UNKNOWN)[0] not in ("own", "local")

    # ---- one access

    def _shift(self) -> int:
        """The size of a shadow cell, as a power of two: that of the smallest access to shared data, at most 8 bytes."""
        smallest = 8
        for line in self.body:
            if copied := _COPIED.search(line):
                smallest = min(smallest, int(copied[1]))
            match = ACCESS.match(line)
            pointer = accessed_pointer(match) if match else None
            if match and pointer and self.roots.get(pointer, UNKNOWN)[0] not in ("own", "local"):
                smallest = min(smallest, self.size_of(accessed_type(match)))
        return smallest.bit_length() - 1

    def _access(self, line: str, match: re.Match[str]) -> None:
        operation, pointer = match["operation"], accessed_pointer(match)
        root = OWN if pointer is None else self.roots.get(pointer, UNKNOWN)
        if pointer is None or root == OWN:
            return
        size = self.size_of(accessed_type(match))
        if root[0] == "local":
            self._local_access(line, match, pointer, root, size, is_read=operation == "load")
            return
        kind = shadow.READ if operation == "load" else shadow.WRITE
        if self._is_atomic(match):
            kind = shadow.ATOMIC
        elif (result := RESULT.match(line)) and result["value"] in self.rechecked:
            kind = shadow.RECHECKED_READ
        align = _ALIGN.search(match["rest"])
        what = shadow.describe_access(kind, size, int(align[1]) if align else 1, self._site(line))
        behind = ""
        if kind == shadow.READ and size == 1 << self.shift and root in self.rows:
            behind = self._skip_if_free(pointer, root, size)
        self._shared_access(line, pointer, root, str(what), self._stored(match, size) if kind == shadow.WRITE else ())
        if behind:
            self.out.append(f"  br label %{behind}")
            self.begin(behind)

    def _skip_if_free(self, pointer: str, root: Root, size: int) -> str:
        """Skip the check of a read that is free in this epoch, and return the label after the check.

        Most reads are of memory that many threads read and nobody writes. One comparison tells this.
        """
        name, number = self.piece(), self.rows.index(root)
        cells = f"  %{name}.cell.at = add i64 %{name}.in, {shadow.FREE}\n"
        self.out.append(
            f"  %{name}.address = ptrtoint ptr {pointer} to i64\n"
            f"  %{name}.place = sub i64 %{name}.address, %emu.{number}.begin\n"
            f"  %{name}.inside = icmp ult i64 %{name}.place, %emu.{number}.size\n"
            f"  br i1 %{name}.inside, label %{name}.look, label %{name}\n"
            f"{name}.look:\n"
            f"  %{name}.number = lshr i64 %{name}.place, {self.shift}\n"
            f"  %{name}.offset = shl i64 %{name}.number, {shadow.CELL_BYTES.bit_length() - 1}\n"
            f"  %{name}.in = add i64 %emu.{number}.cells, %{name}.offset\n{cells}"
            f"  %{name}.free.at = inttoptr i64 %{name}.cell.at to ptr\n"
            f"  %{name}.free = load i64, ptr %{name}.free.at\n"
            f"  %{name}.epoch.at = getelementptr i8, ptr %emu.worker, i64 {offset(WORKER, 'epoch')}\n"
            f"  %{name}.epoch = load i64, ptr %{name}.epoch.at\n"
            f"  %{name}.new = xor i64 %{name}.free, %{name}.epoch\n"
            f"  %{name}.odd = and i64 %{name}.place, {size - 1}\n"
            f"  %{name}.look.closer = or i64 %{name}.new, %{name}.odd\n"
            f"  %{name}.closer = icmp ne i64 %{name}.look.closer, 0\n"
            f"  br i1 %{name}.closer, label %{name}, label %{name}.free.end"
        )
        self.begin(name)
        return f"{name}.free.end"

    def _stored(self, store: re.Match[str], size: int) -> tuple[str, ...]:
        """Two words with the value of a store; none if it is too large for them."""
        kind = accessed_type(store)
        if size > shadow.MOST_BYTES or kind[0] in "{[":
            return ()
        name = self.piece()
        value = store["rest"][len(kind) :].split(", ptr ")[0].strip()
        if kind == "ptr":
            self.out.append(f"  %{name}.bits = ptrtoint ptr {value} to i64")
        elif not re.fullmatch(r"i\d+", kind):
            self.out.append(f"  %{name}.bits = bitcast {kind} {value} to i{8 * size}")
        bits = ("i64" if kind == "ptr" else f"i{8 * size}", f"%{name}.bits") if kind[0] != "i" else (kind, value)
        self.out.append(
            f"  %{name}.whole = zext {bits[0]} {bits[1]} to i256\n"
            f"  %{name}.rest = lshr i256 %{name}.whole, 64\n"
            f"  %{name}.low = trunc i256 %{name}.whole to i64\n"
            f"  %{name}.high = trunc i256 %{name}.rest to i64"
        )
        return f"i64 %{name}.low", f"i64 %{name}.high"

    def _shared_access(self, line: str, pointer: str, root: Root, what: str, stored: tuple[str, ...] = ()) -> None:
        """Add the whole check of an access to memory that other threads see; `stored` has the value of a store."""
        name = self.piece()
        row = f"%{name}.range"
        if root in self.rows:
            self.out.append(f"  {row} = add i64 %emu.ranges, {self.rows.index(root) * RANGE.itemsize}")
        else:
            self.out.append(f"  {row} = add i64 0, 0")
        self.out.append(f"  %{name}.address = ptrtoint ptr {pointer} to i64")
        check = (shadow.check_store_address if stored else shadow.check_address)(ordered=self.ordered)
        called = f"call i64 inttoptr (i64 {check} to ptr)"
        arguments = ", ".join(("i64 %emu.row", f"i64 %{name}.address", f"i64 {what}", f"i64 {row}", *stored))
        self.out.append(f"  %{name}.fault = {called}({arguments})")
        self.out.append(f"  %{name}.bad = icmp ne i64 %{name}.fault, 0")
        self._stop_if(name, line, f"i64 %{name}.fault")

    def _local_access(
        self, line: str, match: re.Match[str], pointer: str, root: Root, size: int, *, is_read: bool
    ) -> None:
        """Add the check of a local array. Its indices are checked already, so only reads of unwritten bytes remain."""
        kind, ones = f"i{8 * size}", int.from_bytes(b"\x01" * size)
        if not is_read:
            if self.sums and accessed_type(match) == "float":
                self._check_sum(line, match, pointer, root)
            self.out.append(f"  store {kind} {ones}, ptr {_written(pointer)}, align 1")
            return
        name = self.piece()
        self.out.append(f"  %{name}.map = load {kind}, ptr {_written(pointer)}, align 1")
        self.out.append(f"  %{name}.bad = icmp ne {kind} %{name}.map, {ones}")
        self._stop_if(name, line, f"i64 {int(FaultKind.UNWRITTEN)}", f"i64 0, i64 {-1 - self._number_of(root)}, i64 0")

    def _check_sum(self, line: str, store: re.Match[str], pointer: str, root: Root) -> None:
        """Add the check that a store to a local array loses no sum that a product of a warpgroup still writes."""
        name = self.piece()
        value = store["rest"].removeprefix("float").split(", ptr ")[0].strip()
        self.out.append(f"  %{name}.before = load float, ptr {pointer}")
        for which, number in (("old", f"%{name}.before"), ("new", value)):
            self.out.append(
                f"  %{name}.{which}.bits = bitcast float {number} to i32\n"
                f"  %{name}.{which} = zext i32 %{name}.{which}.bits to i64"
            )
        given = f"i64 %emu.row, i64 %{name}.old, i64 %{name}.new, i64 {-1 - self._number_of(root)}"
        self.out.append(f"  %{name}.fault = call i64 inttoptr (i64 {overwrites_address()} to ptr)({given})")
        self.out.append(f"  %{name}.bad = icmp ne i64 %{name}.fault, 0")
        self._stop_if(name, line, f"i64 %{name}.fault")

    def _site(self, line: str) -> int:
        return self.sites.number(self.debug.site(line))

    def _number_of(self, root: Root) -> int:
        return list(self.local_arrays).index(f"emu.local.{root[1]}")

    def _stop_if(self, name: str, line: str, fault: str, details: str | None = None) -> None:
        """End the kernel with a fault if %name.bad is true, else go on in a new block."""
        site = self._site(line)
        self.out.append(
            f'  br i1 %{name}.bad, label %{name}.stop, label %{name}, !prof !{{!"branch_weights", i32 1, i32 1048576}}'
        )
        call = f"@emu.stop(ptr %emu.thread, {fault}, i64 {site})"
        if details is not None:
            call = f"@emu.report(ptr %emu.thread, {fault}, i64 {site}, {details})"
        self.stops.append(f"{name}.stop:\n  call void {call}\n  br label %emu.exit\n")
        self.begin(name)

    # ---- asynchronous copies

    def _copy(self, line: str, action: str, arguments: str) -> None:
        """Replace the marker of an issue, a commit or a wait. The bytes of a copy move at the wait."""
        self.has_copies = True
        issue, commit, wait = (f"inttoptr (i64 {address} to ptr)" for address in asynchronous.addresses())
        name = self.piece()
        if action == "commit":
            self.out.append(f"  call void {commit}(i64 %emu.row)")
            return
        if action == "wait":
            self.out.append(f"  %{name}.fault = call i64 {wait}(i64 %emu.row, {arguments})")
        else:
            size = int(action.removeprefix("issue."))
            to, source, ok = (_last_word(argument) for argument in arguments.split(", "))
            what = shadow.describe_access(0, size, size, self._site(line))
            self.out.append(
                f"  %{name}.to = ptrtoint ptr {to} to i64\n  %{name}.source = ptrtoint ptr {source} to i64\n"
                f"  %{name}.ok = icmp ne i32 {ok}, 0\n"
                f"  %{name}.from = select i1 %{name}.ok, i64 %{name}.source, i64 0\n"
                f"  %{name}.fault = call i64 {issue}(i64 %emu.row, i64 %{name}.to, i64 %{name}.from, i64 {what})"
            )
        self.out.append(f"  %{name}.bad = icmp ne i64 %{name}.fault, 0")
        self._stop_if(name, line, f"i64 %{name}.fault")

    # ---- many bytes at once

    def _block_write(self, line: str, pointer: str, size: str) -> None:
        root = self.roots.get(pointer, UNKNOWN)
        if root[0] == "local":
            self.out.append(f"  call void @llvm.memset.p0.i64(ptr {_written(pointer)}, i8 1, i64 {size}, i1 false)")
        elif root != OWN:
            self._block(line, pointer, root, size, shadow.WRITE)

    def _block_read(self, line: str, pointer: str, size: str) -> None:
        root = self.roots.get(pointer, UNKNOWN)
        if root[0] == "local":
            name = self.piece()
            self.out.append(f"  %{name}.address = ptrtoint ptr {_written(pointer)} to i64")
            called = f"call i64 inttoptr (i64 {shadow.is_unwritten_address()} to ptr)"
            self.out.append(f"  %{name}.fault = {called}(i64 %{name}.address, i64 {size})")
            self.out.append(f"  %{name}.bad = icmp ne i64 %{name}.fault, 0")
            details = f"i64 0, i64 {-1 - self._number_of(root)}, i64 0"
            self._stop_if(name, line, f"i64 {int(FaultKind.UNWRITTEN)}", details)
        elif root != OWN:
            self._block(line, pointer, root, size, shadow.READ)

    def _block(self, line: str, pointer: str, root: Root, size: str, kind: int) -> None:
        name = self.piece()
        self.out.append(f"  %{name}.size = shl i64 {size}, 16")
        self.out.append(f"  %{name}.what = or i64 %{name}.size, {shadow.describe_access(kind, 0, 1, self._site(line))}")
        self._shared_access(line, pointer, root, f"%{name}.what")

    def _mirror(self, line: str) -> None:
        """After the computation of a pointer into a local array, add the same computation for its map."""
        match = RESULT.match(line)
        if match is None or match["operation"] not in DERIVING:
            return
        if self.roots.get(match["value"], UNKNOWN)[0] != "local":
            return

        def into_map(found: re.Match[str]) -> str:
            return _written(found[0]) if self.roots.get(found[0], UNKNOWN)[0] == "local" else found[0]

        super().instruction(re.sub(VALUE, into_map, line))


def _last_word(argument: str) -> str:
    """The value of an argument, without its type and attributes."""
    return argument.rsplit(" ", 1)[-1]


def _written(value: str) -> str:
    """The name of the pointer into the map that belongs to a pointer into a local array."""
    return f'%"written.{value[2:]}' if value.startswith('%"') else f"%written.{value[1:]}"
