"""The convolution layer: it draws weights, keeps them, and computes the gradients by them.

    y[n,k,p,q] = bias[k] + Σ_{c,r,s} x[n, g·C/G + c, p·u − top + r·d_h, q·v − left + s·d_w] · weight[k,c,r,s]

Names and defaults are those of torch.nn.Conv2d. `backward` does what it does in other libraries: it takes the gradient
by the output, stores the gradients by the weight and the bias, and returns the gradient by the input.
"""

from math import prod
from typing import Any

import numpy as np

from convbench.devices import Device
from convbench.errors import ConvbenchError, TensorError
from convbench.layer.automatic import Choice
from convbench.layer.form import Form, form_and_problem
from convbench.layer.functional import GRADIENTS, conv2d, conv2d_backward
from convbench.layer.initializers import Initializer, draw
from convbench.problem import DTYPES, ConvProblem, Dtype, problem_of, shapes

LARGE = 2**20  # height and width of an input into which any filter fits: `_check` tries the layer on it


class Conv2d:
    """A convolution with its own weight and bias.

    Parameters
    ----------
    in_channels, out_channels : C and K
    kernel_size : one int for R = S, or (R, S). With (S,) the layer is one-dimensional: its weight is (K, C/groups, S)
        and its input (N, C, L).
    stride, padding, dilation, groups, padding_mode : as `convbench.conv2d` takes them
    bias : whether the layer has a bias
    initializer : a scheme of `convbench.layer.initializers`, or a pair of scheme and fan: ("xavier_uniform", "average")
    wscale : the variance of the scheme gaussian, 1 unless given
    dtype : the dtype of weight, bias and input
    algorithm : a name, an `Algorithm`, "auto", or a mapping from directions to these, as `convbench.conv2d` takes it
    seed : seed of the initial values, or a generator that several layers share; None: other values in every run
    device : the device that computes, as `convbench.conv2d` takes it

    Attributes
    ----------
    weight : (K, C/groups, R, S): a NumPy array at first; it can be replaced by an array of any library
    bias : (K), likewise, or None
    weight_gradient, bias_gradient : the gradients of the last `backward`; None before

    Raises
    ------
    ConvbenchError, where the layer cannot exist: an unknown initializer or dtype, or groups that do not divide channels
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        initializer: Initializer = "torch",
        wscale: float = 1.0,
        dtype: Dtype = "float32",
        algorithm: Choice = "auto",
        seed: int | np.random.Generator | None = None,
        device: Device | str | None = None,
    ) -> None:
        self.in_channels, self.out_channels = (
            shapes.whole("in_channels", in_channels),
            shapes.whole("out_channels", out_channels),
        )
        self.groups, self.dtype = shapes.whole("groups", groups), dtype
        taps = tuple(kernel_size) if isinstance(kernel_size, tuple | list) else (kernel_size, kernel_size)
        self.kernel_size = tuple(shapes.whole("kernel_size", size) for size in taps)
        self.stride, self.padding, self.dilation, self.padding_mode = stride, padding, dilation, padding_mode
        self.initializer, self.wscale, self.algorithm, self.device = initializer, wscale, algorithm, device
        self._check()
        self._weight, drawn = draw(
            np.random.default_rng(seed), initializer, self.weight_shape, groups=self.groups, wscale=wscale, dtype=dtype
        )
        self._bias: Any = drawn if bias else None
        self._input: Any = None
        self.weight_gradient: Any = None
        self.bias_gradient: Any = None

    def _check(self) -> None:
        """Raise ConvbenchError if the layer could not compute any input."""
        if self.dtype not in DTYPES:
            raise ConvbenchError(f"dtype is {self.dtype!r}; it must be one of {', '.join(DTYPES)}")
        if len(self.kernel_size) not in (1, 2):
            raise ConvbenchError(f"kernel_size is {self.kernel_size}; it must be one number, (R, S), or (S,)")
        for name, channels in (("in_channels", self.in_channels), ("out_channels", self.out_channels)):
            if channels % self.groups:
                raise ConvbenchError(f"groups is {self.groups}; it must divide {name} = {channels}")
        spatial = (LARGE,) * len(self.kernel_size)
        problem_of((1, self.in_channels, *spatial), self.weight_shape, **self._geometry, dtype=self.dtype)

    # ---- parameters

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """(K, C/groups, R, S), or (K, C/groups, S)."""
        return self.out_channels, self.in_channels // self.groups, *self.kernel_size

    @property
    def weight(self) -> Any:
        """The filters; an array that replaces them must have their shape."""
        return self._weight

    @weight.setter
    def weight(self, value: Any) -> None:
        shapes.check_weight(_shape("weight", value), self.weight_shape)
        self._weight = value

    @property
    def bias(self) -> Any:
        """The number added to each output channel, (K), or None; an array that replaces it must have its shape."""
        return self._bias

    @bias.setter
    def bias(self, value: Any) -> None:
        if value is not None and _shape("bias", value) != (self.out_channels,):
            raise TensorError(f"expected bias ({self.out_channels},), got {_shape('bias', value)}")
        self._bias = value

    def parameters(self) -> list[Any]:
        """The weight, and the bias if there is one. They are no copies: changing them in place changes the layer."""
        return [self.weight] if self.bias is None else [self.weight, self.bias]

    @property
    def parameter_count(self) -> int:
        """The number of elements of all `parameters`: K · C/groups · R · S, and K more with a bias."""
        return sum(prod(parameter.shape) for parameter in self.parameters())

    # ---- work

    def problem(self, input_shape: tuple[int, ...]) -> ConvProblem:
        """The problem that the layer computes for an input of a shape.

        The shape may lack the batch. The problem of an empty batch is that of one image, because a problem has one.
        Raises TensorError, whose message says what to do, and ProblemError.
        """
        return self._form_and_problem(input_shape)[1]

    def _form_and_problem(self, input_shape: tuple[int, ...]) -> tuple[Form, ConvProblem]:
        shape = tuple(input_shape)
        if not shapes.lacks_batch(shape, self.weight_shape, self.groups):
            shapes.check_input(shape, self.in_channels, len(self.kernel_size))
        bias = None if self.bias is None else (self.out_channels,)
        return form_and_problem(shape, self.weight_shape, bias, **self._geometry, dtype=self.dtype)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """(N, K, P, Q) for an input (N, C, H, W), or (N, K, Q) for (N, C, L); without N for an input without a batch.

        Raises what `problem` raises.
        """
        form, problem = self._form_and_problem(input_shape)
        return form.shape(problem, "y")

    def forward(self, x: Any) -> Any:
        """The output for an input. The input is kept, without a copy, for `backward`.

        Raises what `convbench.conv2d` raises.
        """
        self.problem(_shape("input", x))
        y = conv2d(x, self.weight, self.bias, **self._geometry, algorithm=self.algorithm, device=self.device)
        self._input = x
        return y

    __call__ = forward

    def backward(self, dy: Any) -> Any:
        """The gradient by the last input, from the gradient by its output.

        It also sets `weight_gradient` and `bias_gradient`. Raises what `convbench.conv2d_backward` raises, and
        ConvbenchError if `forward` was not called before.
        """
        if self._input is None:
            raise ConvbenchError(f"{self} has had no input yet: call forward before backward")
        dx, self.weight_gradient, self.bias_gradient = conv2d_backward(
            dy, self._input, self.weight, **self._geometry, algorithm=self.algorithm, device=self.device,
            wanted=("dx", "dw") if self.bias is None else GRADIENTS,
        )  # fmt: skip
        return dx

    @property
    def _geometry(self) -> dict[str, Any]:
        names = ("stride", "padding", "dilation", "groups", "padding_mode")
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        usual = {
            "stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True, "padding_mode": "zeros",
            "initializer": "torch", "wscale": 1.0, "dtype": "float32", "algorithm": "auto",
        }  # fmt: skip
        values = {name: getattr(self, name) for name in usual} | {"bias": self.bias is not None}
        told = "".join(f", {name}={value!r}" for name, value in values.items() if value != usual[name])
        return f"Conv2d({self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}{told})"


def _shape(name: str, array: Any) -> tuple[int, ...]:
    try:
        return tuple(map(int, array.shape))
    except AttributeError:
        raise TensorError(f"{name} is a {type(array).__name__}; it must be an array") from None
