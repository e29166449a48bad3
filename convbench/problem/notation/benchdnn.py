"""Reads benchdnn's convolution descriptors, `g32mb2_ic32ih112_oc32oh56_kh3sh2ph1_n"name"`, and its command lines.

    descriptor  fields, each a name and a number, in any order; of two equal names the later counts, as in benchdnn;
                one `_` may follow a number; the descriptor may end with `n` and a name, which is ignored
    fields      g mb ic oc, and for each axis X of h and w: iX input, kX filter, oX output, sX stride, pX padding
                before, dX dilation counted from 0 (a problem's minus 1); defaults g1 mb2 sX1 dX0
    deduced     without pX and oX, the padding is 0; pX alone sets both sides. oX alone sets the padding before to half
                of the elements that the windows need outside the input, rounded down. With oX, the padding after
                equals the one before if the output then has oX elements; else it is the least that gives oX. (benchdnn
                itself always takes the least padding after, even a negative one; the windows are the same.)
    axes        a width without fields (sw1, pw0 and dw0 do not count) is a copy of the height; a height without fields
                is 1 with a filter of 1, the 1-D case; depth fields are accepted only if they mean a depth of 1
    command     [benchdnn] --conv --dir=FWD_B|FWD_D|FWD_I --dt=f32|f16|bf16|f64 --mb=N, then the descriptor. FWD_B adds
                the bias and is benchdnn's default; a descriptor alone, without a command, has no bias

One difference: benchdnn reads a size of 0 as a field that is left out; here it is a 0, and the problem is refused.
Source: oneDNN, tests/benchdnn: doc/knobs_desc.md and doc/driver_conv.md, and str2desc in conv/conv_aux.cpp for what
these do not say; the paddings that are legal are in conv_desc_init in src/common/convolution.cpp.
"""

import re
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, NamedTuple, NoReturn

from convbench.errors import NotationError
from convbench.problem.fields import Pair
from convbench.problem.problem import ConvProblem

_DESCRIPTOR = re.compile(r"(?:^|[\s\d_])[io]c")  # no size in the project's own form has a name of two letters
_PROGRAM = re.compile(r"(?:\S*/)?benchdnn")
_FIELD = re.compile(r"(g|mb|[io]c|[iokspd][dhw])(-?[0-9]+)?")
_BIAS = {"FWD_B": True, "FWD_D": False, "FWD_I": False}
_DTYPE = re.compile(r"(f32|f16|bf16|f64)(?::\1:\1)?")  # one type, or the same for source, weights and destination
_DTYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16", "f64": "float64"}
_AT_REST = {"s": 1, "p": 0, "d": 0}  # an axis that has only fields with these values counts as left out
_FLAT = {"id": 1, "kd": 1, "od": 1, "sd": 1, "pd": 0, "dd": 0}  # the depth fields of a 2-D convolution


class _Axis(NamedTuple):
    size: int
    taps: int
    stride: int
    sides: Pair
    dilation: int


_POINT = _Axis(size=1, taps=1, stride=1, sides=(0, 0), dilation=1)


@dataclass(frozen=True)
class _Descriptor:
    text: str
    values: dict[str, int]
    positions: dict[str, int]

    def refuse(self, name: str, reason: str) -> NoReturn:
        raise NotationError(self.text, self.positions[name], f"{name}{self.values[name]}: {reason}")

    def require(self, *names: str) -> None:
        if missing := [name for name in names if name not in self.values]:
            raise NotationError(self.text, len(self.text), f"{', '.join(missing)} missing")


def looks_like(text: str) -> bool:
    """Whether the text is benchdnn's. Ask `miopen.looks_like` first: MIOpenDriver's long flags start with -- too."""
    return text.startswith("--") or bool(_PROGRAM.match(text) or _DESCRIPTOR.search(text))


def parse(text: str) -> ConvProblem:
    """The problem that a descriptor or command line describes; raises NotationError or ProblemError."""
    words = list(re.finditer(r"\S+", text))
    command = bool(words) and bool(_PROGRAM.fullmatch(words[0][0]) or words[0][0].startswith("-"))
    if words and _PROGRAM.fullmatch(words[0][0]):
        del words[0]
    knobs = list(takewhile(lambda word: word[0].startswith("-"), words))
    given: dict[str, Any] = {"n": 0, "bias": command}
    for knob in knobs:
        given |= _knob(text, knob)
    match words[len(knobs) :]:
        case []:
            raise NotationError(text, len(text), "no descriptor; write one like ic64ih56oc64kh3ph1")
        case [_, second, *_]:
            raise NotationError(text, second.start(), "a text is one problem: knobs first, then one descriptor")
        case [word]:
            fields = _read(text, *word.span())

    fields.require("ic", "oc")
    height, width = _axis(fields, "h"), _axis(fields, "w")
    if not (height or width):
        fields.require("ih", "kh")
    _check_flat(fields)
    height = height or _POINT
    width = width or height
    given["n"] = given["n"] or fields.values.get("mb", 2)  # --mb=0 stands for the descriptor's own
    return ConvProblem(
        **given,
        c=fields.values["ic"],
        h=height.size,
        w=width.size,
        k=fields.values["oc"],
        r=height.taps,
        s=width.taps,
        stride=(height.stride, width.stride),
        padding=(height.sides, width.sides),
        dilation=(height.dilation, width.dilation),
        groups=fields.values.get("g", 1),
    )


def _knob(text: str, word: re.Match[str]) -> dict[str, Any]:
    name, equals, value = word[0].partition("=")
    position = word.start() + len(name + equals)
    match name + equals:
        case "--conv" if not value:
            return {}
        case "--dir=":
            if value.upper() not in _BIAS:
                reason = f"{value!r} is not one of {', '.join(_BIAS)}; the text of a problem names no other direction"
                raise NotationError(text, position, reason)
            return {"bias": _BIAS[value.upper()]}
        case "--dt=":
            dtype = _DTYPE.fullmatch(value)
            if not dtype:
                reason = f"{value!r} is not one of {', '.join(_DTYPES)} for all three tensors"
                raise NotationError(text, position, reason)
            return {"dtype": _DTYPES[dtype[1]]}
        case "--mb=":
            if not re.fullmatch(r"-?[0-9]+", value):
                raise NotationError(text, position, f"{value!r} is not a whole number")
            return {"n": int(value)}
    raise NotationError(text, word.start(), f"knob {word[0]!r} is unknown; there are --conv, --dir=, --dt= and --mb=")


def _read(text: str, position: int, end: int) -> _Descriptor:
    fields = _Descriptor(text, {}, {})
    while position < end and text[position] != "n":
        field = _FIELD.match(text, position, end)
        if not field:
            reason = f"{text[position:end]!r} does not start with a field (g, mb, ic, oc, ih, kh, ...) or n and a name"
            raise NotationError(text, position, reason)
        if field[2] is None:
            raise NotationError(text, field.end(), f"{field[1]} has no number")
        fields.values[field[1]], fields.positions[field[1]] = int(field[2]), position
        position = field.end() + text.startswith("_", field.end(), end)
    return fields


def _check_flat(fields: _Descriptor) -> None:
    depth = [name for name in fields.values if name in _FLAT]
    for name in depth:
        if fields.values[name] != _FLAT[name]:
            fields.refuse(name, f"a problem is 2-D, so this can only be {name}{_FLAT[name]}")
    if depth:  # benchdnn then copies a missing axis from the depth, and not the width from the height
        fields.require("id", "kd", "ih", "kh", "iw", "kw")


def _axis(fields: _Descriptor, letter: str) -> _Axis | None:
    """The axis that the fields with this letter describe; None if the descriptor leaves it out."""
    values = {name: fields.values[name + letter] for name in "ikospd" if name + letter in fields.values}
    if values.items() <= _AT_REST.items():
        return None
    fields.require(f"i{letter}", f"k{letter}")
    size, taps, stride, dilation = values["i"], values["k"], values.get("s", 1), values.get("d", 0) + 1
    before = values.get("p")
    symmetric = _Axis(size, taps, stride, (before or 0, before or 0), dilation)
    if "o" not in values or min(size, taps, stride, dilation) < 1 or (before or 0) < 0:
        return symmetric  # ConvProblem refuses an impossible one

    out, output = values["o"], f"o{letter}"
    if out < 1:
        fields.refuse(output, "an output has at least one element")
    window = dilation * (taps - 1) + 1
    lacking = (out - 1) * stride + window - size  # elements outside the input that the windows need
    if before is None:
        before = lacking // 2 if lacking >= 0 else -(-lacking // 2)  # C++ rounds towards 0
    if before < 0:
        fields.refuse(output, f"{-lacking} elements are in no window, half of them in front; crop, or write p{letter}0")
    for after in (before, max(0, lacking - before)):
        if (size + before + after - window) // stride + 1 == out:
            return symmetric._replace(sides=(before, after))
    rest = before - lacking
    fields.refuse(output, f"{rest} elements at the end are in no window, stride {stride} leaves {stride - 1} at most")
