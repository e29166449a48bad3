"""libdevice's functions as IR for the CPU, from the bitcode that NVVM links into every kernel.

So `math.sin` and its kind give the bits that a GPU gives: the same polynomials, reductions and roundings. What is left
to the processor are libdevice's calls of intrinsics, which `intrinsics` defines, and the questions that it asks NVVM
by `__nvvm_reflect`: the architecture, and whether subnormals are flushed. Some amounts of its shifts are beyond the
width, for example in `pow`, so shifts and their kind are those of `arithmetic` here, too.

Source: LLVM, "User Guide for NVPTX Back-end", "Linking with Libdevice" and "NVVM Reflect"; libNVVM API, options of
nvvmCompileProgram (-ftz, -prec-sqrt, -prec-div).
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import llvmlite.binding as llvm

from convbench.emulator.nvvm import intrinsics
from convbench.emulator.support import arithmetic

_FEW_LINES = 24  # a function of no more lines is inlined
_CONSTANT = re.compile(r"@(__cudart_\w+)")
_REFLECT = re.compile(r"call i32 @__nvvm_reflect\(ptr @([\w.$]+)\)")
_STRING = re.compile(r'c"(\w+)\\00"')
_ATTRIBUTES = re.compile(r" #\d+|, ![\w.]+ !\d+|(?: local_unnamed_addr| addrspace\(\d+\))")
_INTRINSIC = re.compile(r"@llvm\.(?:nvvm\.)?((?<=nvvm\.)[\w.]+|tanh\.f32|convert\.from\.fp16\.f32)\(")
_ASSEMBLY = re.compile(r'asm "([^"]*)", "([^"]*)"\(')


@dataclass(frozen=True)
class Reflected:
    """What libdevice asks NVVM for."""

    compute_capability: tuple[int, int]
    fastmath: bool

    def answer(self, question: str) -> int:
        """The integer that `__nvvm_reflect` returns. 0 to a question that NVVM does not know."""
        major, minor = self.compute_capability
        return {
            "__CUDA_ARCH": 100 * major + 10 * minor,
            "__CUDA_FTZ": int(self.fastmath),
            "__CUDA_PREC_DIV": int(not self.fastmath),
            "__CUDA_PREC_SQRT": int(not self.fastmath),
        }.get(question, 0)


@cache
def _bitcode() -> Any:
    """The module of libdevice; None where NVIDIA's wheels are missing."""
    try:
        from numba.cuda.cudadrv.libs import get_libdevice, open_libdevice  # here: Numba's simulator lacks it

        return llvm.parse_bitcode(open_libdevice()) if get_libdevice() is not None else None
    except (ImportError, OSError, TypeError):
        return None


def _has(name: str) -> bool:
    module = _bitcode()
    try:
        return module is not None and not module.get_function(name).is_declaration
    except NameError:
        return False


@cache
def definition(name: str, reflected: Reflected) -> str | None:
    """IR of a function and of the intrinsics and constants that it uses; other functions of libdevice are only called.

    None if libdevice has none of this name, or is missing. Raises KeyError for an intrinsic that has no rule.
    """
    if not _has(name):
        return None
    variables = _variables()
    text = _ATTRIBUTES.sub("", str(_bitcode().get_function(name)))
    text = text[text.index("define ") :].rstrip()
    questions = {variable: asked[1] for variable, text in variables.items() if (asked := _STRING.search(text))}
    text = _REFLECT.sub(lambda call: f"add i32 0, {reflected.answer(questions[call[1]])}", text)
    parts = []
    for intrinsic in dict.fromkeys(_INTRINSIC.findall(text)):
        defined = intrinsics.definition(intrinsic)
        if defined is None:
            raise KeyError(f"llvm.nvvm.{intrinsic}")
        parts.append(defined)
    text = _INTRINSIC.sub(rf"@{intrinsics.PREFIX}\1(", text)
    for ptx, constraints in dict.fromkeys(_ASSEMBLY.findall(text)):
        written = ptx.replace("\\09", "\t").replace("\\0A", "\n")
        function, defined = intrinsics.assembly(written, constraints)
        parts.append(defined)
        text = text.replace(f'asm "{ptx}", "{constraints}"(', f"@{function}(")
    text = "\n".join(total[0] if (total := arithmetic.replaced(line)) else line for line in text.split("\n"))
    constants = dict.fromkeys(_CONSTANT.findall(text))
    parts += [re.sub(r" = (?:internal|private)\b", " = linkonce_odr", variables[variable]) for variable in constants]
    structures = (kind for kind in _bitcode().struct_types if f"%{kind.name} " in text)
    parts += [f"%{kind.name} = type {{ {', '.join(map(str, kind.elements))} }}" for kind in structures]
    how = "alwaysinline nounwind" if text.count("\n") <= _FEW_LINES else "noinline nounwind"
    text = re.sub(r"^define (?:\w+ )*?(?=void|float|double|i\d+|\{)", "define linkonce_odr ", text)
    head, _, body = text.partition("{\n")
    return "\n".join([*parts, f"{head}{how} {{\n{body}"])


@cache
def _variables() -> dict[str, str]:
    """The constants of libdevice by name."""
    return {variable.name: _ATTRIBUTES.sub("", str(variable)).strip() for variable in _bitcode().global_variables}
