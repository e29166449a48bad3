"""Convolution and its gradients as functions of arrays, by any algorithm.

    y[n,k,p,q] = bias[k] + Σ_{c,r,s} x[n, g·C/G + c, p·u − top + r·d_h, q·v − left + s·d_w] · weight[k,c,r,s]

    dx = ∂L/∂x,  dw = ∂L/∂weight,  dbias = ∂L/∂bias   where dy = ∂L/∂y

The notation is that of `convbench.problem`. The three lines are the directions `forward`, `backward_data` (dx) and
`backward_weights` (dw, dbias) of an algorithm's plans.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from convbench.devices import Array, Device
from convbench.errors import ConvbenchError, RefusedError, TensorError
from convbench.layer import automatic, exchange
from convbench.layer.automatic import Choice
from convbench.layer.form import form_and_problem
from convbench.problem import FILTER_LAYOUTS, LAYOUTS, ConvProblem, Direction, operands
from convbench.tuning import in_use

Gradient = Literal["dx", "dw", "dbias"]
GRADIENTS: tuple[Gradient, ...] = get_args(Gradient)

# the operands of a problem that a call's arrays are
_OPERANDS: dict[str, operands.Name] = {"x": "x", "weight": "w", "bias": "bias", "dy": "dy"}


class Gradients(NamedTuple):
    """The gradients of the sum over y · dy, in the shapes of x, weight and bias; None for each that was not wanted."""

    dx: Any
    dw: Any
    dbias: Any


def conv2d(
    x: Any,
    weight: Any,
    bias: Any | None = None,
    *,
    stride: int | tuple[int, ...] = 1,
    padding: Any = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    algorithm: Choice = "auto",
    device: Device | str | None = None,
) -> Any:
    """The convolution of x with weight, plus bias: an array (N, K, P, Q) of the dtype and the library of x.

    If PyTorch tracks gradients of one of the tensors, it also tracks those of the result.

    Parameters
    ----------
    x : (N, C, H, W), of float32, float64, float16 or bfloat16: a NumPy array, or an array of any library that exports
        DLPack or `__cuda_array_interface__`. An array on a GPU is not copied to the host.
    weight : (K, C/groups, R, S), of the same dtype, in the same memory
    bias : (K), of the same dtype, in the same memory, or None
    stride, padding, dilation, groups, padding_mode : as `ConvProblem` takes them
    algorithm : a name, an `Algorithm`, or "auto": the algorithm that `convbench.layer.choose` picks by its rule. Or a
        mapping from directions to these; a direction that it leaves out is "auto".
    device : its name, or a `Device`. None: the GPU if x is on it, or if there is one; else the emulator.

    If `convbench tune` found a config for the problem, the algorithm runs with it: see `convbench.tuning.in_use`.

    x (N, C, L) and weight (K, C/groups, S) are the one-dimensional case, with y (N, K, Q). There, stride and dilation
    are one number each, and padding is one number, ((left, right),) or a word.

    x may be one image without a batch, (C, H, W) or (C, L), and then y has no batch either. N may be 0: y is empty, the
    gradients by weight and bias are 0, and no kernel runs.

    Raises
    ------
    TensorError, where arrays do not fit each other; the message says what to do
    ProblemError, for a convolution that cannot exist
    RefusedError, where the algorithm or the device refuses the problem
    UnknownNameError, DeviceError, OutOfDeviceMemoryError
    """
    geometry = {
        "stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "padding_mode": padding_mode,
    }  # fmt: skip
    given = {"x": x, "weight": weight} | ({} if bias is None else {"bias": bias})
    if any(map(exchange.tracks_gradients, given.values())):
        return _differentiable(x, weight, bias, {**geometry, "algorithm": algorithm, "device": device})
    call = _Call(given, device, geometry)
    return call.results("forward", algorithm)["y"]


def conv2d_backward(
    dy: Any,
    x: Any,
    weight: Any,
    *,
    stride: int | tuple[int, ...] = 1,
    padding: Any = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    wanted: Collection[Gradient] = GRADIENTS,
    algorithm: Choice = "auto",
    device: Device | str | None = None,
) -> Gradients:
    """The gradients of `conv2d`, (dx, dw, dbias), from the gradient dy of its result.

    Parameters
    ----------
    dy : in the shape of y, of the dtype of x, in the same memory
    wanted : which of "dx", "dw" and "dbias" to compute; the others are None

    The other parameters are those of `conv2d`, and so are the errors. An algorithm that is named must have the
    direction `backward_data` if dx is wanted, and `backward_weights` if dw or dbias is wanted.
    """
    if unknown := set(wanted) - set(GRADIENTS):
        raise ConvbenchError(f"wanted has {', '.join(map(repr, unknown))}; there are {', '.join(GRADIENTS)}")
    geometry = {
        "stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "padding_mode": padding_mode,
    }  # fmt: skip
    call = _Call({"x": x, "weight": weight, "dy": dy}, device, geometry, bias="dbias" in wanted)
    found: dict[operands.Name, Any] = {}
    if "dx" in wanted:
        found |= call.results("backward_data", algorithm)
    if "dw" in wanted or "dbias" in wanted:
        found |= call.results("backward_weights", algorithm)
    return Gradients(*(found.get(name) if name in wanted else None for name in GRADIENTS))


def _differentiable(x: Any, weight: Any, bias: Any | None, options: Mapping[str, Any]) -> Any:
    """The result of `conv2d` as a tensor that PyTorch can differentiate."""
    from convbench.layer.torch_autograd import differentiable  # it imports PyTorch, an optional package

    def gradients(dy: Any, x: Any, weight: Any, wanted: Sequence[bool]) -> Gradients:
        names = [name for name, needed in zip(GRADIENTS, wanted, strict=True) if needed]
        return conv2d_backward(dy, x, weight, wanted=names, **options)

    return differentiable(partial(conv2d, **options), gradients, x, weight, bias)


class _Call:
    """The arrays of one call, the place where they are, and the problem that their shapes define."""

    def __init__(
        self, given: Mapping[str, Any], device: Device | str | None, geometry: Mapping[str, Any], *, bias: bool = False
    ) -> None:
        self.place, self.like = exchange.place_of(given, device), given["x"]
        views = exchange.views_of(self.place, given)
        x, weight = views["x"], views["weight"]
        bias_shape = tuple(views["bias"].shape) if "bias" in views else tuple(weight.shape[:1]) if bias else None
        self.form, problem = form_and_problem(
            tuple(x.shape), tuple(weight.shape), bias_shape, dtype=x.dtype.name, **geometry
        )
        y_shape = self.form.shape(problem, "dy")
        if "dy" in views and tuple(views["dy"].shape) != y_shape:
            raise TensorError(f"expected dy {y_shape}, as y has it, got {tuple(views['dy'].shape)}: {problem}")
        self.views = {name: self._lifted(name, view) for name, view in views.items()}
        self.problem = problem if self.form.n == 0 else self._as_memory_has_it(problem)

    def results(self, direction: Direction, choice: Choice) -> dict[operands.Name, Any]:
        """Compute a direction. Give its outputs by name, as arrays of the library of x."""
        problem, device = self.problem, self.place.device
        if reason := device.refuses(problem):
            raise RefusedError(f"device {device.name} refuses {problem}: {reason}")
        algorithm = automatic.resolved(choice, problem, direction, device)
        if self.form.n == 0:
            if reason := algorithm.refuses(problem, direction):
                raise RefusedError(f"{algorithm.name} refuses {direction} of {problem}: {reason}")
            return {name: self._zeros(name) for name in operands.outputs(problem, direction)}
        inputs = {name: self._entered(name) for name in operands.inputs(problem, direction)}
        outputs = {
            name: device.empty(operands.memory_shape(problem, name), problem.dtype)
            for name in operands.outputs(problem, direction)
        }
        loaded = [inputs[name] for name in operands.LOADED[direction] if name in inputs]
        arrays = [*(inputs[name] for name in operands.READ[direction]), *outputs.values()]

        def compute(config: Any) -> None:
            plan = algorithm.plan(problem, device, direction=direction, config=config)
            plan.load(*loaded)
            plan.run(*arrays)

        in_use.with_tuned_config(compute, algorithm, problem, direction, device)
        return {name: self._returned(name, array) for name, array in outputs.items()}

    def _entered(self, name: operands.Name) -> Array:
        view = self.views["weight" if name == "w" else name]
        return self.place.enter(self.place.transposed(view, operands.order(self.problem, name)))

    def _returned(self, name: operands.Name, array: Array) -> Any:
        view = self.place.transposed(self.place.leave(array), operands.from_memory(self.problem, name))
        shape, strides = self.form.lowered(name, view.shape), self.form.lowered(name, view.strides)
        return self.place.returned(self.place.restrided(view, shape, strides), self.like)

    def _zeros(self, name: operands.Name) -> Any:
        zeros = self.place.device.upload(np.zeros(self.form.shape(self.problem, name), self.problem.dtype))
        return self.place.returned(self.place.leave(zeros), self.like)

    def _lifted(self, name: str, view: Array) -> Array:
        """An array with all axes of the problem's operand, in the same memory."""
        shape, strides = self.form.lifted(_OPERANDS[name], tuple(view.shape), tuple(view.strides))
        return self.place.restrided(view, shape, strides)

    def _as_memory_has_it(self, problem: ConvProblem) -> ConvProblem:
        """The problem with the layouts that x and the weight have in memory; NCHW or KCRS if theirs is not known."""
        layouts = [one for one in LAYOUTS if self._lies(replace(problem, layout=one), "x")]
        filters = [one for one in FILTER_LAYOUTS if self._lies(replace(problem, filter_layout=one), "w")]
        return replace(problem, layout=[*layouts, "NCHW"][0], filter_layout=[*filters, "KCRS"][0])

    def _lies(self, problem: ConvProblem, name: operands.Name) -> bool:
        view, axes = self.views["weight" if name == "w" else name], operands.order(problem, name)
        shape, strides = (tuple(sizes[axis] for axis in axes) for sizes in (view.shape, view.strides))
        return exchange.is_contiguous(shape, strides, view.dtype.itemsize)
