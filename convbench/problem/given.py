"""Converts the arguments of `ConvProblem` to the values of its fields.

A function that cannot convert its argument raises ProblemError. The message has the value, the rule that it breaks and
the call, because a problem that does not exist yet has no text.
"""

import operator
from typing import Any, SupportsIndex, cast

from convbench.errors import ProblemError
from convbench.problem.fields import Padding, Pair


def described(given: dict[str, Any]) -> str:
    """The call as text, for error messages."""
    return f"ConvProblem({', '.join(f'{name}={value!r}' for name, value in given.items())})"


def whole(name: str, value: object, given: dict[str, Any]) -> int:
    """A whole number as an int; NumPy's integers are accepted, and booleans are not."""
    if not isinstance(value, bool):
        try:
            return operator.index(cast("SupportsIndex", value))
        except TypeError:
            pass
    raise ProblemError(f"{name} is {value!r}; it must be a whole number: {described(given)}")


def pair(name: str, value: object, given: dict[str, Any]) -> Pair:
    """(height, width), from two numbers or from one number for both; as in PyTorch, that may be a tuple of one."""
    if isinstance(value, tuple | list) and len(value) == 1 and not isinstance(value[0], tuple | list):
        value = value[0]
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise ProblemError(f"{name} is {value!r}; it must be one number or (height, width): {described(given)}")
        return whole(name, value[0], given), whole(name, value[1], given)
    one = whole(name, value, given)
    return one, one


def padding_of(
    value: object, given: dict[str, Any], *, sizes: Pair, taps: Pair, stride: Pair, dilation: Pair
) -> Padding:
    """((top, bottom), (left, right)), from any form of padding that `ConvProblem` takes.

    The other arguments are the problem's fields, (height, width) each.
    """
    if isinstance(value, str):
        return _padding_by_a_word(value, given, sizes, taps, stride, dilation)
    if isinstance(value, tuple | list) and len(value) == 2 and any(isinstance(side, tuple | list) for side in value):
        return _sides(value[0], given), _sides(value[1], given)
    height, width = pair("padding", value, given)
    return (height, height), (width, width)


def _sides(value: object, given: dict[str, Any]) -> Pair:
    """The two sides of one axis, from two numbers or from one number for both."""
    if isinstance(value, tuple | list) and len(value) != 2:
        raise ProblemError(
            f"padding of an axis is {value!r}; it must be one number or (before, after): {described(given)}"
        )
    return pair("padding", value, given)


def _padding_by_a_word(
    value: str, given: dict[str, Any], sizes: Pair, taps: Pair, stride: Pair, dilation: Pair
) -> Padding:
    """((top, bottom), (left, right)), from a word."""
    if value == "valid":
        return (0, 0), (0, 0)
    if value == "same":
        if stride != (1, 1):
            raise ProblemError(
                f'padding is "same" and stride is {stride}; "same" is defined for stride 1 only '
                f'(give the four sides as numbers, or "same_tensorflow"): {described(given)}'
            )
        height, width = dilation[0] * (taps[0] - 1), dilation[1] * (taps[1] - 1)
        return (height // 2, height - height // 2), (width // 2, width - width // 2)
    if value == "same_tensorflow":
        axes = zip(sizes, taps, stride, dilation, strict=True)
        height, width = (
            max(0, (-(-size // max(1, u)) - 1) * u + d * (count - 1) + 1 - size) for size, count, u, d in axes
        )
        return (height // 2, height - height // 2), (width // 2, width - width // 2)
    raise ProblemError(f'padding is {value!r}; the words are "same", "same_tensorflow" and "valid": {described(given)}')
