"""Rewrite LLVM IR that numba-cuda made for NVVM into IR that LLVM compiles for the host.

This works on the text of the IR, which is what numba-cuda has, and needs few rules. Address spaces are removed. NVVM's
functions get the names under which `support` has them. Shared and local arrays become calls, which `weave` replaces by
places in the memory of the block or thread. Code without a counterpart is refused here, with its name and line.
"""

import re
from dataclasses import dataclass, field

from convbench.emulator.checks.unset import SET, variable_of
from convbench.emulator.errors import CompilationError, UnsupportedError
from convbench.emulator.source import DebugInfo, Site, Sites
from convbench.emulator.support import arithmetic, registers
from convbench.emulator.support.inline_ptx import is_sited, name_of, types_of
from convbench.emulator.targets import why_text_refused

_NAME = r'@"?(?P<name>[-\w.$]+)"?'
_SITED = re.compile(
    r"emu\.(?:axis(?:\.wrapped)?|negative|set\.\w+|nvvm\.(?:barrier0(?:\.\w+)?|bar\.warp\.sync|shfl\.sync\.i32|vote\.sync|match\.\w+\.sync\.i\d+))"
)
_CALL = re.compile(rf'^(?P<head>.*\bcall [^@"]*){_NAME}\((?P<arguments>.*?)\)(?P<tail>(?:, !\w+ ![^,]*)*)\s*$')
_DECLARE = re.compile(rf"^(?P<head>declare [^@]*){_NAME}\((?P<arguments>.*?)\)(?P<tail>.*)$")
_ASM = re.compile(
    r'^(?P<head>.*\bcall (?P<kind>\S+|\{[^}]*\}) )(?:[^"]*\) )?asm\s+(?:\w+\s+)*"(?P<ptx>[^"]*)", "[^"]*"\s*'
    r"\((?P<arguments>.*?)\)(?P<tail>(?:, !\w+ ![^,]*)*)\s*$"
)
_BARRIER = re.compile(
    r"bar(?:rier)?(?:\.cta)?\.(?P<action>sync|arrive)(?:\.aligned)?\s+(?P<number>\d+|\$\d)"
    r"(?:,\s*(?P<threads>\d+|\$\d))?;$"
)
_SHARED = re.compile(
    rf"^{_NAME} = (?P<external>external )?addrspace\(3\) global \[(?P<count>\d+) x (?P<element>.+?)\]"
    r"(?: undef| zeroinitializer)?(?:, align (?P<align>\d+))?$"
)
_SHARED_USE = re.compile(
    rf"^(?P<head>\s+%\S+ = )addrspacecast (?P<kind>\[.*\]) addrspace\(3\)\* {_NAME} to (?P<to>\S+)"
)
_LOCAL = re.compile(
    r'^\s+(?P<value>%"_cudapy_lmem[^"]*") = alloca (?P<kind>\[.*?\])(?:, align (?P<align>\d+))?(?=$|, !)'
)
_ZERO = re.compile(r'^\s+store \[.*\] zeroinitializer, (?P<kind>\[.*\])\* (?P<value>%"_cudapy_lmem[^"]*")')
_WINDOW = re.compile(
    r"^(?P<head>\s+%\S+ = )ptrtoint (?P<kind>\S+) addrspace\(3\)\* (?P<pointer>%\S+) to i32(?P<tail>.*)$"
)
_VECTOR = re.compile(r"^(?P<access>\s+(?:%\S+ = load|store) <(?P<count>\d+) x .*), align \d+(?P<tail>.*)$")
_HALF_TEST = re.compile(r"^\s+%\S+ = fcmp une i16 ")
_DROP = re.compile(r"^(?:target |!nvvm\.|!nvvmir|@\"?llvm\.used|source_filename)")
_DEBUG_CALL = re.compile(r'\bcall void @"?llvm\.dbg\.')


@dataclass(frozen=True)
class Array:
    """A shared or local array that a kernel declares."""

    name: str  # as LLVM knows it
    count: int
    element: str  # LLVM's type of an element
    align: int
    site: Site
    dynamic: bool = False
    label: str = ""  # how to call it, if no line of the source tells

    @property
    def variable(self) -> str:
        """The name of the array in the source."""
        if self.label:
            return self.label
        found = re.match(r"(\w+)\s*=", self.site.text())
        return found.group(1) if found else f"of line {self.site.line}"


@dataclass
class Retargeted:
    """A kernel's modules for the host, the arrays that they declare, and the places in their source."""

    modules: list[str] = field(default_factory=list)
    shared: dict[str, Array] = field(default_factory=dict)
    local: dict[str, Array] = field(default_factory=dict)
    sites: Sites = field(default_factory=Sites)


def retarget(modules: list[str], *, watch_local: bool, compute_capability: tuple[int, int] = (9, 0)) -> Retargeted:
    """Rewrite every module. Raises UnsupportedError for PTX that has no counterpart, or that a GPU of this compute
    capability lacks, and CompilationError for invalid code.

    With `watch_local`, local arrays become places in memory, where every access can be checked. Otherwise LLVM may keep
    them in registers.
    """
    found = Retargeted()
    for module in modules:
        _Module(
            module, found, watch_local=watch_local, target=10 * compute_capability[0] + compute_capability[1]
        ).rewrite()
    return found


def shared_arrays(modules: list[str]) -> dict[str, Array]:
    """The shared arrays that modules of numba-cuda declare, by their names in LLVM and in PTX."""
    found = {}
    for module in modules:
        lines, debug = module.splitlines(), DebugInfo(module)
        for line in lines:
            if match := _SHARED.match(line):
                found[match["name"]] = _declared(match, lines, debug)
    return found


def _declared(match: re.Match[str], lines: list[str], debug: DebugInfo) -> Array:
    name = match["name"]
    use = next((line for line in lines if f'@"{name}"' in line and "addrspacecast" in line), "")
    element, align = match["element"], int(match["align"] or 1)
    return Array(name, int(match["count"]), element, align, debug.site(use), bool(match["external"]))


class _Module:
    def __init__(self, text: str, found: Retargeted, *, watch_local: bool, target: int) -> None:
        self.lines = text.splitlines()
        self.found = found
        self.watch_local = watch_local
        self.target = target  # the number of `.target`
        self.debug = DebugInfo(text)
        self.declared: dict[str, str] = {}  # declarations to add: functions that the new lines call
        self.words = 0
        self.local: dict[str, str] = {}  # from the name of an alloca to the name of its array

    def rewrite(self) -> None:
        for line in self.lines:
            if match := _SHARED.match(line):
                self._declare_shared(match)
        body = [new for line in self.lines if (new := self._line(line)) is not None]
        self.found.modules.append("\n".join([*body, *self.declared.values()]))

    def _line(self, line: str) -> str | None:
        if _DROP.match(line) or _SHARED.match(line) or _DEBUG_CALL.search(line):
            return None
        if line.startswith("define"):
            line = re.sub(r"\bnoinline\b", "", line)  # everything is inlined here
            self.local = {}
        if "_cudapy_" in line:
            line = self._array(line)
        if match := _WINDOW.match(line):
            line = self._window(match)
        if not self.watch_local and (match := _VECTOR.match(line)):
            line = f"{match['access']}, align 1{match['tail']}"  # only the checked mode reports misaligned accesses
        line = re.sub(r" ?addrspace\(\d+\)", "", line.replace("addrspacecast", "bitcast"))
        line = line.replace("llvm.nvvm.", "emu.nvvm.")
        if match := _ASM.match(line):
            return self._assembly(match, line)
        if re.search(r"\basm\b.*\"", line) and " call " in line:
            raise UnsupportedError(
                f"{_at(self.debug.site(line))}: inline PTX has no counterpart on the CPU: {line.strip()}"
            )
        if match := _DECLARE.match(line):
            return self._declaration(match)
        if match := _CALL.match(line):
            return self._call(match, line)
        if _HALF_TEST.match(line):
            raise CompilationError(
                f"{_at(self.debug.site(line))}: numba-cuda makes no valid code of a float16 as a condition, for a GPU "
                "either; compare it with 0"
            )
        if defined := arithmetic.replaced(line):
            line, declaration = defined
            self.declared[declaration] = declaration
        return line

    def _declare_shared(self, match: re.Match[str]) -> None:
        self.found.shared[match["name"]] = _declared(match, self.lines, self.debug)

    def _array(self, line: str) -> str:
        if match := _SHARED_USE.match(line):
            marker = f"emu.shared.{match['name']}"
            self.declared[marker] = f"declare i8* @{marker}() memory(none) nounwind willreturn"
            return f"{match['head']}call {match['to']} @{marker}(){line[match.end() :]}"
        if match := _LOCAL.match(line):
            marker = f"emu.local.{len(self.found.local)}"
            count, element = re.match(r"\[(\d+) x (.*)\]$", match["kind"]).groups()  # type: ignore[union-attr]
            array = Array(marker, int(count), element, int(match["align"] or 0), self._where(match["value"]))
            self.found.local[marker] = array
            if not self.watch_local:
                return line
            self.local[match["value"]] = marker
            self.declared[marker] = f"declare i8* @{marker}() memory(none) nounwind willreturn"
            self.declared[f"{marker}.begin"] = f"declare void @{marker}.begin() nounwind willreturn"
            value = match["value"]
            raw = f'{value[:-1]}.raw"'
            return f"  {raw} = call i8* @{marker}()\n  {value} = bitcast i8* {raw} to {match['kind']}*"
        if match := _ZERO.match(line):
            return self._begin_local(match)
        return line

    def _begin_local(self, match: re.Match[str]) -> str:
        """Begin the life of a local array, unwritten: CUDA does not promise the zeros that numba-cuda stores."""
        kind, value = match["kind"], match["value"]
        if self.watch_local:
            return f"  call void @{self.local[value]}.begin()"
        # all bits set: NaN in every floating type
        self.declared["llvm.memset"] = "declare void @llvm.memset.p0.i64(i8*, i8, i64, i1)"
        size = f"ptrtoint ({kind}* getelementptr ({kind}, {kind}* null, i32 1) to i64)"
        raw = f'{value[:-1]}.raw"'
        return (
            f"  {raw} = bitcast {kind}* {value} to i8*\n"
            f"  call void @llvm.memset.p0.i64(i8* {raw}, i8 -1, i64 {size}, i1 false)"
        )

    def _window(self, match: re.Match[str]) -> str:
        """An address in PTX's 32-bit window of shared memory: its distance from the beginning of the block's memory."""
        self.declared["emu.window"] = "declare i32 @emu.window(i8*)"
        word = self._word()
        return (
            f"  {word} = bitcast {match['kind']}* {match['pointer']} to i8*\n"
            f"{match['head']}call i32 @emu.window(i8* {word}){match['tail']}"
        )

    def _where(self, value: str) -> Site:
        """The line that declares a local array, which is the one where its pointer is first used."""
        uses = (line for line in self.lines if f"{value}" in line and "!dbg" in line)
        return self.debug.site(next(uses, ""))

    def _assembly(self, match: re.Match[str], line: str) -> str:
        ptx = match["ptx"].replace("\\09", "\t").replace("\\0A", "\n")
        if why := why_text_refused(ptx, self.target):
            raise UnsupportedError(f"{_at(self.debug.site(line))}: inline PTX: {why}")
        if barrier := _BARRIER.match(ptx):
            return self._named_barrier(barrier, _split(match["arguments"]), line)
        name = name_of(ptx)
        if name is None:
            raise UnsupportedError(f"{_at(self.debug.site(line))}: inline PTX {ptx!r} has no counterpart on the CPU")
        result, wanted = types_of(ptx)
        given_arguments = _split(match["arguments"])
        if is_sited(ptx):
            given_arguments.append(f"i64 {self.found.sites.number(self.debug.site(line))}")
        before, arguments = [], []
        for kind, argument in zip(wanted, given_arguments, strict=True):
            given, value = argument.strip().rsplit(" ", 1)
            if kind not in ("ptr", given):
                word, cast = self._word(), _cast(given, kind, is_signed=".s8" in ptx)
                before.append(f"  {word} = {cast} {given} {value} to {kind}")
                given, value = kind, word
            arguments.append(f"{given} {value}")
        kinds = ", ".join("i8*" if kind == "ptr" else kind for kind in wanted)
        self.declared[name] = f"declare {result} @{name}({kinds})"
        called = f"@{name}({', '.join(arguments)}){match['tail']}"
        if result == match["kind"]:
            return "\n".join([*before, match["head"] + called])
        variable, word = line.split(" = ", 1)[0].strip(), self._word()
        cast = _cast(result, match["kind"], is_signed=False)
        after = f"  {variable} = {cast} {result} {word} to {match['kind']}"
        return "\n".join([*before, f"  {word} = call {result} {called}", after])

    def _named_barrier(self, barrier: re.Match[str], arguments: list[str], line: str) -> str:
        """`bar.sync` and `bar.arrive`, whose number and count of threads are constants or operands."""

        def operand(word: str | None) -> str:
            given = "i32 " + (word or "0")
            return arguments[int(word[1:])].strip() if word and word.startswith("$") else given

        number, threads = operand(barrier["number"]), operand(barrier["threads"])
        site = f"i64 {self.found.sites.number(self.debug.site(line))}"
        if barrier["action"] == "arrive":
            self.declared["arrive"] = "declare void @emu.ptx.barrier.arrive(i32, i32, i64)"
            called = f"call void @emu.ptx.barrier.arrive({number}, {threads}, {site})"
        elif (barrier["number"], barrier["threads"]) == ("0", None):
            self.declared["barrier0"] = "declare void @emu.nvvm.barrier0(i64)"
            called = f"call void @emu.nvvm.barrier0({site})"
        else:
            self.declared["named"] = "declare i32 @emu.ptx.barrier(i32, i32, i32, i64)"
            called = f"{self._word()} = call i32 @emu.ptx.barrier({number}, {threads}, i32 0, {site})"
        place = re.search(r", !dbg !\d+", line)
        return f"  {called}{place[0] if place else ''}"

    def _word(self) -> str:
        """A new name for a value."""
        self.words += 1
        return f"%emu.word.{self.words}"

    def _declaration(self, match: re.Match[str]) -> str | None:
        if match["name"].startswith("llvm.dbg."):
            return None
        if registers.is_register(match["name"]):
            return registers.declaration(match["name"])
        if not _SITED.fullmatch(match["name"]):
            return match[0]
        if match["name"].startswith(SET):
            return None
        extra = ", i64" if match["arguments"] else "i64"
        arguments = re.sub(r' %"[^"]*"', "", match["arguments"])
        return f"{match['head']}@{match['name']}({arguments}{extra}){match['tail']}"

    def _call(self, match: re.Match[str], line: str) -> str:
        if not _SITED.fullmatch(match["name"]):
            return line
        number = self.found.sites.number(self.debug.site(line))
        if match["name"].startswith(SET):
            name = self.found.sites.number(Site(function=variable_of(match["name"].removeprefix(SET))))
            self.declared[SET] = "declare void @emu.set(i1, i64, i64)"
            return f"{match['head']}@emu.set({match['arguments']}, i64 {name}, i64 {number}){match['tail']}"
        arguments = f"{match['arguments']}, i64 {number}" if match["arguments"] else f"i64 {number}"
        return f"{match['head']}@{match['name']}({arguments}){match['tail']}"


def _cast(given: str, wanted: str, *, is_signed: bool) -> str:
    """The instruction that converts between two types. PTX has words where LLVM has floats, and no 8-bit words."""
    if not (given.startswith("i") and wanted.startswith("i")):
        return "bitcast"
    if int(given[1:]) > int(wanted[1:]):
        return "trunc"
    return "sext" if is_signed else "zext"


def _split(arguments: str) -> list[str]:
    """Split arguments at the commas outside brackets."""
    parts, depth = [""], 0
    for character in arguments:
        depth += (character in "([{<") - (character in ")]}>")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part for part in parts if part.strip()]


def _at(site: Site) -> str:
    return f"{site.file}:{site.line}" if site.line else "unknown line"
