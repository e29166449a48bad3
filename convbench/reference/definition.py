"""Computes the reference: convolution and its gradients in float64, straight from the equation of `convbench.problem`.

There is one matrix product for each filter tap (r, s). X(r,s) holds the elements of the padded input that the tap
reads, X(r,s)[p, q] = padded[p·u + r·d_h, q·v + s·d_w]:

    forward           y             = Σ_{r,s} w[:, :, r, s] · X(r,s) + bias
    backward_data     d padded at X(r,s) += w[:, :, r, s]ᵀ · dy;  dx is d padded, folded back as the padding was made
    backward_weights  dw[:, :, r, s] = Σ_n dy · X(r,s)ᵀ,    dbias = Σ_{n,p,q} dy
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from convbench.problem import FOLD, ConvProblem, Direction, operands

Float64 = npt.NDArray[np.float64]


def compute(problem: ConvProblem, direction: Direction, given: Mapping[str, npt.ArrayLike]) -> dict[str, Float64]:
    """All outputs of a direction by name, from all its inputs by name.

    Raises
    ------
    ValueError
        an input is missing, there is one too many, or one does not have the problem's shape.
    """
    values = {name: np.asarray(value, np.float64) for name, value in given.items() if value is not None}
    wanted = {name: operands.shape(problem, name) for name in operands.inputs(problem, direction)}
    if (shapes := {name: value.shape for name, value in values.items()}) != wanted:
        raise ValueError(f"{direction} of {problem} takes {wanted}, not {shapes}")
    if direction == "forward":
        return {"y": _forward(problem, values["x"], values["w"], values.get("bias"))}
    if direction == "backward_data":
        return {"dx": fold_back(problem, _backward_padded(problem, values["dy"], values["w"]))}
    dw = _backward_weights(problem, values["x"], values["dy"])
    return {"dw": dw} | ({"dbias": values["dy"].sum((0, 2, 3))} if problem.bias else {})


def convolve(problem: ConvProblem, x: npt.ArrayLike, w: npt.ArrayLike, bias: npt.ArrayLike | None = None) -> Float64:
    """Y (N, K, P, Q) in float64 from x (N, C, H, W), w (K, C/G, R, S) and bias (K), of any real dtype.

    Raises ValueError if a shape is not the problem's, or if the bias is given or missing contrary to `problem.bias`.
    """
    given: dict[str, Any] = {"x": x, "w": w, "bias": bias}
    return compute(problem, "forward", given)["y"]


def pad(problem: ConvProblem, x: npt.ArrayLike) -> Float64:
    """X with its padding written out, (N, C, H + top + bottom, W + left + right).

    It is the input of the problem that `ConvProblem.explicitly_padded` gives.
    """
    rows, columns = _padded_axis(problem, 0), _padded_axis(problem, 1)
    # one more row and column, of zeros, which zero padding reads
    framed = np.pad(np.asarray(x, np.float64), ((0, 0), (0, 0), (0, 1), (0, 1)))
    return framed[:, :, rows][:, :, :, columns]


def fold_back(problem: ConvProblem, padded: Float64) -> Float64:
    """The adjoint of `pad`, (N, C, H, W): each element is the sum over all places that `pad` copies it to."""
    # one more row and column, which collect the gradient of zero padding and are dropped
    rows = np.zeros((problem.h + 1, problem.n, problem.c, padded.shape[3]))
    np.add.at(rows, _padded_axis(problem, 0), np.moveaxis(padded, 2, 0))
    columns = np.zeros((problem.w + 1, problem.h, problem.n, problem.c))
    np.add.at(columns, _padded_axis(problem, 1), np.moveaxis(rows[: problem.h], 3, 0))
    return columns[: problem.w].transpose(2, 3, 1, 0)


def copies(problem: ConvProblem) -> int:
    """The largest number of places in the padded input that hold the same element of the input."""
    most = 1
    for axis, size in enumerate((problem.h, problem.w)):
        inside = _padded_axis(problem, axis)
        most *= int(np.bincount(inside[inside < size]).max())
    return most


def _forward(problem: ConvProblem, x: Float64, w: Float64, bias: Float64 | None) -> Float64:
    padded, filters = pad(problem, x), w.reshape(problem.groups, -1, *w.shape[1:])
    y = np.zeros((problem.n, problem.groups, problem.k // problem.groups, problem.p * problem.q))
    for r in range(problem.r):
        for s in range(problem.s):
            y += filters[:, :, :, r, s] @ _read(problem, padded, r, s)
    y = y.reshape(problem.y_shape)
    return y if bias is None else y + bias.reshape(1, -1, 1, 1)


def _backward_padded(problem: ConvProblem, dy: Float64, w: Float64) -> Float64:
    padded, filters = np.zeros(problem.padded_shape), w.reshape(problem.groups, -1, *w.shape[1:])
    gradient = dy.reshape(problem.n, problem.groups, -1, problem.p * problem.q)
    for r in range(problem.r):
        for s in range(problem.s):
            part = filters[:, :, :, r, s].swapaxes(1, 2) @ gradient
            padded[_window(problem, r, s)] += part.reshape(problem.n, problem.c, problem.p, problem.q)
    return padded


def _backward_weights(problem: ConvProblem, x: Float64, dy: Float64) -> Float64:
    padded = pad(problem, x)
    gradient = dy.reshape(problem.n, problem.groups, -1, problem.p * problem.q)
    dw = np.empty(problem.w_shape)
    for r in range(problem.r):
        for s in range(problem.s):
            part = gradient @ _read(problem, padded, r, s).swapaxes(2, 3)
            dw[:, :, r, s] = part.sum(0).reshape(problem.k, -1)
    return dw


def _window(problem: ConvProblem, r: int, s: int) -> tuple[slice, ...]:
    """The index of all elements of the padded input that the tap (r, s) reads, for all outputs; none occurs twice."""
    (u, v), (d_h, d_w) = problem.stride, problem.dilation
    rows = slice(r * d_h, r * d_h + (problem.p - 1) * u + 1, u)
    columns = slice(s * d_w, s * d_w + (problem.q - 1) * v + 1, v)
    return slice(None), slice(None), rows, columns


def _read(problem: ConvProblem, padded: Float64, r: int, s: int) -> Float64:
    """The elements that the tap (r, s) reads, for all outputs, (N, G, C/G, P·Q)."""
    return padded[_window(problem, r, s)].reshape(problem.n, problem.groups, -1, problem.p * problem.q)


def _padded_axis(problem: ConvProblem, axis: int) -> npt.NDArray[np.intp]:
    """Maps each place in the padded input to its index in the input, along one axis; the size stands for a zero."""
    size, (before, after) = (problem.h, problem.w)[axis], problem.padding[axis]
    fold = FOLD[problem.padding_mode]
    found = (fold(place - before, size) for place in range(size + before + after))
    return np.array([size if index is None else index for index in found], dtype=np.intp)
