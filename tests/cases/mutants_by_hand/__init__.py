"""Mutants of the shipped kernels that were written by hand: each a fault that edits of one expression seldom make."""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module

from cases.algorithm_mutants import MODULES, Place, examples_of, sources
from cases.mutants import Mutant
from cases.mutants_by_hand.rows import KINDS, ROWS
from convbench.devices import Device

__all__ = ["EXAMPLES", "KINDS", "REACHED", "Row", "every", "found_after"]

EXAMPLES = 400

# the algorithms by which the modules are fuzzed that have no mutants of single expressions
REACHED = {
    "algorithms.depthwise.patch": "depthwise",
    "algorithms.direct.window": "direct_tiled",
    "algorithms.direct.window_plan": "direct_tiled",
    "algorithms.tensor_cores.warpgroup_gemm": "implicit_gemm_tf32 implicit_gemm_3xtf32",
    "algorithms.winograd.fused": "winograd_2x2_3x3",
}


@dataclass(frozen=True)
class Row:
    """A mutant with a number among those of its module, and the kind of fault that it belongs to."""

    number: int
    kind: str
    place: Place
    new: str

    @property
    def name(self) -> str:
        """The module and the number, which stay the same as long as no mutant is added before it."""
        return f"{self.place.module} {self.number}"


def every() -> Iterator[Row]:
    """All mutants, by module. Raises ValueError if a kernel no longer has the text that a mutant replaces."""
    for module, rows in ROWS.items():
        for number, (function, kind, old, new) in enumerate(rows, 1):
            yield Row(number, kind, Place(module, function, _mutant(module, function, kind, old, new)), new)


def found_after(row: Row, device: Device, *, examples: int = EXAMPLES, seed: int = 0) -> tuple[int, str] | None:
    """How many cases the fuzzer ran until one failed, and its message; None if the mutant survived them all."""
    names = {**MODULES, **REACHED}[row.place.module].split()
    return examples_of(row.place, names, device, examples=examples, seed=seed)


def _mutant(module: str, function: str, kind: str, old: str, new: str) -> Mutant:
    """The function of a module with the first occurrence of a text replaced, on the same lines as the original."""
    loaded = import_module(module)
    node, text = sources(loaded)[function], inspect.getsource(loaded).splitlines(keepends=True)
    first = min(node.lineno, *(decorator.lineno for decorator in node.decorator_list))
    source = "".join(text[first - 1 : node.end_lineno])
    before, found, _ = source.partition(old)
    if not found or "\n" in old + new or old == new:
        raise ValueError(f"{module}.{function} has no {old!r}: write the mutant anew")
    line = first + before.count("\n")
    column = len(before) - before.rfind("\n") - 1
    return Mutant(kind, line, column, column + len(old), old, 0, partial(_made, source.replace(old, new, 1), first))


def _made(source: str, first: int) -> ast.Module:
    tree = ast.parse(source)
    return ast.increment_lineno(tree, first - 1)
