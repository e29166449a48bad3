"""Collect what checked mode found in a program, and write it as a summary, as JSON and as JUnit's XML."""

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from convbench.emulator.errors import EmulatorError, KernelFault
from convbench.emulator.install.told import Launch, array_of, other_accesses
from convbench.emulator.state import FaultKind

MARK = "_CONVBENCH_FAULT"  # the variable names a file, which a process with a fault makes for the one that started it


@dataclass
class Finding:
    """One distinct fault or note: the first time that it was found, and how often."""

    error: EmulatorError
    launch: Launch
    launches: list[int]

    def place(self) -> tuple[str, int]:
        """File and line; "" and 0 if they are unknown."""
        return (self.error.file, self.error.line) if isinstance(self.error, KernelFault) else ("", 0)

    def to_json(self) -> dict[str, Any]:
        """The finding as JSON has it."""
        found: dict[str, Any] = {
            "kernel": self.launch.kernel,
            "message": str(self.error),
            "kind": type(self.error).__name__,
            "launches": self.launches,
            "grid": list(self.launch.grid),
            "block_size": list(self.launch.block),
            "repeat": self.launch.repeat(),
        }
        if isinstance(self.error, KernelFault):
            error = self.error
            found |= {
                "kind": FaultKind(error.kind).name.lower(),
                "file": error.file,
                "line": error.line,
                "block": list(error.block),
                "thread": list(error.thread),
                "array": self.launch.described(error.array),
                "other_lines": [line.number for line in other_accesses(error, self.launch)],
            }
        return found


class Findings:
    """The distinct faults and notes of a program."""

    def __init__(self) -> None:
        self._faults: dict[Any, Finding] = {}
        self._notes: dict[Any, Finding] = {}
        self._lock = threading.Lock()

    def add(self, error: EmulatorError, launch: Launch, *, note: bool = False) -> bool:
        """Note an error. Returns whether it is a new one."""
        if not isinstance(error, KernelFault):
            key: Any = launch.kernel, type(error).__name__
        elif others := other_accesses(error, launch):  # a race is one fault, whichever of its accesses came last
            lines = frozenset((error.line, *(line.number for line in others)))
            key = launch.kernel, error.file, lines, array_of(error.array)
        else:
            key = launch.kernel, error.kind, error.file, error.line, error.array
        with self._lock:
            known = (self._notes if note else self._faults).setdefault(key, Finding(error, launch, []))
            if launch.number not in known.launches:
                known.launches.append(launch.number)
        if not note and (mark := os.environ.get(MARK)) and Path(mark).parent.is_dir():
            Path(mark).touch()
        return known.error is error

    @property
    def faults(self) -> list[Finding]:
        """The distinct faults, by place."""
        return sorted(self._faults.values(), key=Finding.place)

    @property
    def notes(self) -> list[Finding]:
        """The distinct notes, by place."""
        return sorted(self._notes.values(), key=Finding.place)

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._faults.clear()
            self._notes.clear()

    def summary(self, launches: Mapping[str, int], *, faults: bool = True) -> str:
        """The faults (unless they were told) and notes by line, as text."""
        total = sum(launches.values())
        distinct, kernels = len(self.faults), len(launches)
        parts = (
            []
            if not faults
            else [
                (
                    f"{distinct} distinct {_plural('fault', distinct)} in {total:,} {_plural('launch', total)} of "
                    f"{kernels} {_plural('kernel', kernels)}"
                )
            ]
        )
        for word, findings in (("fault", self.faults if faults else []), ("note", self.notes)):
            for finding in findings:
                file, line = finding.place()
                where = f"{file}:{line}" if line else finding.launch.defined()
                times = len(finding.launches)
                parts.append(f"{where}: {word}: {finding.error} [{times} {_plural('launch', times)}]")
                if word == "fault":
                    parts.append(f"    {finding.launch.repeat()}")
        return "\n".join(parts)

    def to_json(self, launches: Mapping[str, int], profiles: list[dict[str, Any]] | None = None) -> str:
        """Faults, notes, launches and the profiles, if there are any, as JSON."""
        return json.dumps(
            {
                "faults": [finding.to_json() for finding in self.faults],
                "notes": [finding.to_json() for finding in self.notes],
                "launches": dict(launches),
                **({} if profiles is None else {"profiles": profiles}),
            },
            indent=2,
        )

    def to_junit(self, launches: Mapping[str, int]) -> bytes:
        """JUnit's XML: a test case for each kernel, which fails if it has a fault."""
        by_kernel = {name: [finding for finding in self.faults if finding.launch.kernel == name] for name in launches}
        failed = sum(bool(found) for found in by_kernel.values())
        counts = {"tests": str(len(by_kernel)), "failures": str(failed), "errors": "0"}
        suite = ET.Element("testsuite", {"name": "convbench run", **counts})
        for name, found in by_kernel.items():
            case = ET.SubElement(suite, "testcase", classname="kernels", name=name)
            for finding in found:
                message = _printable(str(finding.error))
                failure = ET.SubElement(case, "failure", message=message, type=finding.to_json()["kind"])
                failure.text = _printable("\n".join([message, *getattr(finding.error, "__notes__", [])]))
        suites = ET.Element("testsuites", counts)
        suites.append(suite)
        ET.indent(suites)
        return bytes(ET.tostring(suites, encoding="utf-8", xml_declaration=True))


def _plural(word: str, count: int) -> str:
    if count == 1:
        return word
    return f"{word}es" if word.endswith("ch") else f"{word}s"


def _printable(text: str) -> str:
    """The text without characters that XML cannot hold."""
    return "".join(letter for letter in text if letter.isprintable() or letter in "\n\t")


FINDINGS = Findings()
