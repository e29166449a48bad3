"""Reads MIOpenDriver's convolution command lines.

    example     MIOpenDriver convfp16 -n 32 -c 64 -H 56 -W 56 -k 64 -y 3 -x 3 -p 1 -q 1
    line        [MIOpenDriver] [conv | convfp32 | convfp16 | convbfp16], then flags; without a base argument, float32.
                Words before the driver's name are not read: environment assignments, or the prefix of MIOpen's log,
                `MIOpen(HIP): Command [LogCmdConvolution]`. A line of [LogCmdFindConvolution] is a search for a kernel.
    flag        a letter after one dash or a name after two; the next word is its value. Of two equal flags the later
                counts. `-n32` is refused: the driver ignores the 32 and takes the next word as the value. The value of
                a layout must be upper-case after a letter; after a name it may have any case.
    pad_mode    `valid` and `same` replace -p and -q, but only if both dilations are 1 or the filter is 1x1. `same` pads
                each side with half of the elements that the last window lacks, rounded down, so that an even filter at
                stride 1 gives one row less than the input has
    groups      values below 1 count as 1
    directions  -F is a sum: 1 forward, 2 backward_data, 4 backward_weights; 0 is all three
    mode        `trans`, a transposed convolution, is read as the problem whose gradient by the data it computes: the
                flags describe its dy, `-k` is its C, and -Y and -X are rows and columns that are added to dx. Forward
                is then backward_data, and the other way round. pad_mode and the bias do not count.

Source: MIOpen, driver/conv_driver.hpp (AddCmdLineArgs: names and defaults; SetConvDescriptorFromCmdLineArgs: padding
modes and groups), driver/InputFlags.cpp (Parse), driver/driver.cpp, driver/README.md.
"""

import re
from typing import NamedTuple

from convbench.errors import NotationError
from convbench.problem.fields import DIRECTIONS, Direction, Pair
from convbench.problem.notation.reading import TURNED, OtherOperationError, Reading
from convbench.problem.problem import ConvProblem

_BASE_DTYPES = {"conv": "float32", "convfp32": "float32", "convfp16": "float16", "convbfp16": "bfloat16"}
_PROGRAM = re.compile(r"(?:\S*[/\\])?MIOpenDriver(?:\.exe)?")
_LOG = re.compile(r"^MIOpen: |MIOpen\([A-Za-z]+\): ")  # each line of MIOpen's log has it
_BASE = re.compile(r"conv(?:[a-z]+[0-9]+)?")


class _Number(NamedTuple):
    letter: str
    default: int


class _Choice(NamedTuple):
    letter: str
    accepted: tuple[str, ...]  # the default first
    reason: str  # for refusing any other value


_NUMBERS = {
    "batchsize": _Number("n", 100),
    "in_channels": _Number("c", 3),
    "in_h": _Number("H", 32),
    "in_w": _Number("W", 32),
    "out_channels": _Number("k", 32),
    "fil_h": _Number("y", 3),
    "fil_w": _Number("x", 3),
    "conv_stride_h": _Number("u", 1),
    "conv_stride_w": _Number("v", 1),
    "pad_h": _Number("p", 0),
    "pad_w": _Number("q", 0),
    "dilation_h": _Number("l", 1),
    "dilation_w": _Number("j", 1),
    "group_count": _Number("g", 1),
    "bias": _Number("b", 0),
    "forw": _Number("F", 0),
    "trans_output_pad_h": _Number("Y", 0),
    "trans_output_pad_w": _Number("X", 0),
}
_LAYOUT_REASON = "the layouts of both are NCHW and NHWC"
_CHOICES = {
    "in_layout": _Choice("I", ("NCHW", "NHWC"), _LAYOUT_REASON),
    "fil_layout": _Choice("f", ("NCHW", "NHWC"), _LAYOUT_REASON),
    "out_layout": _Choice("O", ("NCHW", "NHWC"), _LAYOUT_REASON),
    "pad_mode": _Choice("z", ("default", "same", "valid"), "there is no other padding mode"),
    "mode": _Choice("m", ("conv", "trans"), "there is no other mode"),
    "spatial_dim": _Choice("_", ("2",), "a problem is 2-D"),
    "tensor_vect": _Choice("Z", ("0",), "vectorised layouts are not supported"),
    "vector_length": _Choice("L", ("1",), "vectorised layouts are not supported"),
    "in_cast_type": _Choice("U", ("-1",), "a problem has one dtype and no casts"),
    "wei_cast_type": _Choice("R", ("-1",), "a problem has one dtype and no casts"),
    "out_cast_type": _Choice("T", ("-1",), "a problem has one dtype and no casts"),
}
_SKIPPED = {  # name: (letter, the reason why its value does not change the problem)
    "in_d": ("!", "read for spatial_dim 3 only"),
    "fil_d": ("@", "read for spatial_dim 3 only"),
    "conv_stride_d": ("#", "read for spatial_dim 3 only"),
    "pad_d": ("$", "read for spatial_dim 3 only"),
    "dilation_d": ("^", "read for spatial_dim 3 only"),
    "trans_output_pad_d": ("%", "read for mode trans only"),
    "pad_val": ("r", "names a cache file; the padding holds zeros"),
    "in_data": ("d", "where x comes from"),
    "weights": ("e", "where w comes from"),
    "in_bias": ("a", "where the bias comes from"),
    "dout_data": ("D", "where dy comes from"),
    "dump_output": ("o", "writes the buffers to files"),
    "iter": ("i", "how often"),
    "time": ("t", "whether it is timed"),
    "wall": ("w", "which clock"),
    "verify": ("V", "whether the result is checked"),
    "verification_cache": ("C", "where expected results are kept"),
    "printconv": ("P", "what is printed"),
    "search": ("s", "tuning"),
    "tuning_policy": ("&", "tuning"),
    "solution": ("S", "which kernel"),
    "math_type": ("M", "whether TF32 may be used inside"),
    "use_hip_graph": ("J", "how kernels are launched"),
    "gpualloc": ("G", "where the buffers are filled"),
    "gpubuffer_check": ("~", "how the buffers are guarded"),
    "init_output_nan": ("N", "what y holds before"),
}
_LETTERS = {flag[0]: name for table in (_NUMBERS, _CHOICES, _SKIPPED) for name, flag in table.items()}
_NAMES = frozenset(_LETTERS.values())


def looks_like(text: str) -> bool:
    """Whether the text starts with the driver's name, a base argument or a flag; `--conv` is benchdnn's."""
    if _LOG.search(text) or any(map(_PROGRAM.fullmatch, text.split())):
        return True
    first = next(iter(text.split(maxsplit=1)), "")
    if first.startswith("--"):
        name, equals, _ = first[2:].partition("=")
        return name in _NAMES and not (name == "mode" and equals)  # --mode=P is benchdnn's
    return first.startswith("-") or bool(_BASE.fullmatch(first))


def parse(text: str) -> ConvProblem:
    """The problem that a command line describes; raises NotationError or ProblemError."""
    return read(text).problem


def read(text: str) -> Reading:
    """The problem that a command line describes, and its directions; raises NotationError or ProblemError."""
    words = list(re.finditer(r"\S+", text))
    dtype = _read_base(text, words)
    number = {name: flag.default for name, flag in _NUMBERS.items()}
    choice = {name: flag.accepted[0] for name, flag in _CHOICES.items()}
    positions: dict[str, int] = {}
    remaining = iter(words)
    for flag in remaining:
        name = _flag_name(text, flag)
        word = next(remaining, None)
        if word is None:
            raise NotationError(text, len(text), f"{flag[0]} has no value")
        value, positions[name] = word[0], word.start()
        if name in number:
            if not re.fullmatch(r"-?[0-9]+", value):
                raise NotationError(text, word.start(), f"{flag[0]} is {value!r}; it must be a whole number")
            number[name] = int(value)
            if name == "forw" and not 0 <= number[name] <= 7:
                reason = (
                    f"{flag[0]} is {value}; it is 0, or a sum of 1 (forward), 2 (by the data) and 4 (by the weights)"
                )
                raise NotationError(text, word.start(), reason)
        elif name in choice:
            if name.endswith("_layout") and flag[0].startswith("--"):
                value = value.upper()
            _, accepted, reason = _CHOICES[name]
            if value not in accepted:
                reason = f"{flag[0]} is {value!r}; it must be {' or '.join(accepted)}: {reason}"
                raise NotationError(text, word.start(), reason)
            choice[name] = value

    layouts = {name: value for name, value in choice.items() if name.endswith("_layout")}
    if len(set(layouts.values())) > 1:
        odd = min(positions[name] for name, value in layouts.items() if value == "NHWC")  # the default is NCHW
        described = ", ".join(f"{name} {value}" for name, value in layouts.items())
        raise NotationError(text, odd, f"a problem has one layout, not {described}")
    directions = _directions(number["forw"]) if "forw" in positions else ()
    search = "[LogCmdFindConvolution]" in text
    if choice["mode"] == "trans":
        problem = _transposed(text, number, dtype, choice["in_layout"])
        turned = tuple(TURNED.get(direction, direction) for direction in directions or ("forward",))
        return Reading(problem=problem, directions=turned, search=search)
    problem = ConvProblem(
        n=number["batchsize"],
        c=number["in_channels"],
        h=number["in_h"],
        w=number["in_w"],
        k=number["out_channels"],
        r=number["fil_h"],
        s=number["fil_w"],
        stride=(number["conv_stride_h"], number["conv_stride_w"]),
        padding=_padding(choice["pad_mode"], number),
        dilation=(number["dilation_h"], number["dilation_w"]),
        groups=max(1, number["group_count"]),
        bias=number["bias"] != 0,
        dtype=dtype,
        layout=choice["in_layout"],
    )
    return Reading(problem=problem, directions=directions, search=search)


def _transposed(text: str, number: dict[str, int], dtype: str, layout: str) -> ConvProblem:
    """The problem whose gradient by the data a transposed convolution computes. Raises NotationError, ProblemError."""
    sizes = []
    for axis, stride, taps, pad, dilation in (
        ("h", "conv_stride_h", "fil_h", "pad_h", "dilation_h"), ("w", "conv_stride_w", "fil_w", "pad_w", "dilation_w"),
    ):  # fmt: skip
        whole = number[stride] * (number[f"in_{axis}"] - 1) + number[dilation] * (number[taps] - 1) + 1
        sizes.append(whole - 2 * number[pad] + number[f"trans_output_pad_{axis}"])
    problem = ConvProblem(
        n=number["batchsize"], c=number["out_channels"], h=sizes[0], w=sizes[1], k=number["in_channels"],
        r=number["fil_h"], s=number["fil_w"], stride=(number["conv_stride_h"], number["conv_stride_w"]),
        padding=(number["pad_h"], number["pad_w"]), dilation=(number["dilation_h"], number["dilation_w"]),
        groups=max(1, number["group_count"]), dtype=dtype, layout=layout,
    )  # fmt: skip
    if (problem.p, problem.q) != (number["in_h"], number["in_w"]):
        reason = (
            f"the output padding must be at least 0 and less than the stride: {problem} has {problem.p} x {problem.q} "
            f"windows, and the input is {number['in_h']} x {number['in_w']}"
        )
        raise NotationError(text, len(text), reason)
    return problem


def _directions(forw: int) -> tuple[Direction, ...]:
    return tuple(direction for bit, direction in enumerate(DIRECTIONS) if forw == 0 or forw & 1 << bit)


def _read_base(text: str, words: list[re.Match[str]]) -> str:
    """Remove the program and the base argument from the words, and return the dtype that the latter names."""
    program = next((index for index, word in enumerate(words) if _PROGRAM.fullmatch(word[0])), None)
    if program is not None:
        del words[: program + 1]
    elif _LOG.search(text):
        raise OtherOperationError(text, 0, "other lines of MIOpen's log")
    elif words and words[0][0].startswith("-"):
        return "float32"
    base = words.pop(0) if words else None
    if base is None or base[0] not in _BASE_DTYPES:
        position, found = (base.start(), repr(base[0])) if base else (len(text), "nothing")
        reason = f"expected a base argument ({', '.join(_BASE_DTYPES)}), found {found}"
        if base and re.fullmatch(r"(?!conv|CBA)[A-Za-z]+[0-9]*", base[0]):
            raise OtherOperationError(text, position, base[0])
        raise NotationError(text, position, reason)
    return _BASE_DTYPES[base[0]]


def _flag_name(text: str, word: re.Match[str]) -> str:
    flag = word[0]
    name = flag[2:] if flag.startswith("--") else _LETTERS.get(flag[1:]) if flag.startswith("-") else None
    if name not in _NAMES:
        reason = f"{flag!r} is not a flag of MIOpenDriver conv; write -letter or --name, and its value as the next word"
        raise NotationError(text, word.start(), reason)
    return name


def _padding(mode: str, number: dict[str, int]) -> Pair:
    dense = number["dilation_h"] == number["dilation_w"] == 1
    pointwise = number["fil_h"] == number["fil_w"] == 1
    if mode == "default" or not (dense or pointwise):
        return number["pad_h"], number["pad_w"]
    if mode == "valid":
        return 0, 0
    return _same(number, "h"), _same(number, "w")


def _same(number: dict[str, int], axis: str) -> int:
    stride = max(1, number[f"conv_stride_{axis}"])  # ConvProblem refuses a smaller one later
    last = number[f"in_{axis}"] % stride or stride  # input elements under the last window
    return max(number[f"fil_{axis}"] - last, 0) // 2
