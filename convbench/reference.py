"""The reference: convolution in float64, straight from the equation in `convbench.problem`.

One matrix product per filter tap (r, s): Y[k, (p, q)] += w[k, :, r, s] · X[:, (p·u − top + r·d_h, q·v − left + s·d_w)].
The padding is in the index, not in a copy of the input, so that all four modes are one code path.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from convbench.problem import FOLD, ConvProblem

Float64 = npt.NDArray[np.float64]


def convolve(problem: ConvProblem, x: npt.ArrayLike, w: npt.ArrayLike, bias: npt.ArrayLike | None = None) -> Float64:
    """Y (N, K, P, Q) in float64 from x (N, C, H, W), w (K, C/G, R, S) and bias (K), of any real dtype.

    Raises
    ------
    ValueError
        when a shape is not the problem's, or a bias is given or missing against `problem.bias`.
    """
    x64, w64 = np.asarray(x, np.float64), np.asarray(w, np.float64)
    if x64.shape != problem.x_shape or w64.shape != problem.w_shape:
        raise ValueError(
            f"{problem} has x {problem.x_shape} and w {problem.w_shape}, not x {x64.shape} and w {w64.shape}"
        )
    if (bias is not None) != problem.bias:
        raise ValueError(f"{problem} has bias {problem.bias}, and the bias given is {bias!r}")
    n, groups = problem.n, problem.groups
    rows, columns = _taps(problem, 0), _taps(problem, 1)
    framed = _framed(x64)
    filters = w64.reshape(groups, problem.k // groups, *w64.shape[1:])
    y = np.zeros((n, groups, problem.k // groups, problem.p * problem.q))
    for r in range(problem.r):
        for s in range(problem.s):
            read = framed[:, :, rows[:, r]][:, :, :, columns[:, s]]
            y += filters[:, :, :, r, s] @ read.reshape(n, groups, problem.c // groups, -1)
    y = y.reshape(problem.y_shape)
    return y if bias is None else y + np.asarray(bias, np.float64).reshape(1, -1, 1, 1)


def pad(problem: ConvProblem, x: npt.ArrayLike) -> Float64:
    """X with its padding written out, (N, C, H + top + bottom, W + left + right): the input of `explicitly_padded`."""
    every_pixel = replace(problem, r=1, s=1, stride=(1, 1), dilation=(1, 1))
    rows, columns = _taps(every_pixel, 0)[:, 0], _taps(every_pixel, 1)[:, 0]
    return _framed(np.asarray(x, np.float64))[:, :, rows][:, :, :, columns]


def _framed(x: Float64) -> Float64:
    """X with one more row and column, of zeros: where the taps outside the image read."""
    return np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 1)))


def _taps(problem: ConvProblem, axis: int) -> npt.NDArray[np.intp]:
    """[output, tap] → the input index that is read along one axis; the size itself stands for a zero."""
    size, outputs, taps = ((problem.h, problem.p, problem.r), (problem.w, problem.q, problem.s))[axis]
    stride, before, dilation = problem.stride[axis], problem.padding[axis][0], problem.dilation[axis]
    fold = FOLD[problem.padding_mode]
    found = [[fold(o * stride - before + tap * dilation, size) for tap in range(taps)] for o in range(outputs)]
    return np.array([[size if index is None else index for index in row] for row in found], dtype=np.intp)
