"""The advice at the end of a message about a PyTorch module that does not run."""

import inspect
import re
from typing import Any

import torch

INTEGERS = re.compile(
    r"scalar types?:? Long|tensors used as indices|for index, but got|index tensor|one_hot|indices.*(Long|Int|int64)"
)
DEVICES = re.compile(r"same device|FakeTensor ?Device|different devices|at least two devices|on device meta")
VALUES = re.compile(r"[Mm]eta tensor|[Mm]eta kernel|[Dd]ata.?[Dd]ependent|DynamicOutputShape|'Meta' backend|fake impl")
ARGUMENTS = re.compile(
    r"positional argument|keyword argument|keyword mismatch|missing value for argument|argument\(s\)"
)


def remedy(error: Exception, module: Any, device: str, *, has_values: bool) -> str:
    """What a user can do about an error of a module's run, with a leading semicolon; empty where nothing is known."""
    said = f"{type(error).__name__}: {error}"
    if INTEGERS.search(said):
        return (
            "; an input of integers is given as a tensor in place of its shape, such as "
            "torch.zeros((1, 16), dtype=torch.int64)"
        )
    if ARGUMENTS.search(said):
        return (
            f"; its forward takes {_signature(module)}; several inputs are given as a list of shapes, named ones as a "
            'mapping like {"x": (1, 3, 224, 224)}, and a mapping that is one input as a list of that mapping'
        )
    if has_values:
        return ""
    if DEVICES.search(said):
        other = "" if device not in ("meta", "cpu") else ', or give device="cpu"'
        return (
            "; a tensor that is neither a parameter nor a buffer stays on its own device: make it a buffer "
            f"(register_buffer){other}"
        )
    if isinstance(error, NotImplementedError) and VALUES.search(said):
        return '; an operator that PyTorch has for tensors with values only needs device="cpu"'
    if VALUES.search(said):
        what = "that is frozen, or " if isinstance(module, torch.jit.ScriptModule) else ""
        return f'; a module {what}whose control flow depends on values needs device="cpu"'
    return ""


def _signature(module: Any) -> str:
    try:
        return str(inspect.signature(module.forward))
    except (TypeError, ValueError):
        return "other inputs"
