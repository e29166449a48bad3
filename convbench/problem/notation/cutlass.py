"""Reads the convolutions of the CUTLASS profiler: its command lines, and the arguments that it reports.

    example     cutlass_profiler --operation=Conv2d --conv_kind=fprop --n=8 --h=56 --w=56 --c=64 --k=64 --r=3 --s=3
    line        [cutlass_profiler] then options, each `--name=value`. Words before the program are not read. A report
                has the same options after `Arguments:`. It is of one kernel of many, so that a problem counts once.
    operation   Conv2d. Without it, an option of a convolution or a name in --kernels tells that it is one.
    defaults    n 1, h and w 16, c and k 64, r and s 3, groups 1, padding 1, stride 1, dilation 1; float32, NHWC
    values      of a number several, with commas, or a range FIRST:LAST:STEP: each combination is a problem. Of other
                equal options the last counts.
    direction   --conv_kind: fprop is forward, dgrad backward_data, wgrad backward_weights. Without it, those that
                --kernels names, else all three, because the profiler runs every kernel that fits.
    p, q        sizes of the output. Where the padding, which is that of both sides, gives others, the far side has what
                the output needs.
    tensors     --Activation, --Filter and --Output are DTYPE:LAYOUT. Activation and filter have one dtype.

Source: CUTLASS 4.7, tools/profiler/src/conv2d_operation_profiler.cu (names and defaults), problem_space.cpp (ranges),
performance_report.cpp (reports), media/docs/cpp/profiler.md.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from math import prod

from convbench.errors import ConvbenchError, NotationError
from convbench.problem.fields import Direction, Dtype, FilterLayout, Layout, Pair
from convbench.problem.notation.reading import OtherOperationError, Reading
from convbench.problem.problem import ConvProblem

MOST_PROBLEMS = 10_000  # of one line
_PROGRAM = re.compile(r"(?:^|(?<=\s))(?:\S*[/\\])?cutlass_profiler(?:\.exe)?(?=\s|$)")
_REPORT = re.compile(r"^Arguments:")
_OPTION = re.compile(r"--([A-Za-z_][\w:-]*)(?:=((?:(?!--[A-Za-z])\S)*))?")
_OPTIONS_ALONE = re.compile(r"^--(?:\S+\s+--)*?(?:operation=conv|conv_kind=)", re.IGNORECASE)
_LOG = re.compile(  # other lines of a report
    r"^=+$|^CSV Results:|^Wrote |^(?:Problem ID|Tags|Provider|OperationKind|Operation|Status|Verification|Disposition|"
    r"reference_\w+|cuDNN|Bytes|FLOPs|FLOPs/Byte|Runtime|Memory|Math): |,OperationKind,Operation,|,conv2d,\w+,"
)
NUMBERS = {
    "n": 1, "h": 16, "w": 16, "c": 64, "k": 64, "r": 3, "s": 3, "g": 1, "pad_h": 1, "pad_w": 1, "stride_h": 1,
    "stride_w": 1, "dilation_h": 1, "dilation_w": 1,
}  # fmt: skip
_OUTPUT = ("p", "q")
_ALIASES = {
    "input_n": "n", "input_h": "h", "input_w": "w", "input_c": "c", "filter_k": "k", "filter_r": "r", "filter_s": "s",
    "output_p": "p", "output_q": "q", "groups": "g",
}  # fmt: skip
_KINDS: dict[str, Direction] = {"fprop": "forward", "dgrad": "backward_data", "wgrad": "backward_weights"}
_DTYPES: dict[str, Dtype] = {
    "f32": "float32", "tf32": "float32", "f64": "float64", "f16": "float16", "bf16": "bfloat16",
}  # fmt: skip
_LAYOUTS: dict[str, Layout] = {"nhwc": "NHWC", "nchw": "NCHW"}
_FILTERS: dict[str, FilterLayout] = {"nhwc": "KRSC", "nchw": "KCRS"}
# these tell that a line without --operation is of a convolution
_OF_CONVOLUTION = {"conv_kind", "r", "s", "pad_h", "pad_w", "dilation_h", "dilation_w", "Activation", "Filter"}


class _WrongError(ConvbenchError):
    """The value of an option is wrong."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        super().__init__(f"{name} {reason}")


def looks_like(text: str) -> bool:
    """Whether the text is a command line of the profiler, or a line of what it prints."""
    return any(one.search(text) for one in (_PROGRAM, _REPORT, _OPTIONS_ALONE, _LOG))


def read(text: str) -> list[Reading | ConvbenchError]:
    """The problems of a line, one for each combination of the values of its options; of an impossible one the reason.

    Raises
    ------
    OtherOperationError
        the line is of another operation, or another line of a report.
    NotationError
        the line is malformed.
    """
    program, report = _PROGRAM.search(text), _REPORT.search(text)
    start = program.end() if program else report.end() if report else 0
    options: dict[str, str] = {}
    for found in _OPTION.finditer(text, start):
        name = _ALIASES.get(found[1], found[1])
        if found[2] is None and name in (*NUMBERS, *_OUTPUT):
            raise NotationError(text, found.start(), f"{found[0]} has no value; write {found[0]}=1, without a space")
        value = found[2] or ""
        options[name] = f"{options[name]},{value}" if name in options and name in NUMBERS else value
    if not (program or report or _OPTIONS_ALONE.search(text)):
        raise OtherOperationError(text, 0, "report of the CUTLASS profiler")
    kernels = options.get("kernels", "")
    operation = options.get("operation", "").lower()
    if operation == "conv3d":
        raise NotationError(text, text.index("operation"), "a problem is 2-D; this is a conv3d")
    is_convolution = operation == "conv2d" or _OF_CONVOLUTION & set(options) or re.search("fprop|dgrad|wgrad", kernels)
    if operation not in ("", "conv2d") or not is_convolution:
        raise OtherOperationError(text, start, operation or "an operation of CUTLASS without a name")
    try:
        readings = of_arguments(options)
    except _WrongError as error:
        raise _with_position(text, error) from error
    return [
        replace(each, trial=bool(report)) if isinstance(each, Reading)
        else _with_position(text, each) if isinstance(each, _WrongError) else each
        for each in readings
    ]  # fmt: skip


def _with_position(text: str, error: _WrongError) -> NotationError:
    """The same error with the position of its option."""
    return NotationError(text, max(0, text.find(f"--{error.name}")), str(error))


def read_one(text: str) -> Reading:
    """The one problem that a text describes; raises NotationError or ProblemError."""
    found = read(text)
    if len(found) != 1:
        raise NotationError(text, 0, f"the options describe {len(found)} problems; a text is one")
    if isinstance(found[0], ConvbenchError):
        raise found[0]
    return found[0]


def of_arguments(given: Mapping[str, str]) -> list[Reading | ConvbenchError]:
    """The problems of arguments by name, which are those of a command line; of an impossible one the reason.

    Raises ConvbenchError if the value of an argument cannot be read.
    """
    choices = {name: _numbers(name, given[name]) for name in (*NUMBERS, *_OUTPUT) if given.get(name)}
    if (count := prod(map(len, choices.values()))) > MOST_PROBLEMS:
        raise _WrongError(
            next(iter(choices)), f"and the other ranges give {count:,} problems; at most {MOST_PROBLEMS:,}"
        )
    dtype, layout, filter_layout, tags = _stored(given)
    if given.get("conv_mode") == "conv":
        tags += ("flipped filter",)
    directions = _directions(given)
    found: list[Reading | ConvbenchError] = []
    for values in product(*choices.values()):
        number = {**NUMBERS, **dict(zip(choices, values, strict=True))}
        try:
            problem = _problem(number, dtype=dtype, layout=layout, filter_layout=filter_layout)
        except ConvbenchError as error:
            found.append(error)
        else:
            found.append(Reading(problem=problem, directions=directions, tags=tags))
    return found


def _problem(
    number: Mapping[str, int], *, dtype: Dtype, layout: Layout, filter_layout: FilterLayout | None
) -> ConvProblem:
    """The problem of one value for each number. Raises ConvbenchError."""
    problem = ConvProblem(
        n=number["n"], c=number["c"], h=number["h"], w=number["w"], k=number["k"], r=number["r"], s=number["s"],
        stride=(number["stride_h"], number["stride_w"]),
        padding=(_sides(number, "h", "r", "p"), _sides(number, "w", "s", "q")),
        dilation=(number["dilation_h"], number["dilation_w"]), groups=number["g"],
        dtype=dtype, layout=layout, filter_layout=filter_layout,
    )  # fmt: skip
    for name, size in (("p", problem.p), ("q", problem.q)):
        if number.get(name, size) != size:
            raise _WrongError(name, f"is {number[name]}, but {problem} has {size}: windows at the end are left out")
    return problem


def _numbers(name: str, text: str) -> list[int]:
    """The values of a number: 8, or 1,2,4, or 8:64:8."""
    found: list[int] = []
    for part in text.split(","):
        bounds = part.split(":")
        if not (len(bounds) <= 3 and all(re.fullmatch("[0-9]{1,15}", bound) for bound in bounds)):
            raise _WrongError(name, f"is {text!r}; it must be a whole number, several with commas, or FIRST:LAST:STEP")
        first, last = sorted(map(int, (bounds[0], bounds[min(1, len(bounds) - 1)])))
        step = int(bounds[2]) if len(bounds) == 3 else 1
        if step < 1:
            raise _WrongError(name, f"is {text!r}; the step of a range is at least 1")
        values = range(first, last + 1, step)
        if len(values) > MOST_PROBLEMS:
            raise _WrongError(name, f"is {text!r}; a range has at most {MOST_PROBLEMS:,} values")
        found += values
    return found


def _sides(number: Mapping[str, int], axis: str, taps: str, output: str) -> Pair:
    """The padding before and after an axis; the far side differs where the output needs it."""
    before, stride = number[f"pad_{axis}"], max(1, number[f"stride_{axis}"])
    window = number[f"dilation_{axis}"] * (number[taps] - 1) + 1
    size = number.get(output)
    if size is None or (number[axis] + 2 * before - window) // stride + 1 == size:
        return before, before
    return before, max(0, (size - 1) * stride + window - number[axis] - before)


def _directions(given: Mapping[str, str]) -> tuple[Direction, ...]:
    kinds = [kind for kind in given.get("conv_kind", "").lower().split(",") if kind]
    if unknown := [kind for kind in kinds if kind not in _KINDS]:
        raise _WrongError("conv_kind", f"is {unknown[0]!r}; it must be one of {', '.join(_KINDS)}")
    chosen = kinds or re.findall("fprop|dgrad|wgrad", given.get("kernels", "")) or list(_KINDS)
    return tuple(direction for kind, direction in _KINDS.items() if kind in chosen)


def _stored(given: Mapping[str, str]) -> tuple[Dtype, Layout, FilterLayout | None, tuple[str, ...]]:
    """Dtype, layout and filter layout; and what of the three tensors a problem cannot express."""
    elements, layouts, tags = {}, {}, list[str]()
    for name in ("Activation", "Filter", "Output"):
        text = given.get(name, "").lower()
        if "," in text:
            raise _WrongError(name, f"is {text!r}; a problem has one dtype: write a line for each")
        element, _, layout = text.partition(":")
        if element not in ("", "*"):
            elements[name] = element
        if layout not in ("", "*"):
            layouts[name] = layout
    read = (
        {elements[name] for name in ("Activation", "Filter") if name in elements} or set(elements.values()) or {"f32"}
    )
    if len(read) != 1 or not read <= set(_DTYPES):
        name = next(iter(elements))
        raise _WrongError(
            name, f"and Filter are {' and '.join(sorted(read))}; a problem has one, of {', '.join(_DTYPES)}"
        )
    (one,) = read
    if one == "tf32":
        tags.append("tf32")
    layout_of_x = layouts.get("Activation", "nhwc")
    for name, known in (("Activation", _LAYOUTS), ("Filter", _FILTERS), ("Output", {layout_of_x: ""})):
        told = [elements[name]] if elements.get(name, one) != one else []
        told += [layouts[name]] if name in layouts and layouts[name] not in known else []
        if told:
            tags.append(" ".join([name, *told]))
    return _DTYPES[one], _LAYOUTS.get(layout_of_x, "NHWC"), _FILTERS.get(layouts.get("Filter", "")), tuple(tags)
