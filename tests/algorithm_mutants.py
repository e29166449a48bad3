"""Mutants of the kernels that convbench ships, and the fuzzer that must find each of them."""

import ast
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import CodeType, ModuleType
from typing import Any

from mutants import Mutant, mutants_of

from convbench import registry
from convbench.devices.device import Device
from convbench.fuzz.campaign import fuzz

EXAMPLES = 200

# the module that is mutated, and the algorithm by which its kernels are fuzzed
MODULES = {
    "algorithms.correlation": "direct",
    "algorithms.depthwise": "depthwise",
    "algorithms.direct": "direct",
    "algorithms.direct_tiled": "direct_tiled",
    "algorithms.fft_correlation": "fft_tiled",
    "algorithms.fft_weights": "fft_tiled",
    "algorithms.gemm": "im2col_gemm",
    "algorithms.im2col_gemm": "im2col_gemm",
    "algorithms.implicit_gemm": "implicit_gemm",
    "algorithms.radix2": "fft_tiled",
    "algorithms.winograd": "winograd_2x2_3x3",
    "convbench.bias_gradient": "direct",
    "convbench.device_functions": "depthwise",
    "convbench.packing": "im2col_gemm",
    "convbench.padding": "direct",
}

# no result and no rule can tell these from the kernel: module, function, kind, expression and part, and why
EQUIVALENT: dict[tuple[str, str, str, str, int], str] = {
    ("algorithms.correlation", "make_place", "no operand", "0 <= position < size", 0): (
        "a negative position is given back as it is, and every caller takes what is negative for a zero"
    ),
    ("convbench.padding", "_make_fold", "wide comparison", "index < 0", 0): "−0 is 0",
}


@dataclass(frozen=True)
class Place:
    """A mutant, and the function of a module in which its kernel is."""

    module: str
    function: str
    mutant: Mutant

    def __str__(self) -> str:
        return f"{self.module}: {self.mutant.name}"

    @property
    def what(self) -> tuple[str, str, str, str, int]:
        """Without its lines, which move."""
        return self.module, self.function, self.mutant.kind, self.mutant.expression, self.mutant.part


def sources(module: ModuleType) -> dict[str, ast.FunctionDef]:
    """The functions of a module in which kernels are made, or that are kernels."""
    tree = ast.parse(inspect.getsource(module))
    found = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    return {node.name: node for node in found if "cuda.jit" in ast.unparse(node)}


def places(name: str) -> Iterator[Place]:
    """Every mutant of a module."""
    for function, node in sources(import_module(name)).items():
        for mutant in mutants_of(ast.Module([node], [])):
            yield Place(name, function, mutant)


@contextmanager
def mutated(place: Place) -> Iterator[None]:
    """All that is loaded, with a mutant in the place of the original; faults name the original's lines."""
    module, (definition,) = import_module(place.module), place.mutant.tree.body
    space = dict(vars(module))
    exec(compile(place.mutant.tree, str(module.__file__), "exec"), space)
    original = getattr(module, definition.name)
    holders = [
        other for other in list(sys.modules.values()) if getattr(other, "__dict__", {}).get(definition.name) is original
    ]
    try:
        for holder in holders:
            setattr(holder, definition.name, space[definition.name])
        _forget(holders, definition.name)
        yield
    finally:
        for holder in holders:
            setattr(holder, definition.name, original)
        _forget(holders, definition.name)


def _forget(holders: list[ModuleType], name: str) -> None:
    """Make the cached factories that use a function make their kernels again, and those that use such factories."""
    changed, grown = {name}, True
    while grown:
        grown = False
        for holder in [
            module for module in list(sys.modules.values()) if module.__name__.startswith(("algorithms.", "convbench."))
        ]:
            for user, value in list(vars(holder).items()):
                if user not in changed and hasattr(value, "cache_clear") and _names_in(value) & changed:
                    changed.add(user)
                    grown = True
                if user in changed and hasattr(value, "cache_clear"):
                    value.cache_clear()


def _names_in(cached: Any) -> set[str]:
    """The global names that a cached function and the kernels in it use."""
    names, codes = set[str](), [cached.__wrapped__.__code__] if hasattr(cached.__wrapped__, "__code__") else []
    while codes:
        code = codes.pop()
        names |= set(code.co_names)
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return names


def examples_until_killed(
    place: Place, device: Device, *, examples: int = EXAMPLES, seed: int = 0
) -> tuple[int, str] | None:
    """How many cases the fuzzer ran until one failed, and what it said; None if the mutant survived them all."""
    algorithm = registry.get(MODULES[place.module])
    with mutated(place):
        result = fuzz(algorithm, device, examples=examples, seed=seed)
    return None if result.failure is None else (result.figures.cases, str(result.failure))
