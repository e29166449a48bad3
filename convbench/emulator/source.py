"""Find the line of Python that an instruction of LLVM IR came from, by its debug location."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_NODE = re.compile(r"^!(\d+) = (?:distinct )?!DI(Location|Subprogram|LexicalBlock|File)\((.*)\)$", re.MULTILINE)
GROUPS = "numba/cuda/cg.py"  # numba-cuda's own functions of cooperative groups, whose lines tell users nothing
_REFERENCE = re.compile(r"!dbg !(\d+)")


@dataclass(frozen=True)
class Site:
    """A place in a source file."""

    file: str = ""
    line: int = 0
    function: str = ""

    def text(self) -> str:
        """The line itself, without indentation; "" if it cannot be read."""
        if not self.line:
            return ""
        try:
            return Path(self.file).read_text(encoding="utf-8").splitlines()[self.line - 1].strip()
        except (OSError, IndexError, UnicodeDecodeError):
            return ""


UNKNOWN = Site()


class DebugInfo:
    """The debug locations of one module's text, numbered as its instructions refer to them."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._sites: dict[int, Site] = {}

    @cached_property
    def _nodes(self) -> dict[int, tuple[str, str]]:
        return {int(number): (kind, fields) for number, kind, fields in _NODE.findall(self._module)}

    def site(self, instruction: str) -> Site:
        """The place that an instruction came from. If it was inlined, this is its innermost frame."""
        reference = _REFERENCE.search(instruction)
        if reference is None:
            return UNKNOWN
        number = int(reference.group(1))
        if number not in self._sites:
            self._sites[number] = self._resolve(number)
        return self._sites[number]

    def _resolve(self, number: int) -> Site:
        kind, fields = self._nodes.get(number, ("", ""))
        if kind != "Location":
            return UNKNOWN
        line, scope = int(_field(fields, "line") or 0), _field(fields, "scope")
        caller = _field(fields, "inlinedAt")
        while scope:
            kind, fields = self._nodes.get(int(scope[1:]), ("", ""))
            if kind == "Subprogram":
                if caller and self._file(_field(fields, "file")).endswith(GROUPS):
                    return self._resolve(int(caller[1:]))
                return Site(self._file(_field(fields, "file")), line, _field(fields, "name"))
            scope = _field(fields, "scope")
        return UNKNOWN

    def _file(self, reference: str) -> str:
        _, fields = self._nodes.get(int(reference[1:]), ("", "")) if reference else ("", "")
        name = _field(fields, "filename")
        return str(Path(_field(fields, "directory"), name)) if name else ""


def _field(fields: str, name: str) -> str:
    found = re.search(rf'\b{name}: (?:"([^"]*)"|([^,)]*))', fields)
    return (found.group(1) or found.group(2) or "") if found else ""


class Sites:
    """Numbers for places in the source, because compiled code can carry only a number; 0 is an unknown place."""

    def __init__(self) -> None:
        self._sites = [UNKNOWN]
        self._numbers = {UNKNOWN: 0}

    def number(self, site: Site) -> int:
        if site not in self._numbers:
            self._numbers[site] = len(self._sites)
            self._sites.append(site)
        return self._numbers[site]

    def __iter__(self) -> Iterator[Site]:
        return iter(self._sites)

    def __getitem__(self, number: int) -> Site:
        return self._sites[number] if 0 <= number < len(self._sites) else UNKNOWN
