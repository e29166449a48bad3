"""Draw the initial weights and the bias of a layer.

    fan_in = C/G · R · S    the products that are summed for one output
    fan_out = K/G · R · S   the outputs that one input contributes to, at stride 1
    average = (fan_in + fan_out) / 2

    torch           uniform in ±√(1/fan), the bias too: with fan_in that is ±√(groups / (C·R·S))
    xavier_uniform  uniform in ±√(3/fan): variance 1/fan; by the average it is ±√(6 / (fan_in + fan_out))
    xavier_normal   normal of variance 1/fan
    he_normal       normal of variance 2/fan
    gaussian        normal of variance wscale, or of wscale/fan where a fan is named

The fan is fan_in unless another is named, and the bias is zero unless the line says otherwise. In a grouped
convolution, a filter sees C/G channels, and a channel is seen by K/G filters. Libraries that read the fans from the
shape of the weight use K·R·S as fan_out, whatever the groups.

Sources   PyTorch's documentation of torch.nn.Conv2d, "Variables" (torch); Glorot & Bengio 2010, "Understanding the
          difficulty of training deep feedforward neural networks", equations 12 and 16 (xavier); He, Zhang, Ren & Sun
          2015, "Delving deep into rectifiers", equations 10 and 14 (he: forward by fan_in, backward by fan_out).
"""

from math import isfinite, sqrt
from typing import Literal, cast, get_args

import ml_dtypes  # noqa: F401  (adds bfloat16 to NumPy)
import numpy as np

from convbench.errors import ConvbenchError
from convbench.problem import Dtype, operands

Scheme = Literal["torch", "xavier_uniform", "xavier_normal", "he_normal", "gaussian"]
Fan = Literal["in", "out", "average"]
Initializer = Scheme | tuple[Scheme, Fan]

SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
FANS: tuple[Fan, ...] = get_args(Fan)


def draw(
    rng: np.random.Generator,
    initializer: Initializer,
    shape: tuple[int, ...],
    *,
    groups: int = 1,
    wscale: float = 1.0,
    dtype: Dtype = "float32",
) -> tuple[operands.Values, operands.Values]:
    """Draw a weight of `shape`, (K, C/G, R, S) or (K, C/G, S), and its bias (K).

    Parameters
    ----------
    initializer : one of `SCHEMES`, or a pair of a scheme and the fan that it uses, one of `FANS`
    wscale : the variance of `gaussian`, before it is divided by a fan; the other schemes do not take it

    Raises
    ------
    ConvbenchError
        the initializer is unknown, wscale is given to a scheme that does not take it, or wscale is no variance.
    """
    scheme, fan = checked(initializer, wscale)
    count = fan_of(shape, groups, fan or "in")
    if scheme in ("torch", "xavier_uniform"):
        limit = sqrt((1 if scheme == "torch" else 3) / count)
        weight = rng.uniform(-limit, limit, shape)
    else:
        variance = {"xavier_normal": 1 / count, "he_normal": 2 / count}.get(scheme, wscale / (count if fan else 1))
        weight = rng.normal(0.0, sqrt(variance), shape)
    bias = rng.uniform(-limit, limit, shape[0]) if scheme == "torch" else np.zeros(shape[0])
    return weight.astype(dtype), bias.astype(dtype)


def fan_of(shape: tuple[int, ...], groups: int, fan: Fan) -> float:
    """The number by which a variance is divided, for a weight (K, C/G, …)."""
    k, c_per_group, *taps = shape
    area = int(np.prod(taps))
    fan_in, fan_out = c_per_group * area, k // groups * area
    return {"in": fan_in, "out": fan_out, "average": (fan_in + fan_out) / 2}[fan]


def checked(initializer: Initializer, wscale: float = 1.0) -> tuple[Scheme, Fan | None]:
    """The scheme, and the fan or None if none is named. Raises ConvbenchError as `draw` does."""
    pair = tuple(initializer) if isinstance(initializer, tuple | list) else (initializer, None)
    if len(pair) != 2 or pair[0] not in SCHEMES or pair[1] not in (None, *FANS):
        raise ConvbenchError(
            f"initializer is {initializer!r}; it is one of {', '.join(SCHEMES)}, "
            f"or a pair of one of these and a fan, one of {', '.join(FANS)}"
        )
    scheme, fan = cast("tuple[Scheme, Fan | None]", pair)
    if scheme != "gaussian" and wscale != 1:
        raise ConvbenchError(f"wscale is {wscale!r}; it is the variance of gaussian, and {scheme} has none")
    if not (isfinite(wscale) and wscale > 0):
        raise ConvbenchError(f"wscale is {wscale!r}; a variance is a number above 0")
    return scheme, fan
