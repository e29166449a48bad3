"""Read a kernel's IR: into which memory its pointers lead, what it accesses, and where its loops begin."""

import re
from collections.abc import Callable

from convbench.emulator.errors import UnsupportedError

VALUE = r'%(?:"[^"]*"|[-\w.$]+)'
RESULT = re.compile(rf"^\s+(?P<value>{VALUE}) = (?P<operation>\w+) ")
ACCESS = re.compile(
    r"^\s+(?:%\S+ = )?(?P<operation>load|store|atomicrmw|cmpxchg) (?P<flags>(?:atomic |volatile |weak )*)(?P<rest>.*)"
)
DERIVING = ("getelementptr", "phi", "select", "freeze", "bitcast")
_POINTER = re.compile(rf"\bptr (?P<pointer>{VALUE})")
_ARRAY = re.compile(rf"^\s+(?P<value>{VALUE}) = .*call ptr @emu\.(?P<memory>shared|local)\.(?P<name>[\w.$]+)\(")
_ROW = re.compile(rf"^\s+(?P<value>{VALUE}) = .*call ptr @emu\.(?:thread|worker)\(")
_PHI_POINTER = re.compile(rf"\[ (?P<pointer>{VALUE}),")
_TARGET = re.compile(r"label %(?P<label>\"[^\"]+\"|[-\w.$]+)")
_LABEL = re.compile(r'^(?P<label>"[^"]+"|[-\w.$]+):')
_WORD = rf"{VALUE}|-?\d+"
_TO_INTEGER = re.compile(rf"^\s+(?P<value>{VALUE}) = ptrtoint ptr (?P<pointer>{VALUE}) to i64\b")
_SUM = re.compile(rf"^\s+(?P<value>{VALUE}) = add (?:nuw |nsw )*i64 (?P<first>{_WORD}), (?P<second>{_WORD})")
_TO_POINTER = re.compile(rf"^\s+(?P<value>{VALUE}) = inttoptr i64 (?P<integer>{VALUE}) to ptr\b(?P<rest>.*)")
_SWAP = re.compile(rf"^\s+\S+ = cmpxchg (?:weak )?ptr (?P<pointer>{VALUE}), \w+ (?P<old>{VALUE}), ")
_SAME_VALUE = ("phi", "select", "freeze", "bitcast", "trunc", "zext", "sext")
_PHI_VALUE = re.compile(rf"\[ ({VALUE}),")
_TYPE = r"(?:\{[^}]*\}|\[[^\]]*\]|<[^>]*>|[\w.]+)"

Root = tuple[str, str]  # the memory that a pointer leads into: "argument", "shared" or "local", and which of them
OWN = "own", ""  # memory that the compiler allocated for itself, which needs no checks
UNKNOWN = "unknown", ""


def accessed_pointer(access: re.Match[str]) -> str | None:
    """The pointer of an access; None for the address of a constant, whose indices are checked already."""
    pointers = _POINTER.findall(access["rest"])
    if not pointers:
        return None
    return str(pointers[-1] if access["operation"] == "store" else pointers[0])


def accessed_type(access: re.Match[str]) -> str:
    """LLVM's type of the value that is read or written."""
    rest = access["rest"]
    if access["operation"] in ("load", "store"):
        found = re.match(f"(?P<kind>{_TYPE})", rest)
    else:
        found = re.search(rf"ptr \S+, (?P<kind>{_TYPE})", rest)
    if found is None:
        raise UnsupportedError(f"the checked mode cannot read this access: {access[0].strip()}")
    return found["kind"]


def find_roots(body: list[str], parameters: list[tuple[str, str]]) -> dict[str, Root]:
    """Find, for every pointer of a kernel, the memory that it leads into, as far as its computation tells."""
    roots: dict[str, Root] = {name: ("argument", str(j)) for j, (kind, name) in enumerate(parameters) if kind == "ptr"}
    derived: dict[str, list[str]] = {}
    for line in body:
        if match := _ARRAY.match(line):
            roots[match["value"]] = match["memory"], match["name"]
        elif match := _ROW.match(line):
            roots[match["value"]] = OWN
        elif match := RESULT.match(line):
            if match["operation"] == "alloca":
                roots[match["value"]] = OWN
            elif match["operation"] in DERIVING:
                pattern = _PHI_POINTER if " = phi ptr " in line else _POINTER
                if " = phi " not in line or " = phi ptr " in line:
                    sources = [found["pointer"] for found in pattern.finditer(line)]
                    if sources:
                        derived[match["value"]] = sources
                    else:  # a constant array, whose indices are checked already
                        roots[match["value"]] = OWN if "@" in line else UNKNOWN
    changed = True
    while changed:
        changed = False
        for value, sources in derived.items():
            found = {roots[source] for source in sources if source in roots}
            if any(source not in roots and source not in derived for source in sources):
                found.add(UNKNOWN)
            new = found.pop() if len(found) == 1 else UNKNOWN if found else None
            if new is not None and roots.get(value) != new:
                roots[value] = new
                changed = True
    return roots


def without_integers(body: list[str]) -> list[str]:
    """The code with pointers in the place of addresses that are computed as integers.

    numba-cuda computes those of an array with strides so, for example of one that a declared device function takes.
    """
    places: dict[str, tuple[str, list[str]]] = {}  # a pointer and the bytes that are added to it
    out = []
    for line in body:
        if match := _TO_INTEGER.match(line):
            places[match["value"]] = match["pointer"], []
        elif match := _SUM.match(line):
            for address, more in ((match["first"], match["second"]), (match["second"], match["first"])):
                if address in places and more not in places:
                    pointer, offsets = places[address]
                    places[match["value"]] = pointer, [*offsets, more]
        elif (match := _TO_POINTER.match(line)) and match["integer"] in places:
            value, (pointer, offsets) = match["value"], places[match["integer"]]
            for number, offset in enumerate(offsets[:-1]):
                step = f'{value[:-1]}.{number}"' if value.endswith('"') else f"{value}.emu.{number}"
                out.append(f"  {step} = getelementptr i8, ptr {pointer}, i64 {offset}")
                pointer = step
            last = offsets[-1] if offsets else 0
            line = f"  {value} = getelementptr i8, ptr {pointer}, i64 {last}{match['rest']}"
        out.append(line)
    return out


def find_rechecked(body: list[str], roots: dict[str, Root]) -> set[str]:
    """The values of loads that a compare-and-swap in the same memory compares again: an old value does no harm."""
    lines = {match["value"]: line for line in body if (match := RESULT.match(line))}
    found: set[str] = set()
    for line in body:
        if not (swap := _SWAP.match(line)):
            continue
        root = roots.get(swap["pointer"], UNKNOWN)
        waiting, seen = [swap["old"]], set()
        while root != UNKNOWN and waiting:
            value = waiting.pop()
            if value in seen or value not in lines:
                continue
            seen.add(value)
            operation = RESULT.match(lines[value])["operation"]  # type: ignore[index]
            if operation in _SAME_VALUE:
                waiting += (
                    _PHI_VALUE.findall(lines[value]) if operation == "phi" else re.findall(VALUE, lines[value])[1:]
                )
            elif operation == "load" and roots.get(re.findall(VALUE, lines[value])[1], UNKNOWN) == root:
                found.add(value)
    return found


def find_spins(body: list[str]) -> set[str]:
    """The heads of loops in which a thread may wait for another: it reads memory atomically.

    Such a thread lets others run now and then, as hardware does since compute capability 7.0. The loops of `support`,
    which try an update again, wait for nobody. Their accesses are weak or unordered.
    """
    looks: set[str] = set()
    here = ""
    for line in body:
        if match := _LABEL.match(line):
            here = match["label"].strip('"')
        elif (" atomic" in line or "cmpxchg" in line) and (match := ACCESS.match(line)) and _looks_anew(match, body):
            looks.add(here)
    if not looks:
        return looks
    order: dict[str, int] = {}
    for line in body:
        if match := _LABEL.match(line):
            order[match["label"].strip('"')] = len(order)
    heads: set[str] = set()
    here = ""
    for line in body:
        if match := _LABEL.match(line):
            here = match["label"].strip('"')
            continue
        for found in _TARGET.finditer(line):
            head = found["label"].strip('"')
            if any(order[head] <= order[label] <= order[here] for label in looks):
                heads.add(head)
    return heads


def _looks_anew(access: re.Match[str], body: list[str]) -> bool:
    """Whether an access reads a value that another thread may have changed, and the value is used."""
    if "weak " in access["flags"] or " unordered" in access["rest"]:
        return False
    if access["operation"] == "load":
        return "atomic" in access["flags"]
    result = RESULT.match(access[0])
    if access["operation"] == "store" or result is None:
        return False
    used = re.compile(rf"{re.escape(result['value'])}(?![-\w.$])")
    return sum(bool(used.search(line)) for line in body) > 1


def find_loop_heads(body: list[str]) -> set[str]:
    """The blocks that a later block, or the block itself, branches to. Every loop runs through one of them."""
    order: dict[str, int] = {}
    for line in body:
        if match := _LABEL.match(line):
            order[match["label"].strip('"')] = len(order)
    heads: set[str] = set()
    here = -1
    for line in body:
        if match := _LABEL.match(line):
            here = order[match["label"].strip('"')]
        else:
            targets = (found["label"].strip('"') for found in _TARGET.finditer(line))
            heads.update(label for label in targets if order[label] <= here)
    return heads


def has_loop(body: list[str]) -> bool:
    """Whether a thread may come to a block twice."""
    successors: dict[str, set[str]] = {}
    here = ""
    for line in body:
        if match := _LABEL.match(line):
            here = match["label"].strip('"')
            successors[here] = set()
        else:
            successors[here].update(found["label"].strip('"') for found in _TARGET.finditer(line))
    while ends := [label for label, targets in successors.items() if not targets & successors.keys()]:
        for label in ends:
            del successors[label]
    return bool(successors)


def find_places(body: list[str], blocks: set[str], has_place: Callable[[str], bool]) -> dict[str, str]:
    """The first instruction of each of some blocks that has a place in the source."""
    found: dict[str, str] = {}
    here = ""
    for line in body:
        if match := _LABEL.match(line):
            here = match["label"].strip('"')
        elif here in blocks and here not in found and has_place(line):
            found[here] = line
    return found
