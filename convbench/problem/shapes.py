"""Finds the problem that belongs to the shapes of arrays.

    x (N, C, H, W), weight (K, C/G, R, S), bias (K)     or, the case H = R = 1,     x (N, C, L), weight (K, C/G, S)

If the shapes do not fit, the message guesses what the caller meant and says how to change the array. It only looks at
sizes, so axes in the wrong order are not noticed if their sizes happen to fit.
"""

import operator
from collections.abc import Sequence
from typing import Any

from convbench.errors import ProblemError, TensorError
from convbench.problem.problem import ConvProblem

Shape = tuple[int, ...]

# Orders of a filter's axes that callers often have: the order in words, the place in it of each axis of the equation,
# and the call that puts the axes into the order of the equation.
_ORDERS: dict[int, tuple[tuple[str, Shape, str], ...]] = {
    4: (
        ("(R, S, C, K), as Keras stores filters", (3, 2, 0, 1), "np.moveaxis(weight, (3, 2), (0, 1))"),
        ("(K, R, S, C)", (0, 3, 1, 2), "np.moveaxis(weight, -1, 1)"),
        ("(C, K, R, S), as of a transposed convolution", (1, 0, 2, 3), "np.swapaxes(weight, 0, 1)"),
    ),
    3: (
        ("(S, C, K), as Keras stores filters", (2, 1, 0), "np.swapaxes(weight, 0, 2)"),
        ("(K, S, C)", (0, 2, 1), "np.swapaxes(weight, 1, 2)"),
        ("(C, K, S), as of a transposed convolution", (1, 0, 2), "np.swapaxes(weight, 0, 1)"),
    ),
}


def problem_of(
    x: Shape,
    weight: Shape,
    bias: Shape | None = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    dtype: str = "float32",
) -> ConvProblem:
    """The problem of arrays of these shapes; the keywords are those of `ConvProblem`.

    For a 1-D convolution stride and dilation are one number, and padding is one number, ((left, right),) or a word.

    Raises
    ------
    TensorError
        the shapes do not fit each other.
    ProblemError
        the convolution is impossible.
    """
    if len(weight) not in _ORDERS:
        raise TensorError(
            f"expected weight (K, C/groups, R, S), or (K, C/groups, S) of a 1-D convolution, got {_text(weight)}"
        )
    groups = whole("groups", groups)
    options: dict[str, Any] = {
        "stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "padding_mode": padding_mode,
        "dtype": dtype, "bias": bias is not None,
    }  # fmt: skip
    if len(weight) == 3:
        options |= _in_two_dimensions(stride=stride, padding=padding, dilation=dilation)
    _check_channels(x, weight, groups)
    n, c, h, w = lifted(x)
    k, _, r, s = lifted(weight)
    if bias is not None and bias != (k,):
        remedy = "; reshape(-1) gives it this shape" if sorted(bias)[-1:] == [k] and set(bias) <= {1, k} else ""
        raise TensorError(f"expected bias {_text((k,))}, got {_text(bias)}{remedy}")
    try:
        return ConvProblem(n=n, c=c, h=h, w=w, k=k, r=r, s=s, **options)
    except ProblemError as error:
        hint = _order_hint(weight, (None, weight[1], *(None,) * (len(weight) - 2)))
        if hint and "filter spans" in str(error):
            raise ProblemError(f"{error}\nIs its weight in another order? {_text(weight)} {hint}") from error
        raise


def whole(name: str, value: Any) -> int:
    """A whole number, at least 1; raises TensorError for anything else."""
    try:
        count = operator.index(value)
    except TypeError:
        count = 0
    if count < 1 or isinstance(value, bool):
        raise TensorError(f"{name} is {value!r}; it must be a whole number, at least 1")
    return count


def lifted(shape: Shape) -> Shape:
    """The shape with an axis of size 1 inserted if it is of a 1-D convolution's tensor; else the shape itself."""
    return (*shape[:2], 1, *shape[2:]) if len(shape) == 3 else shape


def lacks_batch(x: Shape, weight: Shape, groups: int) -> bool:
    """Whether an input is one image without a batch: (C, H, W), or (C, L) of a 1-D convolution."""
    return len(weight) in _ORDERS and len(x) == len(weight) - 1 and x[0] == groups * weight[1]


def check_input(shape: Shape, c: int, spatial: int) -> None:
    """Raise TensorError, with a remedy, unless a shape is (N, c, H, W), or for one spatial axis (N, c, L)."""
    if len(shape) == 2 + spatial and shape[1] == c:
        return
    hints = _input_hints(shape, c, 2 + spatial)
    raise TensorError(f"{_expected(c, spatial)}, got {_text(shape)}{_listed(hints)}")


def check_weight(shape: Shape, wanted: Shape) -> None:
    """Raise TensorError, with a remedy, unless a filter has the shape that is wanted."""
    if shape == wanted:
        return
    hint = _order_hint(shape, wanted)
    raise TensorError(f"expected weight {_text(wanted)}, got {_text(shape)}{hint and f': it {hint}'}")


def _check_channels(x: Shape, weight: Shape, groups: int) -> None:
    """Raise TensorError unless x has as many channels as the weight takes; either may have its axes in wrong order."""
    spatial, c = len(weight) - 2, groups * weight[1]
    if len(x) != len(weight):
        if len(x) == 3 and x[1] == c and weight[2] == 1:
            raise TensorError(f"{_expected(c, 2)}, got {_text(x)}: with filters of one row, x[:, :, None] has one row")
        check_input(x, c, spatial)
    if x[1] == c:
        return
    hints = _input_hints(x, c, len(x))
    told = "" if hints else f" for weight {_text(weight)} and groups = {groups}"
    if weight[1] == x[1]:  # then there are several groups
        hints.append(f"the weight has all {x[1]} channels; with groups = {groups} a filter has {x[1]}/{groups}")
    elif x[1] % groups == 0 and (hint := _order_hint(weight, (None, x[1] // groups, *(None,) * spatial))):
        hints.append(f"the weight {hint}")
    raise TensorError(f"{_expected(c, spatial)}{told}, got {_text(x)}{_listed(hints)}")


def _order_hint(shape: Shape, wanted: Sequence[int | None]) -> str:
    """A hint with the orders of axes in which a filter of this shape fits the wanted one; "" if there is none.

    In the wanted shape None stands for any size.
    """
    found = [
        f"{name}: {remedy}"
        for name, axes, remedy in _ORDERS.get(len(shape), ())
        if len(shape) == len(wanted)
        and all(want in (None, shape[axis]) for want, axis in zip(wanted, axes, strict=True))
    ]
    return f"looks like {'; or like '.join(found)}" if found else ""


def _input_hints(shape: Shape, c: int, axes: int) -> list[str]:
    """Hints on how to change an input whose shape is not (N, c, …)."""
    first, last = (shape[0], shape[-1]) if shape else (None, None)
    hints = []
    if len(shape) == axes:
        if last == c:
            move = "transpose axes 1 and 2" if axes == 3 else "np.moveaxis(x, -1, 1) puts them there"
            hints.append(f"channels come second; {move}")
        if first == c:
            hints.append("the batch comes first and the channels second; swap axes 0 and 1")
    elif len(shape) == axes - 1:
        if first == c:
            hints.append("the batch axis is missing; x[None] is a batch of one")
        if last == c:
            hints.append("the batch axis is missing and channels come second; np.moveaxis(x, -1, 0)[None]")
        if c == 1:
            hints.append("the channel axis is missing; x[:, None] has one channel")
        if not hints:
            hints.append(f"an input without a batch is ({c}, {'H, W' if axes == 4 else 'L'})")
    elif len(shape) == axes - 2 and c == 1:
        hints.append("the axes of batch and channels are missing; x[None, None]")
    elif len(shape) == axes + 1 == 4:
        hints.append("a weight of three axes is a 1-D convolution's; a 2-D one's is (K, C/groups, R, S)")
    return hints


def _in_two_dimensions(*, stride: Any, padding: Any, dilation: Any) -> dict[str, Any]:
    """The options of a 1-D convolution as those of the 2-D one with H = R = 1."""

    def one(value: Any) -> Any:
        return value[0] if isinstance(value, tuple | list) and len(value) == 1 else value

    for name, value in (("stride", one(stride)), ("dilation", one(dilation)), ("padding", padding)):
        if isinstance(value, tuple | list) and len(value) != 1:
            raise TensorError(
                f"{name} is {value!r}; a 1-D convolution has one number"
                f"{', or ((left, right),)' if name == 'padding' else ''}"
            )
    if not isinstance(padding, str):
        sides = one(padding)
        padding = (0, 0), (sides if isinstance(sides, tuple | list) else (sides, sides))
    return {"stride": (1, one(stride)), "padding": padding, "dilation": (1, one(dilation))}


def _listed(hints: list[str]) -> str:
    return f": {'; or '.join(hints)}" if hints else ""


def _expected(c: int, spatial: int) -> str:
    return f"expected input (N, {c}, {'H, W' if spatial == 2 else 'L'})"


def _text(shape: Shape) -> str:
    return str(tuple(map(int, shape)))
