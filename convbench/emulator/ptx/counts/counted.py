"""Profiling: the code with which each thread notes the blocks that it enters and the addresses that it accesses.

At the beginning of a block a thread takes room for the block's number and the addresses of all its accesses, which it
fills when it makes them. So the buffer has one end, which is moved once for each block. `counting.replay` reads it.
"""

import re
from dataclasses import dataclass, field

from convbench.emulator.counting.pipes import MOVE, pipe_of, slots_of
from convbench.emulator.counting.replay import WORD
from convbench.emulator.counting.rules import INACTIVE
from convbench.emulator.counting.tables import EXIT, Access, Block, Place, Space, Tables
from convbench.emulator.ptx.counts.dependences import longest_chain
from convbench.emulator.ptx.counts.merging import Merged, find_merged
from convbench.emulator.ptx.emitter import Emitter
from convbench.emulator.ptx.flow import Root
from convbench.emulator.ptx.kinds import kinds_of
from convbench.emulator.ptx.memory import Memory, Places
from convbench.emulator.ptx.syntax import Function, Instruction, Label, Module
from convbench.emulator.state import THREAD, FaultKind, offset

PAUSE = "emu.ptx.pause"
_ENDS = ("bra", "brx", "ret", "exit", "trap", "call")
_ALWAYS = ("ld", "ldu", "st", "atom", "red")  # without a predicate they make one access, and no branch around it


@dataclass
class Counting:
    """What the lowering of one kernel notes about what it counts."""

    tables: Tables = field(default_factory=Tables)
    longest: dict[str, int] = field(default_factory=dict)  # words that a function's blocks note, by its name


class CountedMemory(Memory):
    """The memory that one function sees, where the address of every access is noted."""

    def __init__(
        self,
        places: Places,
        function: Function,
        roots: dict[str, frozenset[Root]],
        module: Module,
        counting: Counting,
    ) -> None:
        super().__init__(places, function, roots)
        self.tables = counting.tables
        self._first_place = len(self.tables.places)  # of this function's instructions
        self.blocks = _blocks_of(function)  # by the place of their first instruction
        self._first_block = len(self.tables.blocks)
        self._numbers = {place: self._first_block + n for n, place in enumerate(self.blocks)}
        self.last = EXIT if function.is_entry else self._first_block + len(self.blocks)
        self._current, self._begin, self._accesses = Block(), "", list[int]()
        starts = list(self.blocks)
        ranges = [range(first, end) for first, end in zip(starts, [*starts[1:], len(function.body)], strict=True)]
        self._merged = find_merged(function, ranges, {**module.variables, **function.variables})
        self._add_blocks(function)
        self._add_places(function, module)

    def _add_blocks(self, function: Function) -> None:
        starts = list(self.blocks)
        ends = [*starts[1:], len(function.body)]
        labels = _labels(function)
        for number, (first, end) in enumerate(zip(starts, ends, strict=True)):
            behind = self._first_block + number + 1 if number + 1 < len(starts) else self.last
            targets = _targets(function, first, end)
            to = [self._numbers.get(labels.get(t, -1), self.last) if isinstance(t, str) else behind for t in targets]
            to = [self.last if t == "" else n for t, n in zip(targets, to, strict=True)]
            chain = longest_chain(function.body[first:end])
            is_met = any(map(meets, function.body[first:end]))
            one = Block(self._first_place + first, self._first_place + end, [], to, chain=chain, is_met=is_met)
            self.tables.blocks.append(one)
        if self.last != EXIT:
            self.tables.blocks.append(Block())
        self.tables.finish(range(self._first_block, len(self.tables.blocks)), self.last)

    def _add_places(self, function: Function, module: Module) -> None:
        wide = _wide_products(function)
        for place, i in enumerate(function.body):
            if isinstance(i, Label):
                self.tables.places.append(Place("", "", "", 0, "", ""))
            else:
                pipe = pipe_of(i.opcode, kinds_of(i.modifiers), i.modifiers)
                if self._merged.get(place, Merged(place, 0, 0)).leader != place:
                    pipe = MOVE
                slots = slots_of(pipe, i.opcode, kinds_of(i.modifiers), i.modifiers)
                if i.opcode == "add" and wide & {str(operand) for operand in i.operands[1:]}:
                    slots = 0  # the product adds it
                file = module.files.get(i.line.file, "")
                self.tables.places.append(Place(str(i), i.name, file, i.line.line, function.name, pipe, slots))

    # ---- code

    def enter(self, e: Emitter, place: int) -> None:
        """Note that the thread enters the block that begins at a place."""
        self._enter(e, self._numbers[place])

    def _enter(self, e: Emitter, number: int) -> None:
        self._current = self.tables.blocks[number]
        thread = e.hoist("thread", lambda op: op("call ptr @emu.thread()"))
        at = e.op(f"getelementptr i8, ptr {thread}, i64 {offset(THREAD, 'trace')}")
        cursor = e.op(f"load i64, ptr {at}")
        self._begin = e.op(f"inttoptr i64 {cursor} to ptr")
        e.put(f"store i64 {number}, ptr {self._begin}")
        e.put(f";defaults {number} {self._begin}")
        e.put(f"store i64 {e.op(f'add i64 {cursor}, BYTES.{number}')}, ptr {at}")

    def leave(self, e: Emitter) -> str:
        """The code at the end of a device function."""
        before, e.out, e.is_open = e.out, [], True
        self._enter(e, self.last)
        found, e.out = "\n".join(e.out), before
        return found

    def pause(self, e: Emitter) -> None:
        """Let others run if the buffer is full, so that what is noted can be counted."""
        thread = e.hoist("thread", lambda op: op("call ptr @emu.thread()"))
        at = e.op(f"getelementptr i8, ptr {thread}, i64 {offset(THREAD, 'trace')}")
        end = e.field("thread", "trace_end")
        is_full = e.op(f"icmp uge i64 {e.op(f'load i64, ptr {at}')}, {end}")
        e.either(is_full, lambda: e.put(f"call void @{PAUSE}(i64 {e.site})"))

    def inside(self, e: Emitter, address: str, root: Root | None, space: str, width: int, fault: FaultKind) -> str:
        """The pointer of an access, whose address is noted."""
        i = e.instruction
        if i.opcode == "wmma" and space in ("shared", "global"):
            pass  # its bytes follow from its shape
        elif space in ("const", "param") or "bulk" in i.modifiers or i.opcode == "wmma":
            self.tables.uncounted.add(i.name if space != "const" else "ld.const")
        else:
            self._note(e, address, root, space, width, fault)
        return super().inside(e, address, root, space, width, fault)

    def _note(self, e: Emitter, address: str, root: Root | None, space: str, width: int, fault: FaultKind) -> None:
        i, kind = e.instruction, Space.GENERIC
        merged = self._merged.get(e.number)
        if merged and merged.leader != e.number:
            return  # another load does its work
        name = root[1] if root and root[0] == "variable" else ""
        if space == "shared" or name in self.places.shared:
            kind = Space.MATRIX if i.opcode in ("ldmatrix", "stmatrix") else Space.SHARED
            address = address if space == "shared" else self.window(e, address, "shared")
        elif space == "local" or (name and name in self.local):
            kind = Space.LOCAL
            address = address if space == "local" else self.window(e, address, "local")
        elif space == "global" or (root and root[0] == "parameter"):
            kind = Space.GLOBAL
        elif self.local_bytes:
            own = self.window(e, address, "local")
            is_own = e.op(f"icmp ult i64 {own}, {self.local_bytes}")
            address = e.op(f"select i1 {is_own}, i64 {e.op(f'sub i64 -2, {own}')}, i64 {address}")
        if merged:
            width = merged.width
            address = e.op(f"sub i64 {address}, {merged.back}") if merged.back else address
        self._current.accesses.append(len(self.tables.accesses))
        self.tables.accesses.append(
            Access(
                self._first_place + e.number,
                kind,
                width,
                fault == FaultKind.WRITE_OUTSIDE,
                i.opcode in ("atom", "red"),
                i.opcode == "cp",
                root or ("", ""),
            )
        )
        at = e.op(f"getelementptr i8, ptr {self._begin}, i64 {WORD * len(self._current.accesses)}")
        e.put(f"store i64 {address}, ptr {at}")
        if i.predicate or i.opcode not in _ALWAYS:
            self._accesses.append(self._current.accesses[-1])

    def filled(self, text: str) -> str:
        """The code of the function, in which the sizes of blocks are known now."""
        blocks = self.tables.blocks
        text = re.sub(r"BYTES\.(\d+)", lambda m: str(WORD * (1 + len(blocks[int(m[1])].accesses))), text)

        def defaults(match: re.Match[str]) -> str:
            found = []
            for place, number in enumerate(blocks[int(match[1])].accesses):
                if number in self._accesses:
                    at = f"{match[2]}.default.{place}"
                    found.append(f"{at} = getelementptr i8, ptr {match[2]}, i64 {WORD * (1 + place)}")
                    found.append(f"store i64 {INACTIVE}, ptr {at}")
            return "\n  ".join(found)

        return re.sub(r";defaults (\d+) (\S+)", defaults, text)

    @property
    def words(self) -> int:
        """The words that all blocks of the function note together."""
        mine = self.tables.blocks[self._first_block : self._first_block + len(self.blocks) + 1]
        return sum(1 + len(block.accesses) for block in mine)


def longest_trace(functions: list[Function], words: dict[str, int], taken: list[str]) -> int:
    """The most words that a thread notes on a path without a branch backwards, through all functions."""
    bodies = {function.name: function for function in functions}
    known: dict[str, int] = {}

    def of(name: str, depth: int) -> int:
        if name not in bodies or depth > len(bodies):
            return 0
        if name not in known:
            total = words[name]
            for i in bodies[name].body:
                if isinstance(i, Instruction) and i.opcode == "call":
                    target = str(i.operands[1])
                    named = [target] if target in bodies else taken if bodies[name].register(target) else []
                    total += max((of(callee, depth + 1) for callee in named), default=0)
            known[name] = total
        return known[name]

    return max((of(function.name, 0) for function in functions), default=0)


def _wide_products(function: Function) -> set[str]:
    """The registers with products of 64 bits, for example of an index and the size of an element."""
    products = (i for i in function.body if isinstance(i, Instruction) and i.opcode == "mul" and "wide" in i.modifiers)
    return {str(i.operands[0]) for i in products}


def _blocks_of(function: Function) -> list[int]:
    """The places of the instructions with which blocks begin."""
    found, is_new = [], True
    for place, statement in enumerate(function.body):
        if isinstance(statement, Label):
            is_new = True
        else:
            if is_new:
                found.append(place)
            is_new = statement.opcode in _ENDS or meets(statement)
    return found


def meets(statement: Instruction | Label) -> bool:
    """Whether all threads of the block meet here: at the barrier with number 0."""
    return (
        isinstance(statement, Instruction)
        and statement.opcode in ("bar", "barrier")
        and bool({"sync", "red"} & set(statement.modifiers))
        and [str(operand) for operand in statement.operands] == ["0"]
    )


def _labels(function: Function) -> dict[str, int]:
    """The place of the first instruction behind each label; -1 if there is none."""
    found: dict[str, int] = {}
    waiting: list[str] = []
    for place, statement in enumerate(function.body):
        if isinstance(statement, Label):
            waiting.append(statement.name)
        else:
            found.update(dict.fromkeys(waiting, place))
            waiting = []
    return found | dict.fromkeys(waiting, -1)


def _targets(function: Function, first: int, end: int) -> list[str | None]:
    """Where a block leads: labels, None for the next block, "" for the end of the function."""
    last = next(i for i in reversed(function.body[first:end]) if isinstance(i, Instruction))
    found: list[str | None] = [None] if last.predicate else []
    if last.opcode == "bra":
        return [str(last.operands[0]), *found]
    if last.opcode == "brx":
        return [*function.tables.get(str(last.operands[1]), ()), *found]
    if last.opcode in ("ret", "exit", "trap"):
        return ["", *found]
    return [None]
