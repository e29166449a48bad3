"""The GPUs that have an instruction of PTX: ptxas refuses it for a target below.

Source: PTX ISA, "Target ISA Notes" of each instruction.
"""

import re

_ARITHMETIC = {"add", "sub", "mul", "fma"}
_HALVES = {"f16", "bf16"}
_SINCE = {"redux": 80, "mbarrier": 80, "stmatrix": 90, "elect": 90}
_TARGET = re.compile(r"sm_(\d+)")
_WORDS = re.compile(r"[a-z]\w*(?:\.\w+)+")


def least_target(opcode: str, modifiers: tuple[str, ...]) -> int:
    """The first target of ptxas that takes an instruction, for example 100 for sm_100; 0 if all do that we know of."""
    if opcode in _ARITHMETIC and ("f32x2" in modifiers or ("f32" in modifiers and _HALVES & set(modifiers))):
        return 100
    if opcode == "cp" and "async" in modifiers:
        return 90 if "bulk" in modifiers else 80
    return _SINCE.get(opcode, 0)


def number_of(target: str) -> int | None:
    """The number of a `.target` such as sm_90a; None for a text that names none."""
    found = _TARGET.match(target)
    return int(found[1]) if found else None


def why_refused(name: str, target: int) -> str:
    """Why ptxas refuses an instruction for a target, in words; "" if it takes it. `name` has all its modifiers."""
    opcode, *modifiers = name.split(".")
    least = least_target(opcode, tuple(modifiers))
    return f"`{name}` requires .target sm_{least} or higher, and this is for sm_{target}" if target < least else ""


def why_text_refused(text: str, target: int) -> str:
    """The same for the first instruction of some inline PTX that ptxas refuses."""
    return next(filter(None, (why_refused(name, target) for name in _WORDS.findall(text))), "")
