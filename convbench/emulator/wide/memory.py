"""Loads and stores of several lanes at once: as one vector where they lie side by side, else each from its place."""

from collections.abc import Iterable

from convbench.emulator.state import THREAD, Status, offset
from convbench.emulator.wide.code import Line, NotWideError, bytes_of, count_of, element_of, typed
from convbench.emulator.wide.values import Values, short

_STATUS, _SITE, _OPTION = (offset(THREAD, name) for name in ("status", "site", "option"))


class Memory(Values):
    """Writes the instructions that use memory."""

    def _load(self, line: Line) -> None:
        kind, pointer = line.operands[0], typed(line.operands[1])[1]
        if kind.startswith("atomic") or "volatile" in line.flags or line.rest.startswith("atomic"):
            raise NotWideError(f"`{line.text.strip()}`")
        shape, size, count = self.shapes.shape(pointer), bytes_of(kind), count_of(kind)
        element = element_of(kind) if count > 1 else kind
        if shape.stride == size:
            self._give(line, self._split(self._row(self.base(pointer), element, count), element, count))
            return
        places = self.vector(pointer, "ptr")
        if shape.stride is not None:
            self._give(line, self._gathered(places, element, count))
            return
        # often they lie one after another all the same
        first, is_row = self._is_row(places, size)
        name = self._fork(is_row)
        near = self._split(self._row(first, element, count), element, count)
        self.put(f"br label %{name}.met")
        self.out.append(f"{name}.no:")
        far = self._gathered(places, element, count)
        self.put(f"br label %{name}.met")
        self.out.append(f"{name}.met:")
        own = self.wide(kind)
        found = [self.op(f"phi {own} [ {a}, %{name} ], [ {b}, %{name}.no ]") for a, b in zip(near, far, strict=True)]
        self._give(line, found)

    def _fork(self, condition: str) -> str:
        """Go on in a block of a new name if a condition is true, else in another one, whose name ends with ".no"."""
        self.count += 1
        name = f"{self.prefix}if.{self.count}"
        self.put(f"br i1 {condition}, label %{name}, label %{name}.no")
        self.out.append(f"{name}:")
        return name

    def _is_row(self, places: str, size: int) -> tuple[str, str]:
        """Where the first lane would be if all active lanes lie one after another, and whether they do."""
        own, steps = self.wide("ptr"), ", ".join(f"i64 {lane * size}" for lane in range(self.lanes))
        if self.mask is None:
            first = self.op(f"extractelement {own} {places}, i64 0")
        else:
            lane = self._first_of(self.mask)
            there = self.op(f"extractelement {own} {places}, i64 {lane}")
            first = self.op(f"getelementptr i8, ptr {there}, i64 {self.op(f'mul i64 {lane}, -{size}')}")
        row = self.op(f"getelementptr i8, ptr {first}, <{self.lanes} x i64> <{steps}>")
        same = self.op(f"icmp eq {own} {places}, {row}")
        if self.mask is not None:
            same = self.op(f"select {self.masks} {self.mask}, {self.masks} {same}, {self.masks} splat (i1 true)")
        bits = self.op(f"bitcast {self.masks} {same} to i{self.lanes}")
        return first, self.op(f"icmp eq i{self.lanes} {bits}, -1")

    def _first_of(self, lanes: str) -> str:
        """The number of the first lane of a mask that has one, as an i64."""
        bits = self.op(f"bitcast {self.masks} {lanes} to i{self.lanes}")
        first = self._call_of(f"i{self.lanes}", f"llvm.cttz.i{self.lanes}", f"i{self.lanes} {bits}", "i1 true")
        return self.op(f"zext i{self.lanes} {first} to i64")

    def _gathered(self, places: str, element: str, count: int) -> list[str]:
        """The parts of what the lanes read from wherever they are."""
        own, name, found = self.wide(element), f"v{self.lanes}{short(element)}", []
        for part in range(count):
            at = self._behind(places, part * bytes_of(element))
            found.append(
                self._call_of(
                    own, f"llvm.masked.gather.{name}.v{self.lanes}p0", f"{self.wide('ptr')} align 1 {at}",
                    f"{self.masks} {self._active()}", f"{own} poison",
                )
            )  # fmt: skip
        return found

    def _row(self, pointer: str, element: str, count: int) -> str:
        """The elements of all lanes, which lie one after another."""
        many = self.lanes * count
        own = f"<{many} x {element}>"
        if self.mask is None:
            return self.op(f"load {own}, ptr {pointer}, align 1")
        return self._call_of(
            own, f"llvm.masked.load.v{many}{short(element)}.p0", f"ptr align 1 {pointer}",
            f"<{many} x i1> {self._spread(count)}", f"{own} poison",
        )  # fmt: skip

    def _split(self, row: str, element: str, count: int) -> list[str]:
        """The parts of a row: every `count`-th element, from each of the first ones."""
        if count == 1:
            return [row]
        own = f"<{self.lanes * count} x {element}>"
        return [
            self.op(
                f"shufflevector {own} {row}, {own} poison, "
                f"{self._indices(part + lane * count for lane in range(self.lanes))}"
            )
            for part in range(count)
        ]

    def _store(self, line: Line) -> None:
        if line.rest.startswith("atomic") or "volatile" in line.flags:
            raise NotWideError(f"`{line.text.strip()}`")
        (kind, value), (_, pointer) = typed(line.operands[0]), typed(line.operands[1])
        if pointer in self.rows:
            self._store_in_row(line, self.rows[pointer], value)
            return
        shape, size, count = self.shapes.shape(pointer), bytes_of(kind), count_of(kind)
        if shape.is_uniform and self.shapes.shape(value).is_uniform:
            self.put(f"store {line.flags}{self._bases(line.rest)}{line.metadata}")
            return
        element, parts = (element_of(kind) if count > 1 else kind), self.parts(value, kind)
        if shape.stride == size:
            self._put_row(self.base(pointer), parts, element)
            return
        places = self.vector(pointer, "ptr")
        if shape.stride is not None:
            self._scatter(places, parts, element)
            return
        # often they lie one after another all the same
        first, is_row = self._is_row(places, size)
        name = self._fork(is_row)
        self._put_row(first, parts, element)
        self.put(f"br label %{name}.met")
        self.out.append(f"{name}.no:")
        self._scatter(places, parts, element)
        self.put(f"br label %{name}.met")
        self.out.append(f"{name}.met:")

    def _put_row(self, pointer: str, parts: list[str], element: str) -> None:
        """Write the elements of all lanes one after another."""
        count, row = len(parts), self._joined(parts, element)
        many = self.lanes * count
        own = f"<{many} x {element}>"
        if self.mask is None:
            self.put(f"store {own} {row}, ptr {pointer}, align 1")
            return
        self._call_of(
            "void", f"llvm.masked.store.v{many}{short(element)}.p0", f"{own} {row}", f"ptr align 1 {pointer}",
            f"<{many} x i1> {self._spread(count)}",
        )  # fmt: skip

    def _scatter(self, places: str, parts: list[str], element: str) -> None:
        """Write the elements of each lane to wherever it is. Of lanes at one place, the last one counts."""
        own = self.wide(element)
        for number, part in enumerate(parts):
            at = self._behind(places, number * bytes_of(element))
            self._call_of(
                "void", f"llvm.masked.scatter.v{self.lanes}{short(element)}.v{self.lanes}p0", f"{own} {part}",
                f"{self.wide('ptr')} align 1 {at}", f"{self.masks} {self._active()}",
            )  # fmt: skip

    def _store_in_row(self, line: Line, place: int, value: str) -> None:
        """A request to the scheduler: here only a plain barrier, at which all lanes are."""
        good = {_STATUS: str(int(Status.BARRIER)), _OPTION: "0", _SITE: value}.get(place)
        if value != good or self.mask is not None or value.startswith("%"):
            raise NotWideError("a request of one thread to the scheduler")
        self.put(f"store {self._bases(line.rest)}")

    def _joined(self, parts: list[str], element: str) -> str:
        """The elements of all lanes one after another, from the parts: the inverse of `_split`."""
        count, wanted = len(parts), len(parts) * self.lanes
        while len(parts) > 1:
            size = wanted // len(parts)
            own = f"<{size} x {element}>"
            pairs = zip(parts[::2], parts[1::2], strict=True)
            parts = [self.op(f"shufflevector {own} {a}, {own} {b}, {self._indices(range(2 * size))}") for a, b in pairs]
        if count == 1:
            return parts[0]
        own = f"<{wanted} x {element}>"
        order = self._indices(part * self.lanes + lane for lane in range(self.lanes) for part in range(count))
        return self.op(f"shufflevector {own} {parts[0]}, {own} poison, {order}")

    def _indices(self, numbers: Iterable[int]) -> str:
        items = [f"i32 {number}" for number in numbers]
        return f"<{len(items)} x i32> <{', '.join(items)}>"

    def _behind(self, places: str, step: int) -> str:
        return self.op(f"getelementptr i8, {self.wide('ptr')} {places}, i64 {step}") if step else places

    def _active(self) -> str:
        return self.mask or "splat (i1 true)"

    def _spread(self, count: int) -> str:
        """The mask of the lanes, with each lane as often as it has elements."""
        if count == 1:
            return self._active()
        places = self._indices(lane for lane in range(self.lanes) for _ in range(count))
        return self.op(f"shufflevector {self.masks} {self._active()}, {self.masks} poison, {places}")

    def _alloca(self, line: Line) -> None:
        """Local memory: that of the lanes lies one behind the other."""
        size = bytes_of(line.operands[0])
        align = next((word for word in line.operands[1:] if word.startswith("align")), "align 16")
        if line.operands[1:] not in ([], [align]) or self.label != self.flow.first:
            raise NotWideError(f"`{line.text.strip()}`")
        self.count += 1
        name = f"%{self.prefix}{self.count}"
        self.entry.append(f"  {name} = alloca [{self.lanes * size} x i8], {align}")
        self._give(line, [name])
