"""Reads benchdnn's convolution descriptors, `g32mb2_ic32ih112_oc32oh56_kh3sh2ph1_n"name"`, and its command lines.

    descriptor  fields, each a name and a number, in any order; of two equal names the later counts, as in benchdnn;
                one `_` may follow a number; the descriptor may end with `n` and a name. A name that ends in `*4` says
                that the layer occurs 4 times; the rest of it is not kept.
    fields      g mb ic oc, and for each axis X of h and w: iX input, kX filter, oX output, sX stride, pX padding
                before, dX dilation counted from 0 (a problem's minus 1); defaults g1 mb2 sX1 dX0
    deduced     without pX and oX, the padding is 0; pX alone sets both sides. oX alone sets the padding before to half
                of the elements that the windows need outside the input, rounded down. With oX, the padding after
                equals the one before if the output then has oX elements; else it is the least that gives oX. (benchdnn
                itself always takes the least padding after, even a negative one: the last elements are then in no
                window. The problem has a padding of 0 there, and the same windows and output.)
    axes        a width without fields (sw1, pw0 and dw0 do not count) is a copy of the height; a height without fields
                is 1 with a filter of 1, the 1-D case; depth fields are accepted only if they mean a depth of 1
    command     [benchdnn] and knobs, then the descriptor. Words before the program, such as environment assignments,
                are not read.
    knobs       --dir=FWD_B|FWD_D|FWD_I|BWD_D|BWD_W|BWD_WB|BWD_DW is the direction; FWD_B and BWD_WB add the bias, and
                FWD_B is benchdnn's default; a descriptor alone, without a command, has no bias. --dt= (or --cfg=) is
                the dtype, --mb=N the batch, --stag= --wtag= --dtag= the layouts (`tags`). --reset restores the
                defaults. Knobs of _SKIPPED and --attr-… say nothing of the problem.
    file        knobs hold for the lines below them. A knob with several values (--dt=f32,f16) gives a problem for each
                combination; of several --wtag and --dtag the first counts. A line may have several descriptors.

One difference: benchdnn reads a size of 0 as a field that is left out; here it is a 0, and the problem is refused.
Source: oneDNN, tests/benchdnn: doc/knobs_desc.md and doc/driver_conv.md, and str2desc in conv/conv_aux.cpp for what
these do not say; the paddings that are legal are in conv_desc_init in src/common/convolution.cpp.
"""

import re
from dataclasses import dataclass, replace
from itertools import product, takewhile
from math import prod
from typing import NamedTuple, NoReturn

from convbench.errors import ConvbenchError, NotationError
from convbench.problem.fields import Direction, Dtype, Pair
from convbench.problem.notation import tags
from convbench.problem.notation.reading import Reading
from convbench.problem.problem import ConvProblem

MOST_COMBINATIONS = 1_000  # of the values of knobs

_DESCRIPTOR = re.compile(r"(?:^|[\s\d_])[io]c")  # no size in the project's own form has a name of two letters
_PROGRAM = re.compile(r"(?:\S*[/\\])?benchdnn(?:\.exe)?")
_FIELD = re.compile(r"(g|mb|[io]c|[iokspd][dhw])(-?[0-9]+)?")
_COUNT = re.compile(r'\*([0-9]+)"?$')
_DIRECTIONS: dict[str, tuple[bool, tuple[Direction, ...]]] = {  # whether there is a bias, and the directions
    "FWD_B": (True, ("forward",)),
    "FWD_D": (False, ("forward",)),
    "FWD_I": (False, ("forward",)),
    "BWD_D": (False, ("backward_data",)),
    "BWD_W": (False, ("backward_weights",)),
    "BWD_WB": (True, ("backward_weights",)),
    "BWD_DW": (False, ("backward_data", "backward_weights")),
}
_CONFIGS = {"f32_wino": "f32", "bf16bf16bf16": "bf16"}  # names of --cfg that are no dtype, with the dtype
_LISTS = {
    "--dir": "directions", "--dt": "dtypes", "--cfg": "dtypes", "--mb": "batches", "--stag": "sources",
    "--wtag": "weights", "--dtag": "destinations",
}  # fmt: skip
_SKIPPED = frozenset({
    "--conv", "--alg", "--allow-enum-tags-only", "--bia-dt", "--buffer-prefix", "--canonical", "--check-ref-impl",
    "--cold-cache", "--cpu-isa-hints", "--ctx-exe", "--ctx-init", "--engine", "--execution-mode", "--fast-ref",
    "--fast-ref-gpu", "--fix-times-per-prb", "--global-impl", "--global-skip-impl", "--impl", "--inplace",
    "--max-ms-per-prb", "--mem-check", "--memory-kind", "--mode", "--mode-modifier", "--num-streams",
    "--perf-template", "--repeats-per-prb", "--skip-impl", "--start", "--stream-kind", "--strides", "--summary",
    "--test-start", "--verbose",
})  # fmt: skip
_AT_REST = {"s": 1, "p": 0, "d": 0}  # an axis that has only fields with these values counts as left out
_FLAT = {"id": 1, "kd": 1, "od": 1, "sd": 1, "pd": 0, "dd": 0}  # the depth fields of a 2-D convolution


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The values of the knobs that hold for a descriptor. Each may have several."""

    command: bool = False  # whether there was a command line or a knob, so that benchdnn's defaults hold
    directions: tuple[str, ...] = ("FWD_B",)
    dtypes: tuple[str, ...] = ("f32",)
    batches: tuple[str, ...] = ("0",)  # 0: the descriptor's own
    sources: tuple[str, ...] = ("any",)
    weights: tuple[str, ...] = ("any",)
    destinations: tuple[str, ...] = ("any",)


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
    count: int = 1

    def refuse(self, name: str, reason: str) -> NoReturn:
        raise NotationError(self.text, self.positions[name], f"{name}{self.values[name]}: {reason}")

    def turned(self) -> "_Descriptor":
        """The descriptor with its input and its output exchanged."""
        names = {name: {"i": "o", "o": "i"}.get(name[0], name[0]) + name[1:] for name in self.values}
        return replace(
            self,
            values={names[name]: value for name, value in self.values.items()},
            positions={names[name]: place for name, place in self.positions.items()},
        )

    @property
    def grouped(self) -> bool:
        """Whether w has an axis for the groups."""
        return "g" in self.values

    def require(self, *names: str) -> None:
        if missing := [name for name in names if name not in self.values]:
            raise NotationError(self.text, len(self.text), f"{', '.join(missing)} missing")


def looks_like(text: str) -> bool:
    """Whether the text is benchdnn's. Ask `miopen.looks_like` first: MIOpenDriver's long flags start with -- too."""
    return text.startswith("--") or any(map(_PROGRAM.fullmatch, text.split())) or bool(_DESCRIPTOR.search(text))


def parse(text: str) -> ConvProblem:
    """The problem that a descriptor or command line describes; raises NotationError or ProblemError."""
    return read_one(text).problem


def read_one(text: str) -> Reading:
    """The problem that a text describes, with its count and directions; raises NotationError or ProblemError."""
    words, settings = _words(text, Settings())
    knobs = list(takewhile(lambda word: word[0].startswith("-"), words))
    for knob in knobs:
        settings = _knob(text, knob, settings)
        name, _, value = knob[0].partition("=")
        position = knob.start() + len(name) + 1
        if name in _LISTS and "," in value:
            raise NotationError(text, position, f"{value!r} are several values; a text is one problem")
        if name in ("--dt", "--cfg") and tags.one_dtype(settings.dtypes[0]) is None:
            raise NotationError(text, position, f"{value!r}: {tags.DTYPE_RULE}")
    match words[len(knobs) :]:
        case []:
            raise NotationError(text, len(text), "no descriptor; write one like ic64ih56oc64kh3ph1")
        case [_, second, *_]:
            raise NotationError(text, second.start(), "a text is one problem: knobs first, then one descriptor")
        case [word]:
            (found,) = _readings(text, word, settings)
            if isinstance(found, Reading):
                return found
            raise found
    raise AssertionError  # the cases are all that there are


def read(text: str, settings: Settings) -> tuple[list[Reading | ConvbenchError], Settings]:
    """The problems of a line of a file under the knobs above it, with the reason for each that cannot be read.

    Also returns the knobs that hold below the line. Raises NotationError if a knob is unknown or malformed.
    """
    words, settings = _words(text, settings)
    found: list[Reading | ConvbenchError] = []
    for word in words:
        if word[0].startswith("-"):
            settings = _knob(text, word, settings)
        else:
            found += _readings(text, word, settings)
    return found, settings


def _words(text: str, settings: Settings) -> tuple[list[re.Match[str]], Settings]:
    """The words after the program. The program's name makes the line a command."""
    words = list(re.finditer(r"\S+", text))
    programs = [index for index, word in enumerate(words) if _PROGRAM.fullmatch(word[0])]
    if programs:
        return words[programs[0] + 1 :], replace(settings, command=True)
    return words, settings


def _knob(text: str, word: re.Match[str], settings: Settings) -> Settings:
    name, equals, value = word[0].partition("=")
    position = word.start() + len(name + equals)
    settings = replace(settings, command=True)
    if name == "--reset" and not equals:
        return Settings(command=True)
    if name == "--match" or name == "--batch":
        reason = {
            "--match": "--match selects problems by their text; select them with --where instead",
            "--batch": f"--batch names another file; give it as a workload of its own: --workload {value}",
        }[name]
        raise NotationError(text, word.start(), reason)
    if name == "--conv" and equals:
        raise NotationError(text, word.start(), "--conv has no value")
    if name in _LISTS and equals:
        given = tuple(value.split(","))
        if name == "--dir":
            given = tuple(each.upper() for each in given)
            if unknown := [each for each in given if each not in _DIRECTIONS]:
                raise NotationError(text, position, f"{unknown[0]!r} is not one of {', '.join(_DIRECTIONS)}")
        if name == "--cfg":
            given = tuple(_CONFIGS.get(each, each) for each in given)
        if name == "--mb" and (wrong := [each for each in given if not re.fullmatch(r"-?[0-9]{1,15}", each)]):
            raise NotationError(text, position, f"{wrong[0]!r} is not a whole number with at most 15 digits")
        return replace(settings, **{_LISTS[name]: given})  # type: ignore[arg-type]  # mypy thinks of `command`
    if name == "--attr-post-ops" and re.search(r"\bdw(_|:k)", value):
        raise NotationError(text, position, "a second, depthwise convolution is fused to this one")
    if name in _SKIPPED or name.startswith("--attr-") or re.fullmatch(r"-v[0-9]*", word[0]):
        return settings
    known = ", ".join((*_LISTS, "--reset", *sorted(_SKIPPED)))
    raise NotationError(text, word.start(), f"knob {word[0]!r} is unknown; there are {known} and --attr-...")


def _readings(text: str, word: re.Match[str], settings: Settings) -> list[Reading | ConvbenchError]:
    """A problem, or the reason why there is none, for each combination of the knobs' values."""
    found: list[Reading | ConvbenchError] = []
    knobs = settings.directions, settings.dtypes, settings.batches, settings.sources
    if (count := prod(map(len, knobs))) > MOST_COMBINATIONS:
        told = f"the knobs have {count:,} combinations of values; at most {MOST_COMBINATIONS:,} are read"
        return [NotationError(text, word.start(), told)]
    choices = product(*knobs)
    for direction, dtype, batch, source in choices:
        bias, directions = _DIRECTIONS[direction]
        try:
            values = fields(text, *word.span())
            known = tags.one_dtype(dtype)
            if known is None:
                raise NotationError(text, word.start(), f"its dtypes are {dtype}: {tags.DTYPE_RULE}")
            stored = tags.stored(source, settings.weights[0], settings.destinations[0], grouped=values.grouped)
            what = problem(values, dtype=known, bias=bias and settings.command, batch=int(batch), stored=stored)
        except ConvbenchError as error:
            found.append(error)
        else:
            named = directions if settings.command else ()
            found.append(Reading(problem=what, count=values.count, directions=named, tags=stored.others))
    return found


def problem(values: _Descriptor, *, dtype: Dtype, bias: bool, stored: tags.Stored, batch: int = 0) -> ConvProblem:
    """The problem of a descriptor; a batch of 0 stands for the descriptor's own. Raises NotationError, ProblemError."""
    values.require("ic", "oc")
    height, width = _axis(values, "h"), _axis(values, "w")
    if not (height or width):
        values.require("ih", "kh")
    _check_flat(values)
    height = height or _POINT
    width = width or height
    return ConvProblem(
        n=batch or values.values.get("mb", 2),
        c=values.values["ic"],
        h=height.size,
        w=width.size,
        k=values.values["oc"],
        r=height.taps,
        s=width.taps,
        stride=(height.stride, width.stride),
        padding=(height.sides, width.sides),
        dilation=(height.dilation, width.dilation),
        groups=values.values.get("g", 1),
        bias=bias,
        dtype=dtype,
        layout=stored.layout,
        filter_layout=stored.filter_layout,
    )


def fields(text: str, position: int, end: int) -> _Descriptor:
    """The fields of the descriptor between two positions of a text."""
    read = _Descriptor(text, {}, {})
    while position < end and text[position] != "n":
        field = _FIELD.match(text, position, end)
        if not field:
            reason = f"{text[position:end]!r} does not start with a field (g, mb, ic, oc, ih, kh, ...) or n and a name"
            raise NotationError(text, position, reason)
        if field[2] is None:
            raise NotationError(text, field.end(), f"{field[1]} has no number")
        if len(field[2]) > 15:
            raise NotationError(text, field.start(2), "this number has more than 15 digits")
        read.values[field[1]], read.positions[field[1]] = int(field[2]), position
        position = field.end() + text.startswith("_", field.end(), end)
    if count := _COUNT.search(text, position, end):
        if not 1 <= int(count[1][:16]) < 10**15:
            raise NotationError(text, count.start(), f"{count[1]} is how often the layer occurs; that is at least 1")
        return replace(read, count=int(count[1]))
    return read


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
