"""Reads one event of PyTorch's profiler: the problem of a convolution operator, from the shapes of its arguments.

The profiler writes of each argument its sizes (`Input Dims`, empty for a number), its dtype (`Input type`), its strides
(`Input Strides`), and the value of a number or list (`Concrete Inputs`, as text). The arguments have the order of the
operator's schema; `OPERATORS` repeats the schemas with the names of a problem.

A transposed convolution is the backward_data of the problem from its output to its input. Its own gradients are then
forward (by its input) and backward_weights (by its weights, where dy takes the place of x).
"""

import re
from dataclasses import dataclass
from typing import Any

from convbench.errors import ConvbenchError
from convbench.problem import ConvProblem, Direction, Dtype, Layout, problem_of

_CONV = ("x", "w", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED = ("x", "w", "bias", "stride", "padding", "output_padding", "groups", "dilation")
_FULL = ("x", "w", "bias", "stride", "padding", "dilation", "transposed", "output_padding", "groups")
_PADDING_FIRST = ("x", "w", "bias", "padding", "stride", "dilation", "groups")
_SLOW = ("x", "w", "kernel_size", "bias", "stride", "padding")
# the convolution operators of ATen by name, and the names of their arguments
OPERATORS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("aten::conv1d", "aten::conv2d", "aten::conv3d", "aten::_convolution_mode"), _CONV),
    **dict.fromkeys(("aten::conv_transpose1d", "aten::conv_transpose2d", "aten::conv_transpose3d"), _TRANSPOSED),
    **dict.fromkeys(("aten::convolution", "aten::_convolution", "aten::convolution_overrideable"), _FULL),
    "aten::convolution_backward": (
        "dy", "x", "w", "bias_sizes", "stride", "padding", "dilation", "transposed", "output_padding", "groups",
        "output_mask",
    ),
    "aten::convolution_backward_overrideable": (
        "dy", "x", "w", "stride", "padding", "dilation", "transposed", "output_padding", "groups", "output_mask",
    ),
    "aten::cudnn_convolution": ("x", "w", "padding", "stride", "dilation", "groups"),
    "aten::cudnn_convolution_transpose": ("x", "w", "padding", "output_padding", "stride", "dilation", "groups"),
    "aten::cudnn_convolution_relu": _CONV,
    "aten::cudnn_convolution_add_relu": (
        "x", "w", "z", "alpha", "bias", "stride", "padding", "dilation", "groups",
    ),
    **dict.fromkeys(
        (
            "aten::mkldnn_convolution", "aten::miopen_convolution", "aten::miopen_depthwise_convolution",
            "mkldnn::_convolution_pointwise",
        ),
        _PADDING_FIRST,
    ),
    "aten::miopen_convolution_transpose": (
        "x", "w", "bias", "padding", "output_padding", "stride", "dilation", "groups",
    ),
    **dict.fromkeys(("aten::thnn_conv2d", "aten::_slow_conv2d_forward"), _SLOW),
    "aten::_conv_depthwise2d": (*_SLOW, "dilation"),
}  # fmt: skip
# These call other convolution operators. The inner one has the batch, the padding in numbers, and autocast's dtype.
CALLERS = frozenset(name for name, names in OPERATORS.items() if names in (_CONV, _TRANSPOSED) and "cudnn" not in name)
# Operators that may be other convolutions; packing and reordering weights computes none.
OTHERS = re.compile(r"(?!autograd::)\w+::(?!\w*(?:weight|pack))\w*conv(?!er)\w*")
DISPATCHERS = CALLERS | {"aten::convolution", "aten::_convolution"}
MOST = 10**15  # a size or a number is less
_DTYPES: dict[str, Dtype] = {
    "float": "float32", "double": "float64", "c10::Half": "float16", "c10::BFloat16": "bfloat16",
}  # fmt: skip


@dataclass(frozen=True)
class Found:
    """A problem and a direction that an operator computes."""

    problem: ConvProblem
    direction: Direction
    transposed: bool = False


class NoShapesError(ConvbenchError):
    """The event has no shapes: the trace was recorded without record_shapes."""


def read(name: str, recorded: dict[str, Any]) -> list[Found]:
    """What an event computes. A backward operator has up to two directions. Raises ConvbenchError."""
    if name not in OPERATORS:
        raise ConvbenchError(f"{name}: this operator is not read; there are {', '.join(OPERATORS)}")
    arguments = _Arguments(name, recorded)
    x, w = arguments.sizes("x"), arguments.sizes("w")
    axes = len(w) - 2
    if axes not in (1, 2):
        raise ConvbenchError(f"{name}: its weights have {axes} spatial axes, and those of a problem one or two")
    if len(x) == len(w) - 1:
        x = (1, *x)  # without a batch
    transposed = "transpose" in name or arguments.flag("transposed")
    groups = arguments.whole("groups")
    if name == "aten::_conv_depthwise2d":
        groups = w[0] // max(1, w[1])
    options: dict[str, Any] = {
        "stride": arguments.numbers("stride", axes),
        "padding": arguments.numbers("padding", axes),
        "dilation": arguments.numbers("dilation", axes),
    }
    if axes == 1:
        options = {key: value[0] for key, value in options.items()}
    bias = arguments.sizes("bias") or None
    if "bias_sizes" in OPERATORS[name]:
        sizes = arguments.listed("bias_sizes")
        bias = (w[0],) if set(sizes) - {"0"} and not transposed else None
    given = x
    if transposed:
        given, bias = _output(name, x, w, groups, arguments, axes), None
    problem = problem_of(given, w, bias, groups=groups, dtype=arguments.dtype(), **options)
    if transposed and (problem.p, problem.q)[2 - axes :] != tuple(x[2:]):
        raise ConvbenchError(f"{name}: its output_padding gives more outputs than the backward_data of {problem} has")
    problem = _with(problem, layout=arguments.layout())
    if "output_mask" not in OPERATORS[name]:
        return [Found(problem, "backward_data" if transposed else "forward", transposed)]
    mask = [value == "True" for value in arguments.listed("output_mask")]
    if len(mask) != 3:
        raise ConvbenchError(f"{name}: the trace does not record output_mask, which says which gradients are computed")
    by_data, by_weights, by_bias = mask
    found = []
    if by_data:
        found.append(Found(problem, "forward" if transposed else "backward_data", transposed))
    if by_weights:
        whole = _with(problem, bias=by_bias and not transposed)
        found.append(Found(whole, "backward_weights", transposed))
    return found


def _with(problem: ConvProblem, **changed: Any) -> ConvProblem:
    """The problem with other values; the filter layout is the usual one of the layout."""
    fields = {name: getattr(problem, name) for name in problem.__dataclass_fields__ if name != "filter_layout"}
    return ConvProblem(**{**fields, **changed})


def _output(
    name: str, x: tuple[int, ...], w: tuple[int, ...], groups: int, arguments: "_Arguments", axes: int
) -> tuple[int, ...]:
    """The shape of a transposed convolution's output, from its arguments; a gradient has it as the shape of dy."""
    if "dy" in OPERATORS[name]:
        return arguments.sizes("dy")
    stride, padding, dilation, more = (
        arguments.numbers(which, axes) for which in ("stride", "padding", "dilation", "output_padding")
    )
    spatial = (
        (size - 1) * u - 2 * pad + d * (taps - 1) + 1 + extra
        for size, u, pad, d, taps, extra in zip(x[2:], stride, padding, dilation, w[2:], more, strict=True)
    )
    return (x[0], w[1] * groups, *spatial)


class _Arguments:
    """The recorded arguments of an operator, by name."""

    def __init__(self, name: str, recorded: dict[str, Any]) -> None:
        self.name, self.recorded = name, recorded
        self.names = OPERATORS[name]
        if "Input Dims" not in recorded and "Input dims" not in recorded:
            raise NoShapesError(f"{name}: the trace has no shapes; record it with record_shapes=True")
        if "Concrete Inputs" not in recorded:
            raise ConvbenchError(
                f"{name}: the trace has no Concrete Inputs, so stride and padding are unknown; PyTorch 2.1 and later "
                "write them with record_shapes=True"
            )

    def _of(self, what: str, name: str) -> Any:
        """What is recorded of an argument; None if the operator has no such argument or nothing is recorded."""
        place = self.names.index(name) if name in self.names else -1
        values = self.recorded.get(what)
        if not isinstance(values, list) or not 0 <= place < len(values):
            return None
        return values[place]

    def sizes(self, name: str) -> tuple[int, ...]:
        """The sizes of a tensor; empty for a tensor that is not given."""
        what = "Input Dims" if "Input Dims" in self.recorded else "Input dims"
        found = self._of(what, name)
        if not (isinstance(found, list) and all(type(size) is int and 0 <= size < MOST for size in found)):
            found = []
        if not found and name in ("x", "w", "dy"):
            raise ConvbenchError(f"{self.name}: the trace does not record the sizes of {name}")
        return tuple(found)

    def listed(self, name: str) -> list[str]:
        """The items of a list of numbers or truth values, as text; empty if it is not recorded."""
        text = self._of("Concrete Inputs", name)
        return [item.strip() for item in text.strip("[] ").split(",") if item.strip()] if isinstance(text, str) else []

    def numbers(self, name: str, axes: int) -> tuple[int, ...]:
        """A number for each spatial axis: those that are recorded, or one for all; 1 or 0 without the argument."""
        if name not in self.names:
            return (1 if name in ("stride", "dilation") else 0,) * axes
        items = self.listed(name)
        if len(items) not in (1, axes) or not all(re.fullmatch(r"-?[0-9]{1,15}", item, re.ASCII) for item in items):
            hint = "; it was given as a word, such as same" if name == "padding" and not items else ""
            raise ConvbenchError(f"{self.name}: the trace does not record {name} in numbers{hint}")
        return tuple(map(int, items)) * (axes if len(items) == 1 else 1)

    def whole(self, name: str) -> int:
        """A whole number; 1 if the operator has no such argument."""
        return self.numbers(name, 1)[0] if name in self.names else 1

    def flag(self, name: str) -> bool:
        """A truth value; False if the operator has no such argument."""
        return bool(self._of("Concrete Inputs", name) == "True")

    def dtype(self) -> Dtype:
        """The dtype of x and w, which must be one. Packed weights have no recorded dtype."""
        kinds = [str(kind) for name in ("x", "w") if (kind := self._of("Input type", name))]
        if len(set(kinds)) != 1 or kinds[0] not in _DTYPES:
            told = " and ".join(kinds) or "not recorded"
            raise ConvbenchError(
                f"{self.name}: the dtypes of x and w are {told}; a problem has one, of {', '.join(_DTYPES)}"
            )
        return _DTYPES[kinds[0]]

    def layout(self) -> Layout:
        """NHWC if the strides of x are those of channels_last and no other order's; else NCHW."""
        strides, sizes = self._of("Input Strides", "x"), self.sizes("x")
        if not isinstance(strides, list) or len(strides) != 4 or len(sizes) != 4:
            return "NCHW"
        _, c, h, w = sizes
        return "NHWC" if c > 1 and h * w > 1 and strides[1:] == [1, w * c, c] else "NCHW"
