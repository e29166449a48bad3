"""The ends of blocks, for several lanes at once: where each lane goes, and what it takes along; and faults.

At a branch the values for the phis of the next block are written, each for the lanes that go there. Those for the next
turn of a loop are kept apart until the turn ends, because other lanes may still need the old ones.
"""

import re

from convbench.emulator.state import THREAD, WARP, offset
from convbench.emulator.wide.code import FAULT, VALUE, Block, NotWideError, count_of, typed
from convbench.emulator.wide.operations import Operations
from convbench.emulator.wide.rules import ROW

_UNLIKELY = '!prof !{!"branch_weights", i32 1, i32 1048576}'


class Branches(Operations):
    """Writes the ends of blocks."""

    def _end_of_whole(self, block: Block) -> None:
        """The end of a block that all lanes reach."""
        targets = self._after_faults(block)
        if targets is None:
            return
        if not targets:
            self.put(f"br label %{self.prefix}exit")
        elif len(set(targets)) == 1:
            self._go(block, targets[0], None, None)
            self.put(f"br label %{self._entrance(block.label, targets[0])}")
        elif self.shapes.is_uneven(block):
            masks = self._edge_masks(block, targets)
            for target, mask in masks.items():
                self._go(block, target, mask, None)
            inside = [target for target in masks if target in self.shapes.partial]
            first = min(inside, key=self.number.__getitem__)
            self.put(f"br label %{self._at('guard', first)}")
        else:
            edges = {target: f"{self._at('edge', block.label)}.{self.number[target]}" for target in targets}
            operands = self._agreed(block) if block.label in self.shapes.assumed else self._bases(block.end.operands[0])
            if block.end.op == "br":
                self.put(f"br {operands}, label %{edges[targets[0]]}, label %{edges[targets[1]]}")
            else:
                kind = operands.split()[0]
                cases = " ".join(
                    f"{kind} {number}, label %{edges[target]}"
                    for number, target in zip(block.cases, targets[1:], strict=True)
                )
                self.put(f"switch {operands}, label %{edges[targets[0]]} [ {cases} ]")
            here, vectors = dict(self.here), dict(self.vectors)
            for target, name in edges.items():
                self.here, self.vectors = dict(here), dict(vectors)
                self.out.append(f"{name}:")
                self._go(block, target, None, None)
                self.put(f"br label %{self._entrance(block.label, target)}")

    def _agreed(self, block: Block) -> str:
        """The condition of a branch at which all lanes go the same way; otherwise begin anew."""
        if self.shapes.has_even_number(block):
            return self._bases(block.end.operands[0])
        vector = self.vector(typed(block.end.operands[0])[1], "i1")
        bits = self.op(f"bitcast {self.masks} {vector} to i{self.lanes}")
        yes = self.op(f"icmp eq i{self.lanes} {bits}, -1")
        self._assume(self.op(f"or i1 {yes}, {self.op(f'icmp eq i{self.lanes} {bits}, 0')}"))
        return f"i1 {yes}"

    def _end_of_partial(self, block: Block, follows: str) -> None:
        """The end of a block that some lanes reach: note where each of them goes, and go on with the next block."""
        targets = self._after_faults(block)
        if targets is None:
            return
        if targets and len(set(targets)) == 1:
            self._go(block, targets[0], self.mask, None)
        elif targets and self.shapes.is_uneven(block):
            for target, mask in self._edge_masks(block, targets).items():
                self._go(block, target, mask, None)
        elif targets:
            for target, chosen in self._edge_conditions(block, targets).items():
                mask = self.op(f"select i1 {chosen}, {self.masks} {self.mask}, {self.masks} zeroinitializer")
                self._go(block, target, mask, chosen)
        self.put(f"br label %{follows}")

    def _entrance(self, label: str, target: str) -> str:
        if target in self.shapes.partial:
            return self._at("guard", target)
        return self._at("back" if self.flow.is_back(label, target) else "block", target)

    def _edge_masks(self, block: Block, targets: list[str]) -> dict[str, str]:
        """The lanes that go to each target."""
        kind, value = typed(block.end.operands[0])
        active = self._active()
        vector = self.vector(value, kind)
        found: dict[str, str] = {}

        def add(target: str, lanes: str) -> None:
            found[target] = self.op(f"or {self.masks} {found[target]}, {lanes}") if target in found else lanes

        if block.end.op == "br":
            yes = self.op(f"select {self.masks} {active}, {self.masks} {vector}, {self.masks} zeroinitializer")
            add(targets[0], yes)
            add(targets[1], self.op(f"xor {self.masks} {active}, {yes}"))
            return found
        rest = active
        for number, target in zip(block.cases, targets[1:], strict=True):
            same = self.op(f"icmp eq {self.wide(kind)} {vector}, splat ({kind} {number})")
            yes = self.op(f"select {self.masks} {active}, {self.masks} {same}, {self.masks} zeroinitializer")
            rest = self.op(f"xor {self.masks} {rest}, {yes}")
            add(target, yes)
        add(targets[0], rest)
        return found

    def _edge_conditions(self, block: Block, targets: list[str]) -> dict[str, str]:
        """Whether the lanes, which all go the same way, go to each target."""
        kind, value = typed(block.end.operands[0])
        base = self.base(value)
        found: dict[str, str] = {}

        def add(target: str, chosen: str) -> None:
            found[target] = self.op(f"or i1 {found[target]}, {chosen}") if target in found else chosen

        if block.end.op == "br":
            add(targets[0], base)
            add(targets[1], self.op(f"xor i1 {base}, true"))
            return found
        rest = "true"
        for number, target in zip(block.cases, targets[1:], strict=True):
            same = self.op(f"icmp eq {kind} {base}, {number}")
            rest = self.op(f"select i1 {same}, i1 false, i1 {rest}")
            add(target, same)
        add(targets[0], rest)
        return found

    def _go(self, block: Block, target: str, mask: str | None, chosen: str | None) -> None:
        """Note that lanes go from a block to another, and write the values for its phis.

        Parameters
        ----------
        mask : which lanes; None: all
        chosen : whether they do at all, if that is one condition for all of them; None: as the mask says
        """
        is_back = self.flow.is_back(block.label, target)
        written: list[tuple[str, str, str]] = []
        for line in self.flow.blocks[target].phis:
            assert line.result is not None
            value = next(value for value, label in line.incoming if label == block.label)
            slots = self._slots_of(line.result, turn=is_back)
            if self.shapes.of[line.result].stride is not None:
                ((slot, kind),) = slots
                new = self.base(value)
                if mask is not None:
                    chosen = chosen or self._any(mask)
                    new = self.op(f"select i1 {chosen}, {kind} {new}, {kind} {self.op(f'load {kind}, ptr {slot}')}")
                written.append((slot, kind, new))
                continue
            for (slot, kind), part in zip(slots, self.parts(value, line.type), strict=True):
                new = part
                if mask is not None:
                    before = self.op(f"load {kind}, ptr {slot}")
                    new = self.op(f"select {self.masks} {mask}, {kind} {part}, {kind} {before}")
                written.append((slot, kind, new))
        for slot, kind, new in written:
            self.put(f"store {kind} {new}, ptr {slot}")
        if target in self.shapes.partial:
            place = self._slot_of_mask("b" if is_back else "m", target)
            lanes = mask or "splat (i1 true)"
            if mask is not None:
                before = self.op(f"load {self.masks}, ptr {place}")
                lanes = self.op(f"or {self.masks} {before}, {mask}")
            self.put(f"store {self.masks} {lanes}, ptr {place}")

    def _turn(self, head: str, mask: str | None) -> None:
        """Begin the next turn of a loop: its phis get the values that were kept for it."""
        for line in self.flow.blocks[head].phis:
            assert line.result is not None
            slots = zip(self._slots_of(line.result), self._slots_of(line.result, turn=True), strict=True)
            for (slot, kind), (next_slot, _) in slots:
                new = self.op(f"load {kind}, ptr {next_slot}")
                if mask is not None and line.result in self.escaping:
                    before = self.op(f"load {kind}, ptr {slot}")
                    new = self.op(f"select {self.masks} {mask}, {kind} {new}, {kind} {before}")
                self.put(f"store {kind} {new}, ptr {slot}")

    # ---- faults

    def _after_faults(self, block: Block) -> list[str] | None:
        """The targets of a block that are no faults, behind code that ends the kernel where a lane goes to one.

        None if all lanes do.
        """
        end = block.end
        if end.op == "ret":
            return []
        if end.op not in ("br", "switch"):
            raise NotWideError(f"`{end.text.strip()}`")
        targets = block.targets
        bad = [target for target in targets if self.flow.blocks[target].is_fault]
        if not bad:
            return targets
        if len(targets) == 1:
            self._fault(block, targets[0], self._active())
            return None
        if len(targets) != 2 or len(bad) != 1:
            raise NotWideError(f"`{end.text.strip()}`")
        kind, value = typed(end.operands[0])
        self.count += 1
        name = f"{self.prefix}fine.{self.count}"
        is_good = targets[1] == bad[0]  # what the condition says
        here, vectors = dict(self.here), dict(self.vectors)
        if self.shapes.shape(value).is_uniform:
            fault = self.base(value)
            lanes = self._active()
            if is_good:
                fault = self.op(f"xor i1 {fault}, true")
        else:
            if is_good and (quick := self._quick_bound(value)):
                self.put(f"br i1 {quick}, label %{name}, label %{name}.look")
                self.out.append(f"{name}.look:")
            when = self.vector(value, kind)
            if is_good:
                when = self.op(f"xor {self.masks} {when}, splat (i1 true)")
            lanes = self.op(f"select {self.masks} {self._active()}, {self.masks} {when}, {self.masks} zeroinitializer")
            fault = self._any(lanes)
        self.put(f"br i1 {fault}, label %{name}.not, label %{name}, {_UNLIKELY}")
        self.out.append(f"{name}.not:")
        self._fault(block, bad[0], lanes)
        self.here, self.vectors = here, vectors
        self.out.append(f"{name}:")
        return [target for target in targets if target != bad[0]]

    def _quick_bound(self, value: str) -> str | None:
        """Whether a number that grows from lane to lane is surely below a bound, if that is what a value says."""
        line = self.lines.get(value)
        if line is None or line.op != "icmp" or self.home[value] != self.label or not line.rest.startswith("ult "):
            return None
        kind, first = typed(line.operands[0].removeprefix("ult "))
        stride, bound = self.shapes.shape(first).stride, line.operands[1]
        if not stride or stride < 0 or not self.shapes.shape(bound).is_uniform:
            return None
        base, most = self.base(first), self.base(bound)
        last = self.op(f"add {kind} {base}, {stride * (self.lanes - 1)}")
        rises, is_below = self.op(f"icmp ule {kind} {base}, {last}"), self.op(f"icmp ult {kind} {last}, {most}")
        return self.op(f"and i1 {rises}, {is_below}")

    def _fault(self, source: Block, label: str, lanes: str) -> None:
        """The fault of the first of some lanes, with its numbers, as the fault of its thread."""
        lane = self._first_of(lanes)
        row = self.op(f"call ptr @{ROW}()")
        at = self.op(f"getelementptr i8, ptr {row}, i64 {offset(THREAD, 'index')}")
        index = self.op(f"add i64 {self.op(f'load i64, ptr {at}')}, {lane}")
        x, y, _ = self.block
        who = {
            "index": index,
            "lane": self.op(f"urem i64 {index}, {WARP}"),
            "tid_x": self.op(f"urem i64 {index}, {x}"),
            "tid_y": self.op(f"urem i64 {self.op(f'udiv i64 {index}, {x}')}, {y}"),
            "tid_z": self.op(f"udiv i64 {index}, {x * y}"),
        }
        for name, number in who.items():
            at = self.op(f"getelementptr i8, ptr {row}, i64 {offset(THREAD, name)}")
            self.put(f"store i64 {number}, ptr {at}")
        own: dict[str, str] = {}

        def scalar(match: re.Match[str]) -> str:
            value = match[0]
            if value not in own:
                own[value] = self._of_lane(value, lane)
            return own[value]

        for line in self.flow.blocks[label].lines:
            if line.op == "phi":
                value = next(value for value, where in line.incoming if where == source.label)
                assert line.result is not None
                own[line.result] = VALUE.sub(scalar, value)
            elif line.op == "unreachable":
                self.put("unreachable")
            elif line.op == "call" and line.callee == FAULT:
                self.put(f"call {VALUE.sub(scalar, line.rest)}")
            elif line.result is None or (line.op == "call" and not line.callee.startswith("llvm.")):
                raise NotWideError(f"`{line.text.strip()}`")
            else:
                own[line.result] = self.op(f"{line.op} {VALUE.sub(scalar, line.rest)}")

    def _of_lane(self, value: str, lane: str) -> str:
        """The value of one lane."""
        shape, kind = self.shapes.of[value], self.lines[value].result_type
        if shape.is_uniform:
            return self.base(value)
        if count_of(kind) > 1:
            raise NotWideError(f"a fault with {value}")
        return self.op(f"extractelement {self.wide(kind)} {self.vector(value, kind)}, i64 {lane}")
