"""Read the text of a kernel: blocks of instructions, each with its result, its operands and its targets."""

import re
from dataclasses import dataclass, field
from functools import cached_property

VALUE = re.compile(r'%(?:"[^"]*"|[-\w.$]+)')
LABEL = re.compile(r'^(?P<label>"[^"]+"|[-\w.$]+):')
_LINE = re.compile(r'^\s+(?:(?P<result>%(?:"[^"]*"|[-\w.$]+)) = )?(?:tail |musttail |notail )?(?P<op>\w+)(?P<rest>.*)$')
_METADATA = re.compile(r"(?:, !\w[\w.]* (?:!\d+|!\{[^}]*\}))+$")
_TARGET = re.compile(r'label %("[^"]+"|[-\w.$]+)')
_CASE = re.compile(r'^\s+(?P<type>i\d+) (?P<value>-?\d+), label %(?P<label>"[^"]+"|[-\w.$]+)')
_FLAG = re.compile(
    r"(?:nuw|nsw|exact|disjoint|nneg|samesign|inbounds|nusw|reassoc|nnan|ninf|nsz|arcp|contract|afn|fast|volatile|"
    r"range\([^)]*\)|noundef|nofpclass\([^)]*\)) "
)
_ATTRIBUTE = re.compile(
    r"(?:align \d+|(?:range|nofpclass|captures|dereferenceable|dereferenceable_or_null)\([^)]*\)|"
    r"noundef|nonnull|noalias|nocapture|readonly|writeonly|readnone|returned|signext|zeroext|immarg) "
)
TYPE = r"(?:<\d+ x [\w.]+>|\[[^\]]*\]|\{[^}]*\}|i\d+|float|double|half|bfloat|ptr|void)"
_TYPED = re.compile(rf"^(?P<type>{TYPE}) (?P<value>.+)$")
FAULT = "emu.fault"


class NotWideError(Exception):
    """A kernel has something that this package cannot run for several threads at once; the message says what."""


@dataclass
class Line:
    """One instruction.

    Attributes
    ----------
    op : the operation, such as "add"
    flags, rest : the text behind it, without metadata: first the flags, then operands
    metadata : what follows them, such as ", !invariant.load !0"
    """

    text: str
    result: str | None
    op: str
    flags: str
    rest: str
    metadata: str

    @cached_property
    def operands(self) -> list[str]:
        """The operands, as text between commas."""
        return split(self.rest)

    @cached_property
    def uses(self) -> list[str]:
        """The values that it reads, without labels."""
        if self.op == "phi":
            return [value for value, _ in self.incoming if value.startswith("%")]
        return VALUE.findall(_TARGET.sub("", self.rest))

    @cached_property
    def incoming(self) -> list[tuple[str, str]]:
        """Of a phi: each value, with the label of the block that it comes from."""
        pairs = re.findall(r"\[ (.+?), %(\"[^\"]+\"|[-\w.$]+) \]", self.rest)
        return [(value, label.strip('"')) for value, label in pairs]

    @cached_property
    def type(self) -> str:
        """LLVM's type of the result, or of what a store writes; of the operands for a comparison."""
        rest = self.rest
        if self.op in CASTS:
            return rest.rsplit(" to ", 1)[1]
        if self.op == "select":
            return typed(self.operands[1])[0]
        if self.op == "extractelement":
            return element_of(typed(self.operands[0])[0])
        if self.op in ("getelementptr", "alloca"):
            return "ptr"
        found = re.match(rf"(?:[a-z]+ )*?({TYPE}) " if self.op == "icmp" or self.op == "fcmp" else f"({TYPE})", rest)
        if found is None:
            raise NotWideError(f"`{self.text.strip()}`")
        return found[1]

    @cached_property
    def result_type(self) -> str:
        """LLVM's type of the result."""
        return "i1" if self.op in ("icmp", "fcmp") else self.type

    @cached_property
    def callee(self) -> str:
        """Of a call: the name of the function."""
        found = re.search(r'@("[^"]+"|[-\w.$]+)\(', self.rest)
        if found is None:
            raise NotWideError("a call through a pointer")
        return found[1].strip('"')

    @cached_property
    def arguments(self) -> list[tuple[str, str]]:
        """Of a call: the type and the text of each argument."""
        inside = self.rest[self.rest.index("(", self.rest.index("@")) + 1 : self.rest.rindex(")")]
        return [typed(_ATTRIBUTE.sub("", one)) for one in split(inside)]


CASTS = (
    "trunc", "zext", "sext", "fptrunc", "fpext", "fptoui", "fptosi", "uitofp", "sitofp", "ptrtoint", "inttoptr",
    "bitcast", "addrspacecast",
)  # fmt: skip


@dataclass
class Block:
    """A block of instructions, the last of which ends it.

    Attributes
    ----------
    cases : of a switch: the number for each target but the first
    """

    label: str
    lines: list[Line] = field(default_factory=list)
    cases: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)

    @property
    def end(self) -> Line:
        """The instruction that ends it."""
        return self.lines[-1]

    @property
    def phis(self) -> list[Line]:
        """Its phis."""
        return [line for line in self.lines if line.op == "phi"]

    @property
    def is_fault(self) -> bool:
        """Whether it ends the kernel with a fault."""
        return self.end.op == "unreachable"


def read(body: list[str]) -> list[Block]:
    """The blocks of a kernel's body, the first one first. Raises NotWideError for what cannot be read."""
    blocks: list[Block] = []
    in_switch = False
    for text in body:
        if not text.strip():
            continue
        if match := LABEL.match(text):
            blocks.append(Block(match["label"].strip('"')))
        elif in_switch:
            blocks[-1].end.text += f"\n{text}"
            if case := _CASE.match(text):
                blocks[-1].cases.append(case["value"])
                blocks[-1].targets.append(case["label"].strip('"'))
            else:
                in_switch = False
        else:
            line = read_line(text)
            blocks[-1].lines.append(line)
            if line.op in ("br", "switch"):
                blocks[-1].targets = [label.strip('"') for label in _TARGET.findall(line.rest)]
            in_switch = line.op == "switch"
    return blocks


def read_line(text: str) -> Line:
    """An instruction. Raises NotWideError if it cannot be read."""
    match = _LINE.match(text)
    if match is None:
        raise NotWideError(f"`{text.strip()}`")
    rest = match["rest"].strip()
    metadata = _METADATA.search(rest)
    more = metadata[0] if metadata else ""
    rest = re.sub(r" #\d+$", "", rest[: len(rest) - len(more)])
    flags = ""
    while found := _FLAG.match(rest):
        flags += found[0]
        rest = rest[found.end() :]
    return Line(text, match["result"], match["op"], flags, rest, more)


def split(text: str) -> list[str]:
    """The parts of a text between its commas, but not those inside brackets."""
    found, depth, begin = [], 0, 0
    for place, sign in enumerate(text):
        if sign in "([{<":
            depth += 1
        elif sign in ")]}>":
            depth -= 1
        elif sign == "," and not depth:
            found.append(text[begin:place].strip())
            begin = place + 1
    last = text[begin:].strip()
    return [*found, last] if last else found


def typed(operand: str) -> tuple[str, str]:
    """The type and the value of an operand that names both."""
    match = _TYPED.match(operand)
    if match is None:
        raise NotWideError(f"the operand `{operand}`")
    return match["type"], match["value"]


def element_of(kind: str) -> str:
    """The type of the elements of a vector's type."""
    return kind[:-1].split(" x ", 1)[1]


def count_of(kind: str) -> int:
    """How many elements a type has: 1 unless it is that of a vector."""
    return int(kind[1:].split(" x ", 1)[0]) if kind.startswith("<") else 1


def bits_of(kind: str) -> int:
    """Bits of a scalar type."""
    known = {"float": 32, "double": 64, "half": 16, "bfloat": 16, "ptr": 64}
    return known.get(kind) or int(kind[1:])


def bytes_of(kind: str) -> int:
    """Bytes of a type in memory, for those without gaps."""
    if kind.startswith("["):
        count, element = kind[1:-1].split(" x ", 1)
        return int(count) * bytes_of(element)
    if kind.startswith("<"):
        return count_of(kind) * bytes_of(element_of(kind))
    if kind.startswith("{") or bits_of(kind) % 8:
        raise NotWideError(f"memory of type {kind}")
    return bits_of(kind) // 8
