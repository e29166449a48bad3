"""Reads the project's own form, one shell-safe word: `n1c64h56w56-k64r3s3-pad1-stride2`.

`ConvProblem.__str__` writes this form:

    sizes    n c h w, then after a dash k r s; n may be left out and is then 1
    options  each after a dash, at most once, in any order:
             padA  padAxB  padT.BxL.R      stride, dil: A or AxB (height x width)      gN
             bias  reflect | replicate | circular  float64 | float16 | bfloat16  NHWC  KCRS | KRSC | RSCK

An option that is left out has the default of `ConvProblem`.
"""

import re
from typing import Any

from convbench.errors import NotationError, did_you_mean
from convbench.problem.fields import DTYPES, FILTER_LAYOUTS, LAYOUTS, PADDING_MODES
from convbench.problem.problem import ConvProblem

_SIZE = re.compile(r"([a-z])(-?[0-9]+)")
_PAIR_OPTION = re.compile(r"(pad|stride|dil)(?=[-0-9])(.*)")
_FIELDS = {"pad": "padding", "stride": "stride", "dil": "dilation"}
_WORDS: dict[str, tuple[str, object]] = {
    "bias": ("bias", True),
    **{mode: ("padding_mode", mode) for mode in PADDING_MODES},
    **{dtype: ("dtype", dtype) for dtype in DTYPES},
    **{layout: ("layout", layout) for layout in LAYOUTS},
    **{layout: ("filter_layout", layout) for layout in FILTER_LAYOUTS},
}


def parse(text: str) -> ConvProblem:
    """The problem that a text in this form describes; raises NotationError or ProblemError."""
    given: dict[str, Any] = {}
    start = 0
    # A dash before a digit is a minus sign, so that `pad-1` is refused as a negative padding.
    for part in re.split(r"-(?![0-9])", text):
        _read_part(text, start, part, given)
        start += len(part) + 1
    missing = [name for name in "chwkrs" if name not in given]
    if missing:
        raise NotationError(
            text, len(text), f"{', '.join(missing)} missing; the sizes are written as n1c64h56w56-k64r3s3"
        )
    return ConvProblem(**given)


def _read_part(text: str, start: int, part: str, given: dict[str, Any]) -> None:
    def put(name: str, value: object, position: int) -> None:
        if name in given:
            raise NotationError(text, position, f"{name} is given twice")
        given[name] = value

    if part in _WORDS:
        name, value = _WORDS[part]
        put(name, value, start)
    elif option := _PAIR_OPTION.fullmatch(part):
        put(_FIELDS[option[1]], _pair(text, start + len(option[1]), option[2], sides=option[1] == "pad"), start)
    elif group := re.fullmatch(r"g(-?[0-9]+)", part):
        put("groups", int(group[1]), start)
    else:
        position = start
        while position < start + len(part):
            size = _SIZE.match(text, position, start + len(part))
            if not size or size[1] not in "nchwkrs":
                words = [*_FIELDS, *_WORDS]
                like = did_you_mean(part, words) or did_you_mean(
                    part.rstrip("0123456789x."), words
                )  # `strid2` is like stride
                raise NotationError(
                    text,
                    position,
                    f"{text[position : start + len(part)]!r} is neither a size (one of n c h w k r s and a number) "
                    f"nor an option (padA, strideA, dilA, gA, {', '.join(_WORDS)}){like}",
                )
            put(size[1], int(size[2]), position)
            position = size.end()
        if not part:
            raise NotationError(text, start, "a size or an option is missing here")


def _pair(text: str, position: int, value: str, *, sides: bool) -> object:
    """`A` or `AxB`; with `sides`, A may be `first.second`."""
    axes: list[int | tuple[int, int]] = []
    for axis in value.split("x"):
        if len(axes) == 2:
            raise NotationError(text, position, f"{value!r} has more than two axes, height x width")
        numbers = axis.split(".") if sides else [axis]
        if len(numbers) > 2 or not all(re.fullmatch(r"-?[0-9]+", number) for number in numbers):
            form = "A, AxB or T.BxL.R" if sides else "A or AxB"
            raise NotationError(text, position, f"{value!r} is not of the form {form}")
        axes.append(int(numbers[0]) if len(numbers) == 1 else (int(numbers[0]), int(numbers[1])))
        position += len(axis) + 1
    if len(axes) == 1:
        axes *= 2
    return tuple((axis, axis) if sides and isinstance(axis, int) else axis for axis in axes)
