"""Split a convolution of a picture into its parts: the contribution of each channel to each output map.

    part(c, k) = X(c) ⋆ K(k, c)        a convolution of one channel by one filter
    Y(k)       = Σ_c part(c, k) + bias(k)

All parts are computed as one grouped convolution: C groups of one channel, each with the filters that see the channel.
The sum of the parts and the layer's output each differ from the exact result by at most the bound of the algorithm that
computed them. So they differ from each other by at most the sum of the two bounds.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convbench.algorithm import Algorithm
from convbench.devices import Device
from convbench.errors import ConvbenchError, RefusedError
from convbench.layer import automatic
from convbench.layer.exchange import device_of
from convbench.layer.functional import conv2d
from convbench.layer.layer import Conv2d
from convbench.measurement import Comparison, compare
from convbench.problem import ConvProblem, operands
from convbench.reference import Float64, compute

Picture = npt.NDArray[np.uint8]  # (H, W, 3), or (H, W) of grey


@dataclass(frozen=True, kw_only=True)
class Maps:
    """The picture, the parts of its convolution, and the output maps."""

    problem: ConvProblem
    grouped: ConvProblem  # the grouped convolution that computes all parts
    layer_algorithm: str
    parts_algorithm: str
    refusal: str | None  # why another algorithm than that of the parts computes the layer; None if the same one does
    picture: Picture
    channels: operands.Values  # (C, H, W)
    parts: dict[tuple[int, int], operands.Values]  # [c, k] → (P, Q), for the channels that filter k sees
    bias: operands.Values  # (K), zeros if the layer has none
    outputs: operands.Values  # (K, P, Q), the layer's
    mean_error: float  # of the sums of parts, compared with the outputs
    largest_error: float  # of the same
    comparison: Comparison  # of the same with the bound


def read_picture(path: Path | None, problem: ConvProblem) -> Picture:
    """Read a picture, and resize it to the height, width and channels of the problem's input.

    Parameters
    ----------
    path : the picture's file; None: a picture that scikit-image brings

    Raises ConvbenchError if the problem's input cannot be a picture, the file cannot be read, or a package is missing.
    """
    if problem.n != 1 or problem.c not in (1, 3):
        raise ConvbenchError(f"a picture has n = 1 and c = 3, or c = 1 for grey: {problem}")
    try:  # Pillow is an optional package
        from PIL import Image, ImageOps
    except ImportError as error:
        raise ConvbenchError(f'maps need the extra `report`: pip install "convbench[report]" ({error})') from error
    try:
        with Image.fromarray(_bundled()) if path is None else Image.open(path) as opened:
            upright = ImageOps.exif_transpose(opened).convert("RGB" if problem.c == 3 else "L")
            return np.asarray(upright.resize((problem.w, problem.h), Image.Resampling.LANCZOS))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ConvbenchError(f"picture {path} cannot be read: {error}") from error


def _bundled() -> Picture:
    """A portrait of Eileen Collins by NASA, in the public domain, which scikit-image brings."""
    try:  # scikit-image is an optional package
        from skimage.data import astronaut
    except ImportError as error:
        raise ConvbenchError(
            f'name a picture, or install the extra `maps`, which has one: pip install "convbench[maps]" ({error})'
        ) from error
    picture: Picture = astronaut()
    return picture


def decompose(
    problem: ConvProblem,
    picture: Picture,
    *,
    algorithm: str = "auto",
    device: Device | str | None = None,
    seed: int = 0,
) -> Maps:
    """Compute the layer of a problem on a picture, and the parts of its convolution. Weights are drawn from a seed.

    Parameters
    ----------
    algorithm : computes the parts, and the layer too; if it refuses the layer, the algorithm that "auto" picks does

    Raises
    ------
    RefusedError, where the algorithm refuses the grouped convolution, or the device refuses either convolution
    UnknownNameError, DeviceError
    """
    device = device_of(device)
    layer = Conv2d(
        problem.c, problem.k, (problem.r, problem.s), **_geometry(problem), groups=problem.groups, bias=problem.bias,
        dtype=problem.dtype, seed=seed, device=device,
    )  # fmt: skip
    grouped = replace(problem, k=problem.c * problem.k // problem.groups, groups=problem.c, bias=False)
    parts_by = automatic.resolved(algorithm, grouped, "forward", device)
    if reason := parts_by.refuses(grouped):
        raise RefusedError(f"{parts_by.name} refuses the parts, {grouped}: {reason}")
    layer_by = automatic.resolved(algorithm, problem, "forward", device)
    if refusal := layer_by.refuses(problem):
        layer_by = automatic.choose(problem, "forward", device)

    x = (picture.reshape(1, problem.h, problem.w, problem.c).transpose(0, 3, 1, 2) / 255).astype(problem.dtype)
    single = np.ascontiguousarray(_by_group(problem, layer.weight).swapaxes(1, 2)).reshape(grouped.w_shape)
    given = {"x": x, "w": layer.weight} | ({} if layer.bias is None else {"bias": layer.bias})
    layer.algorithm, layer.weight = layer_by, _laid_out(problem, "w", layer.weight)
    outputs = layer(_laid_out(problem, "x", x))[0]
    parts = conv2d(
        _laid_out(problem, "x", x), _laid_out(grouped, "w", single), **_geometry(problem), groups=problem.c,
        algorithm=parts_by, device=device,
    )  # fmt: skip
    bias = np.zeros(problem.k, problem.dtype) if layer.bias is None else layer.bias
    summed = _sum_over_channels(problem, parts) + bias.astype(np.float64).reshape(-1, 1, 1)
    bound = _bound(layer_by, problem, given)[0]
    bound += _sum_over_channels(problem, _bound(parts_by, grouped, {"x": x, "w": single}))
    difference = np.abs(summed - outputs.astype(np.float64))
    return Maps(
        problem=problem, grouped=grouped, layer_algorithm=layer_by.name, parts_algorithm=parts_by.name,
        refusal=refusal, picture=picture, channels=x[0], bias=bias, outputs=outputs, parts=_named(problem, parts),
        mean_error=float(difference.mean()), largest_error=float(difference.max()),
        comparison=compare(actual=summed, expected=outputs.astype(np.float64), bound=bound),
    )  # fmt: skip


def _geometry(problem: ConvProblem) -> dict[str, Any]:
    return {name: getattr(problem, name) for name in ("stride", "padding", "dilation", "padding_mode")}


def _by_group(problem: ConvProblem, by_channel: operands.Values) -> operands.Values:
    """Split the first axis: [output channel, …] → [group, output channel within the group, …]."""
    return by_channel.reshape(problem.groups, -1, *by_channel.shape[1:])


def _named(problem: ConvProblem, parts: operands.Values) -> dict[tuple[int, int], operands.Values]:
    """The parts by channel and filter, [c, k] → (P, Q), from the grouped convolution's output."""
    filters = problem.k // problem.groups
    parts = parts.reshape(problem.c, filters, problem.p, problem.q)
    # the first of the filters that see a channel
    first = {c: c // (problem.c // problem.groups) * filters for c in range(problem.c)}
    return {(c, first[c] + k): parts[c, k] for c, k in np.ndindex(problem.c, filters)}


def _sum_over_channels(problem: ConvProblem, parts: operands.Values) -> Float64:
    """The parts summed over channels, (K, P, Q). `parts` is the grouped convolution's output, or bounds of it."""
    summed = np.zeros((problem.k, problem.p, problem.q))
    for (_, k), part in _named(problem, parts).items():
        summed[k] += part
    return summed


def _bound(algorithm: Algorithm, problem: ConvProblem, tensors: dict[str, Any]) -> Float64:
    """How far y may be from the exact result.

    The roundings are not taken as independent: in the even regions of a picture they all go in one direction.
    """
    expected = compute(problem, "forward", tensors)
    return algorithm.error_bounds(problem, "forward", tensors, expected=expected, independent=False)["y"]


def _laid_out(problem: ConvProblem, name: operands.Name, host: operands.Values) -> operands.Values:
    """The same values and axes, laid out in memory as the problem's layouts say."""
    there = np.ascontiguousarray(operands.to_memory(problem, name, host))
    return there.transpose(operands.from_memory(problem, name))
