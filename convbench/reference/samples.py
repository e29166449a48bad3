"""Computes chosen elements of the outputs in float64: one dot product each, straight from the equation.

    forward           y[n,k,p,q]   = Σ_{c,r,s} w[k,c,r,s] · x[n, g·C/G + c, i(p,r), j(q,s)] + bias[k]
    backward_data     dx[n,c,h,w]  = Σ_k Σ_{p,r: i(p,r) = h} Σ_{q,s: j(q,s) = w} dy[n,k,p,q] · w[k,c,r,s]
    backward_weights  dw[k,c,r,s]  = Σ_{n,p,q} dy[n,k,p,q] · x[n, g·C/G + c, i(p,r), j(q,s)],   dbias[k] = Σ dy[:,k]

i(p,r) is the row of the input that the padding puts at p·u − top + r·d_h, and j alike. A zero of the padding has none,
and adds nothing. The cost is that of the sampled elements alone, whatever the size of the problem.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from convbench.problem import FOLD, ConvProblem, Direction, operands
from convbench.reference.definition import Float64

Places = tuple[npt.NDArray[np.intp], ...]  # the indices of the samples along each axis of the equation
Indices = npt.NDArray[np.intp]

SAMPLES = 96  # of the main output
BORDERS = 8, 16, 32, 64, 128  # tiles whose borders are sampled more often than other places


def choose(problem: ConvProblem, direction: Direction, seed: int) -> dict[operands.Name, Places]:
    """The places of each output that are compared: its corners, places at borders of tiles, and random ones.

    They depend on the problem, the direction and the seed only.
    """
    rng = np.random.default_rng([seed, *f"samples {direction} {problem}".encode()])
    return {name: _places(operands.shape(problem, name), rng) for name in operands.outputs(problem, direction)}


def _places(shape: tuple[int, ...], rng: np.random.Generator) -> Places:
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in shape], indexing="ij")).reshape(len(shape), -1)
    count = SAMPLES - corners.shape[1]
    drawn = np.stack([rng.integers(0, size, count) for size in shape])
    at_border = np.stack([_near_borders(size, rng, count) for size in shape])
    # a third at random, and in the others each axis by itself at a border or anywhere
    is_at_border = (rng.random((len(shape), count)) < 0.5) & (np.arange(count) % 3 > 0)
    found = np.unique(np.concatenate([corners, np.where(is_at_border, at_border, drawn)], axis=1), axis=1)
    return tuple(found.astype(np.intp))


def _near_borders(size: int, rng: np.random.Generator, count: int) -> Indices:
    """Places beside a multiple of a tile, or at an end of the axis."""
    tile = rng.choice(BORDERS, count)
    places = rng.integers(0, size // tile + 2) * tile + rng.integers(-1, 2, count)
    ends = rng.choice((0, size - 1), count)
    found: Indices = np.where((places < 0) | (places >= size), ends, places)
    return found


def values_at(
    problem: ConvProblem, direction: Direction, given: Mapping[str, npt.ArrayLike], name: str, places: Places
) -> Float64:
    """The elements of one output at some places, from all inputs of the direction."""
    values = {each: np.asarray(value) for each, value in given.items()}
    if name == "dbias":
        return np.array([values["dy"][:, k].sum(dtype=np.float64) for k in places[0]])
    of_one = {"forward": _y, "backward_data": _dx, "backward_weights": _dw}[direction]
    rows, columns = _read(problem, 0), _read(problem, 1)
    samples = zip(*(axis.tolist() for axis in places), strict=True)
    return np.array([of_one(problem, values, rows, columns, *place) for place in samples], np.float64)


def _read(problem: ConvProblem, axis: int) -> Indices:
    """The input's index that each output reads for each tap, (outputs, taps), along an axis; −1 is a zero."""
    outputs, taps = ((problem.p, problem.r), (problem.q, problem.s))[axis]
    size, before = (problem.h, problem.w)[axis], problem.padding[axis][0]
    stride, dilation, fold = problem.stride[axis], problem.dilation[axis], FOLD[problem.padding_mode]
    # a fold is a function of one place, so each place is asked once
    last = (outputs - 1) * stride + (taps - 1) * dilation
    folded = np.array([-1 if (at := fold(place - before, size)) is None else at for place in range(last + 1)], np.intp)
    found: Indices = folded[np.arange(outputs)[:, None] * stride + np.arange(taps) * dilation]
    return found


def _y(
    problem: ConvProblem, given: Mapping[str, npt.NDArray[np.floating]], rows: Indices, columns: Indices,
    n: int, k: int, p: int, q: int,
) -> float:  # fmt: skip
    r, s = np.flatnonzero(rows[p] >= 0), np.flatnonzero(columns[q] >= 0)
    window = _channels(problem, given["x"][n], k)[:, rows[p, r]][:, :, columns[q, s]]
    total = _dot(window, given["w"][k][:, r][:, :, s])
    return total + float(given["bias"][k]) if "bias" in given else total


def _dx(
    problem: ConvProblem, given: Mapping[str, npt.NDArray[np.floating]], rows: Indices, columns: Indices,
    n: int, c: int, h: int, w: int,
) -> float:  # fmt: skip
    per_group, filters = problem.c // problem.groups, problem.k // problem.groups
    first = c // per_group * filters
    (p, r), (q, s) = np.nonzero(rows == h), np.nonzero(columns == w)
    gradient = given["dy"][n, first : first + filters][:, p][:, :, q]
    return _dot(gradient, given["w"][first : first + filters, c % per_group][:, r][:, :, s])


def _dw(
    problem: ConvProblem, given: Mapping[str, npt.NDArray[np.floating]], rows: Indices, columns: Indices,
    k: int, c: int, r: int, s: int,
) -> float:  # fmt: skip
    p, q = np.flatnonzero(rows[:, r] >= 0), np.flatnonzero(columns[:, s] >= 0)
    channel = k // (problem.k // problem.groups) * (problem.c // problem.groups) + c
    read = given["x"][:, channel][:, rows[p, r]][:, :, columns[q, s]]
    return _dot(given["dy"][:, k][:, p][:, :, q], read)


def _channels(problem: ConvProblem, image: npt.NDArray[np.floating], k: int) -> npt.NDArray[np.floating]:
    """The channels of an image that filter k reads."""
    per_group = problem.c // problem.groups
    first = k // (problem.k // problem.groups) * per_group
    return image[first : first + per_group]


def _dot(one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> float:
    return float(np.dot(one.astype(np.float64).reshape(-1), other.astype(np.float64).reshape(-1)))
