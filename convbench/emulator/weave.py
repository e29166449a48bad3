"""Turn a kernel, into which everything is inlined, into an LLVM coroutine, so that its threads can be suspended.

LLVM's own coroutine passes do the hard part: they find the values that live across a suspension, and keep them in a
frame. This module only puts their intrinsics where `support` left its markers. It works on the printed text of the
optimised module, which is regular: one instruction on each line, and every block has a label.

A coroutine has only one exit, whether the kernel returned or made an error: it notes its status in its thread's row and
goes to the block `emu.exit`. So a fault deep inside an inlined device function needs no unwinding.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from convbench.emulator.analysis import find_spins
from convbench.emulator.checks import taint
from convbench.emulator.errors import UnsupportedError
from convbench.emulator.state import THREAD, TURNS, WORKER, Status, offset
from convbench.emulator.support import registers

PLACES = 1_000_033  # factor of the number of turns in that of a barrier
FRAME_ALIGNMENT = 64  # vector registers that live across a barrier are saved in the frame

_LABEL = re.compile(r'^(?P<label>"[^"]+"|[-\w.$]+):')
MARKER = re.compile(
    r"^\s+(?:(?P<value>%\S+) = )?(?:tail |musttail |notail )?call [^@]*@emu\.(?P<name>[\w.$]+)\((?P<arguments>.*)\)"
)
_RETURN = re.compile(r"^\s+ret void\b")
_DEBUG = re.compile(r"(?:, )?!dbg !\d+")
_PREDECESSOR = re.compile(r', %("[^"]+"|[-\w.$]+) \]')
_DEFINE = re.compile(r'^define [^@]*@("[^"]+"|[-\w.$]+)\(')

RUNTIME = f"""
declare token @llvm.coro.id(i32, ptr, ptr, ptr)
declare i64 @llvm.coro.size.i64()
declare ptr @llvm.coro.begin(token, ptr)
declare i8 @llvm.coro.suspend(token, i1)
declare void @llvm.coro.end(ptr, i1, token)
declare void @llvm.coro.resume(ptr)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
define internal void @emu.stop(ptr %thread, i64 %kind, i64 %site) cold noinline nounwind {{
  %status.at = getelementptr i8, ptr %thread, i64 {offset(THREAD, "status")}
  store i64 {int(Status.FAULT)}, ptr %status.at
  %kind.at = getelementptr i8, ptr %thread, i64 {offset(THREAD, "fault")}
  store i64 %kind, ptr %kind.at
  %site.at = getelementptr i8, ptr %thread, i64 {offset(THREAD, "fault_site")}
  store i64 %site, ptr %site.at
  ret void
}}
define internal void @emu.report(ptr %thread, i64 %kind, i64 %site, i64 %a, i64 %b, i64 %c) cold noinline nounwind {{
  call void @emu.stop(ptr %thread, i64 %kind, i64 %site)
  %a.at = getelementptr i8, ptr %thread, i64 {offset(THREAD, "fault_a")}
  store i64 %a, ptr %a.at
  %b.at = getelementptr i8, ptr %thread, i64 {offset(THREAD, "fault_b")}
  store i64 %b, ptr %b.at
  %c.at = getelementptr i8, ptr %thread, i64 {offset(THREAD, "fault_c")}
  store i64 %c, ptr %c.at
  ret void
}}
"""


FIND = "emu.ptx.find"  # it is not inlined
# nor are the long functions of libdevice, which use no markers, and the roundings of 16 bits are inlined later
_BESIDE = ("__nv_", "__internal_", "emu.libdevice.", "emu.half.", "emu.bfloat16.", "emu.ptx.sum.to.odd")


@dataclass(frozen=True)
class Layout:
    """The places and sizes of the arrays that a kernel declares, by name."""

    shared: dict[str, tuple[int, int]]  # where the array begins in the block's memory, and its bytes
    local: dict[str, int]  # bytes of the array


def is_marker(function: str) -> bool:
    """Whether a function without a body is a marker, which weaving replaces."""
    return function.startswith("emu.") and (not function.startswith("emu.nvvm.") or registers.is_register(function))


def find_kernel(lines: list[str], entry: str) -> tuple[int, int]:
    """First and last line of the kernel's definition.

    Raises UnsupportedError if a device function is left beside it. All are inlined, except those that call themselves,
    directly or not. Nobody can say how much stack those need.
    """
    found, start, name = None, 0, ""
    for number, line in enumerate(lines):
        if match := _DEFINE.match(line):
            start, name = number, match[1].strip('"')
            if name not in (entry, FIND) and not name.startswith(_BESIDE):
                raise UnsupportedError(f"device function {_demangled(name)} calls itself, which is not emulated")
        elif line == "}" and name == entry:
            found = start, number
    assert found is not None, f"kernel {entry} is not in its own module"
    return found


def _demangled(name: str) -> str:
    """The last part of a name that Numba mangled, as the Itanium C++ ABI does: each part follows its length."""
    rest, part = name.removeprefix("_ZN"), name
    while length := re.match(r"\d+", rest):
        end = length.end() + int(length[0])
        part, rest = rest[length.end() : end], rest[end:]
    return part


class Weaver:
    """Turns the body of one kernel into a coroutine.

    `scalars` are the words of the arguments, if the code is to run with these integers alone. `site_of` numbers the
    place in the source of a line, in code whose loops do not let others run yet.
    """

    def __init__(
        self,
        define: str,
        body: list[str],
        layout: Layout,
        block: tuple[int, int, int],
        scalars: Sequence[int] | None = None,
        site_of: Callable[[str], int] | None = None,
        checked: bool = False,
    ) -> None:
        self.scalars = scalars
        self.parameters = _parameters(define)
        self.body = body
        self.layout = layout
        self.block_shape = block
        self.first_label = _label_of(body[0])
        self.tainted = taint.find_tainted(body) if checked and any(taint.TAKE in line for line in body) else set()
        self.checked = checked
        self.place = 0  # of the next barrier
        self.stops: list[str] = []
        self.out: list[str] = []
        self.split: dict[str, str] = {}  # from a block to the last of the blocks that it was split into
        self.block = ""
        self.pieces = 0
        self.site_of = site_of or (lambda _: 0)
        self.spins = find_spins(body) if site_of else set()
        self.grid = any("call void @emu.grid" in line for line in body)
        self.suspends = bool(self.spins) or self.grid or any("@emu.suspend()" in line for line in body)

    def weave(self) -> str:
        """The kernel as `ptr @emu.kernel(ptr %emu.thread, …)`, which returns its frame, or null if it never waits."""
        skip = fresh = False
        for line in self.body:
            if skip:  # the `unreachable` after a fault
                skip = False
            elif match := _LABEL.match(line):
                self.block = match["label"].strip('"')
                fresh = True
                self.out.append(line)
            else:
                if fresh and " = phi " not in line:
                    fresh = False
                    self.enter(line)
                    if self.block in self.spins:
                        self._let_others_run(line)
                self._stop_at_taint(line)
                skip = self._line(line)
                if self.tainted and (word := taint.follow(line, self.tainted)):
                    self.out.append(word)
        body = "\n".join(self.out)
        renamed = "\n".join(_rename(line, self.split) if " = phi " in line else line for line in body.split("\n"))
        return self._head() + renamed + "\n" + self._tail() + RUNTIME + self._entries()

    def enter(self, line: str) -> None:
        """Called before the first instruction of a block, `line`. The checked mode adds code here."""

    def instruction(self, line: str) -> None:
        """Add an ordinary instruction, without its debug location."""
        self.out.append(_DEBUG.sub("", line))

    def _line(self, line: str) -> bool:
        if match := MARKER.match(line):
            return self.marker(line, match)
        if _RETURN.match(line):
            self.out.append("  br label %emu.return")
        else:
            self.instruction(line)
        return False

    def marker(self, line: str, match: re.Match[str]) -> bool:
        """Replace a marker. Returns True if the next line must be skipped."""
        name, value = match["name"], match["value"]
        if name in ("thread", "worker"):
            self.out.append(f"  {value} = getelementptr i8, ptr %emu.{name}, i64 0")
        elif name.startswith(registers.PREFIX):
            self.out.append(registers.read(name.removeprefix(registers.PREFIX), value, self.block_shape))
        elif name == "scalars":
            self._scalars(value)
        elif name == "suspend":
            self._suspend()
        elif name == "turns":
            self._note_turns(match["arguments"].partition(" ")[2])
        elif name == "place":
            self.place = int(match["arguments"].rsplit(" ", 1)[-1])
        elif name == "take":
            self._take(value, match["arguments"].rsplit(" ", 1)[-1])
        elif name == "give":
            self._give(match["arguments"].rsplit(" ", 1)[-1])
        elif name == "grid":
            self._request(Status.GRID, self.site_of(line))
        elif name == "grid.at":
            self._request(Status.GRID, int(match["arguments"].rsplit(" ", 1)[-1]))
        elif name == "fault":
            self.out.append(f"  call void @emu.report(ptr %emu.thread, {match['arguments']})")
            self.out.append("  br label %emu.exit")
            return True
        elif name.startswith("shared."):
            place, _ = self.layout.shared[name.removeprefix("shared.")]
            self.out.append(f"  {value} = getelementptr i8, ptr %emu.shared, i64 {place}")
        else:
            self.instruction(line)
        return False

    def _scalars(self, value: str) -> None:
        """The list of arguments, or a constant one, of which only the integers are read."""
        if self.scalars is None:
            place = offset(WORKER, "arguments")
            self.out.append(f"  {value}.at = getelementptr i8, ptr %emu.worker, i64 {place}")
            self.out.append(f"  {value} = load ptr, ptr {value}.at, !invariant.load !{{}}")
        else:
            self.out.append(f"  {value} = getelementptr i8, ptr @emu.scalars.words, i64 0")

    def piece(self) -> str:
        self.pieces += 1
        return f"emu.{self.pieces}"

    def _suspend(self) -> None:
        piece = self.piece()
        self.out.append(f"  %{piece}.why = call i8 @llvm.coro.suspend(token none, i1 false)")
        self.out.append(f"  switch i8 %{piece}.why, label %emu.exit [i8 0, label %{piece}]")
        self.begin(piece)

    def _note_turns(self, word: str) -> None:
        """Note the turns of the loops around a barrier, and which barrier of its line it is, in checked mode."""
        if not self.checked:
            return
        name = self.piece()
        self.out.append(
            f"  %{name}.more = mul i64 {word}, {PLACES}\n"
            f"  %{name}.turns = add i64 %{name}.more, {self.place}\n"
            f"  %{name}.turns.at = getelementptr i8, ptr %emu.thread, i64 {offset(THREAD, 'turns')}\n"
            f"  store i64 %{name}.turns, ptr %{name}.turns.at"
        )

    # ---- values that a shuffle read from outside its mask

    def _take(self, value: str, raw: str) -> None:
        self.out.append(f"  {value} = add i32 {raw}, 0")
        if value in self.tainted:
            at = self.piece()
            self.out.append(f"  %{at} = getelementptr i8, ptr %emu.thread, i64 {offset(THREAD, 'taken')}")
            self.out.append(f"  {taint.word_of(value)} = load i64, ptr %{at}")

    def _give(self, value: str) -> None:
        name = self.piece()
        self.out.append(f"  %{name}.wide = zext i32 {value} to i64")
        stored = {"value": f"%{name}.wide"}
        if self.tainted:
            stored["given"] = taint.word_of(value) if value in self.tainted else "0"
        for field, word in stored.items():
            self.out.append(f"  %{name}.{field} = getelementptr i8, ptr %emu.thread, i64 {offset(THREAD, field)}")
            self.out.append(f"  store i64 {word}, ptr %{name}.{field}")

    def _stop_at_taint(self, line: str) -> None:
        """End the kernel if an instruction takes a value from outside a mask to memory or to control flow."""
        for value in taint.reached(line, self.tainted) if self.tainted else ():
            name, word = self.piece(), taint.word_of(value)
            self.out.append(f"  %{name}.bad = icmp ne i64 {word}, 0")
            self.out.append(f"  br i1 %{name}.bad, label %{name}.stop, label %{name}")
            details = f"i64 {taint.fault_kind()}, i64 0, i64 {word}, i64 0, i64 0"
            call = f"call void @emu.report(ptr %emu.thread, {details})"
            self.stops.append(f"{name}.stop:\n  {call}\n  br label %emu.exit\n")
            self.begin(name)

    def _request(self, status: Status, site: int) -> None:
        """Suspend the thread with a status, at a place in the source."""
        name = self.piece()
        for field, value in (("status", int(status)), ("site", site)):
            self.out.append(f"  %{name}.{field}.at = getelementptr i8, ptr %emu.thread, i64 {offset(THREAD, field)}")
            self.out.append(f"  store i64 {value}, ptr %{name}.{field}.at")
        self._suspend()

    def _let_others_run_if(self, name: str, line: str) -> None:
        """Let other threads run where `%NAME.now` is true, and go on in a block of that name."""
        self.out.append(f"  br i1 %{name}.now, label %{name}.yield, label %{name}\n{name}.yield:")
        self._request(Status.READY, self.site_of(line))
        self.out.append(f"  br label %{name}")
        self.begin(name)

    def _let_others_run(self, line: str) -> None:
        """Let other threads run after some turns of a loop, in case this thread waits for one of them."""
        name = self.piece()
        self.out.append(
            f"  %{name}.before = load i32, ptr %emu.turns\n"
            f"  %{name}.turns = add i32 %{name}.before, 1\n"
            f"  store i32 %{name}.turns, ptr %emu.turns\n"
            f"  %{name}.rest = and i32 %{name}.turns, {TURNS - 1}\n"
            f"  %{name}.now = icmp eq i32 %{name}.rest, 0"
        )
        self._let_others_run_if(name, line)

    def preempt(self, line: str) -> None:
        """Let other threads run before an atomic, if the scheduler has chosen this one."""
        name = self.piece()
        self.out.append(
            f"  %{name}.left.at = getelementptr i8, ptr %emu.worker, i64 {offset(WORKER, 'preempt')}\n"
            f"  %{name}.before = load i64, ptr %{name}.left.at\n"
            f"  %{name}.left = sub i64 %{name}.before, 1\n"
            f"  store i64 %{name}.left, ptr %{name}.left.at\n"
            f"  %{name}.now = icmp sle i64 %{name}.left, 0"
        )
        self._let_others_run_if(name, line)

    def begin(self, label: str) -> None:
        """Go on in a new block, which takes the place of the old one for the old one's successors."""
        self.out.append(f"{label}:")
        self.split[self.block] = label

    def _head(self) -> str:
        listed = ", ".join(["ptr %emu.thread", *(f"{kind} {name}" for kind, name in self.parameters)])
        prologue = load("worker", "emu.thread") + load("shared", "emu.worker") + self.prologue()
        if self.spins:
            prologue += "  %emu.turns = alloca i32\n  store i32 0, ptr %emu.turns\n"
        if not self.suspends:
            return (
                f"define internal ptr @emu.kernel({listed}) {{\nemu.begin:\n{prologue}  br label %{self.first_label}\n"
            )
        return f"""define internal ptr @emu.kernel({listed}) presplitcoroutine {{
emu.begin:
  %emu.id = call token @llvm.coro.id(i32 {FRAME_ALIGNMENT}, ptr null, ptr null, ptr null)
  %emu.size = call i64 @llvm.coro.size.i64()
  %emu.frame.at = getelementptr i8, ptr %emu.thread, i64 {offset(THREAD, "frame")}
  %emu.frame = load ptr, ptr %emu.frame.at
  %emu.asked = icmp eq ptr %emu.frame, null
  br i1 %emu.asked, label %emu.answer, label %emu.start
emu.answer:
  %emu.answered = inttoptr i64 %emu.size to ptr
  ret ptr %emu.answered
emu.start:
  %emu.handle = call ptr @llvm.coro.begin(token %emu.id, ptr %emu.frame)
{prologue}  br label %{self.first_label}
"""

    def prologue(self) -> str:
        """Code before the first instruction of the kernel, for the checked mode."""
        return ""

    def epilogue(self) -> str:
        """The blocks that the kernel branches to when a check has failed."""
        return "".join(self.stops)

    def _tail(self) -> str:
        done = (
            self.epilogue()
            + f"""emu.return:
  %emu.status.at = getelementptr i8, ptr %emu.thread, i64 {offset(THREAD, "status")}
  store i64 {int(Status.DONE)}, ptr %emu.status.at
  br label %emu.exit
emu.exit:
"""
        )
        if not self.suspends:
            return done + "  ret ptr null\n}\n"
        return done + "  call void @llvm.coro.end(ptr %emu.handle, i1 false, token none)\n  ret ptr %emu.handle\n}\n"

    def _entries(self) -> str:
        """The functions that the scheduler calls: `emu_start(thread)` and `emu_resume(thread)`."""
        loads = ""
        for number, (kind, _) in enumerate(self.parameters):
            loads += f"  %p{number} = getelementptr i64, ptr %arguments, i64 {number}\n"
            loads += f"  %v{number} = load {kind}, ptr %p{number}\n"
        values = ", ".join(["ptr %thread", *(f"{kind} %v{n}" for n, (kind, _) in enumerate(self.parameters))])
        handle = f"  %handle.at = getelementptr i8, ptr %thread, i64 {offset(THREAD, 'handle')}\n"
        words = ", ".join(f"i64 {word}" for word in self.scalars or ())
        constant = f"@emu.scalars.words = internal constant [{len(self.scalars or ())} x i64] [{words}]\n"
        return (
            constant
            + f"""
define void @emu_start(ptr %thread) {{
  %worker.at = getelementptr i8, ptr %thread, i64 {offset(THREAD, "worker")}
  %worker = load ptr, ptr %worker.at
  %arguments.at = getelementptr i8, ptr %worker, i64 {offset(WORKER, "arguments")}
  %arguments = load ptr, ptr %arguments.at
{loads}  %handle = call ptr @emu.kernel({values})
{handle}  store ptr %handle, ptr %handle.at
  ret void
}}
define void @emu_resume(ptr %thread) {{
{handle}  %handle = load ptr, ptr %handle.at
  call void @llvm.coro.resume(ptr %handle)
  ret void
}}
"""
        )


def load(name: str, row: str, kind: str = "ptr") -> str:
    """IR that loads a field of a thread's or a worker's row that does not change while the coroutine lives."""
    place = offset(THREAD if row == "emu.thread" else WORKER, name)
    return (
        f"  %emu.{name}.at = getelementptr i8, ptr %{row}, i64 {place}\n"
        f"  %emu.{name} = load {kind}, ptr %emu.{name}.at, !invariant.load !{{}}\n"
    )


def _rename(line: str, split: dict[str, str]) -> str:
    def new(match: re.Match[str]) -> str:
        label = match[1].strip('"')
        return f', %"{split[label]}" ]' if label in split else match[0]

    return _PREDECESSOR.sub(new, line)


def _label_of(line: str) -> str:
    match = _LABEL.match(line)
    assert match is not None, f"a block without a label: {line}"
    return match["label"]


def _parameters(define: str) -> list[tuple[str, str]]:
    """Type and name of each parameter, of a `define` line as LLVM prints it."""
    inside = re.sub(
        r"\w+\((?:[^()]|\([^()]*\))*\)", "", define[define.index("(") + 1 : define.rindex(")")]
    )  # without attributes
    found = []
    for part in re.findall(r'[^,]*%(?:"[^"]*"|[-\w.$]+)', inside):
        words = part.split()
        found.append((words[0], words[-1]))
    return found
