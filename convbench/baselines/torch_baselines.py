"""The baselines by PyTorch: `cudnn` and `cudnn_tf32` on a GPU, `torch_cpu` on the CPU.

cuDNN is told to try its engines in the warm-up and to keep the fastest (`benchmark`). `cudnn` is strict: products of
float32 are computed in float32. `cudnn_tf32` rounds both factors to 11 bits and multiplies them on tensor cores; this
is a precision of its own, and records name it. float16 and bfloat16 are multiplied as they are, on tensor cores, with
sums in float32.

In the forward direction, cuDNN writes into the array of the output. Gradients come as new tensors of PyTorch and are
copied; the phase `unpack` is the time of this copy.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from convbench.algorithm import Algorithm, Family, Plan
from convbench.baselines.library import HostPlan, count_in_tf32, model_of_unknown
from convbench.devices import Array, Device, Host
from convbench.errors import RefusedError
from convbench.problem import DTYPES, ITEM_BYTES, ConvProblem, Direction, Dtype
from convbench.reference import ErrorModel


class _TorchPlan(Plan):
    """A plan by PyTorch: padding, and the call of ATen for the gradients."""

    def __init__(self, problem: ConvProblem, direction: Direction, device: Device, config: Any = None) -> None:
        super().__init__(problem, direction, device, config)
        try:  # PyTorch is an optional package
            import torch
        except ImportError as error:
            raise RefusedError(f'it needs PyTorch: pip install "convbench[torch]" ({error})') from error
        self.torch = torch
        (top, bottom), (left, right) = problem.padding
        self.is_lopsided = (top, left) != (bottom, right)
        self.padding = [0, 0] if self.is_lopsided else [top, left]

    def dense(self, x: Any) -> Any:
        """The input x. If its padding differs on two opposite sides, it is padded here: ATen only pads both alike."""
        if not self.is_lopsided:
            return x
        (top, bottom), (left, right) = self.problem.padding
        return self.torch.nn.functional.pad(x, (left, right, top, bottom))

    def gradient(self, dy: Any, x: Any, w: Any) -> Any:
        """The gradient dx or dw, whichever the direction computes.

        ATen takes x and w for both. For dx only the shape of x matters, and for dw only the shape of w.
        """
        problem, of_data = self.problem, self.direction == "backward_data"
        dense = self.dense(x)
        dx, dw, _ = self.torch.ops.aten.convolution_backward(
            dy, dense, w, None, list(problem.stride), self.padding, list(problem.dilation), False, [0, 0],
            problem.groups, [of_data, not of_data, False],
        )  # fmt: skip
        if not of_data:
            return dw
        if self.is_lopsided:
            (top, _), (left, _) = problem.padding
            dx = dx[:, :, top : top + problem.h, left : left + problem.w]
        return dx


class TorchCpuPlan(_TorchPlan, HostPlan):
    """All directions on the CPU, by ATen's convolution, which calls oneDNN where it can."""

    def compute(self, *read: Array) -> Host:
        from convbench.layer import torch_tensors  # it imports PyTorch, an optional package

        problem, torch = self.problem, self.torch
        tensors = [torch_tensors.of_numpy(np.asarray(array)) for array in read]
        if self.direction == "forward":
            w, bias = torch_tensors.of_numpy(np.asarray(self.weights)), torch_tensors.of_numpy(np.asarray(self.bias))
            y = torch.nn.functional.conv2d(
                self.dense(tensors[0]), w, bias, problem.stride, self.padding, problem.dilation, problem.groups
            )
            host: Host = torch_tensors.as_numpy(y)
        elif self.direction == "backward_data":
            w = torch_tensors.of_numpy(np.asarray(self.weights))
            host = torch_tensors.as_numpy(self.gradient(tensors[0], w.new_empty(problem.x_shape), w))
        else:
            x, dy = tensors
            host = torch_tensors.as_numpy(self.gradient(dy, x, x.new_empty(problem.w_shape)))
        return host


class CudnnPlan(_TorchPlan):
    """All directions on a GPU, by cuDNN through ATen, on the stream of the device's launches."""

    tf32: ClassVar[bool] = False

    def __init__(self, problem: ConvProblem, direction: Direction, device: Device, config: Any = None) -> None:
        if not device.is_gpu:
            raise RefusedError(f"cuDNN needs a GPU, and device {device.name} is none")
        super().__init__(problem, direction, device, config)
        if not self.torch.backends.cudnn.is_available():
            raise RefusedError(f"PyTorch {self.torch.__version__} has no cuDNN: it was built for the processor")

    def run(self, *arrays: Any, **_: Any) -> None:
        *read, target = (self._tensor(array) for array in arrays)
        results: list[Any] = []
        self.device.call("multiply", lambda: results.append(self._on_stream(self._compute, *read, target)))
        if results[0] is not target:
            self.device.call("unpack", lambda: self._on_stream(target.copy_, results[0]))

    def _compute(self, *tensors: Any) -> Any:
        """The output: the last of the tensors if the library can write into it, otherwise a new tensor."""
        problem, cudnn = self.problem, self.torch.backends.cudnn
        if self.direction == "forward":
            x, y = tensors
            if y.dtype != x.dtype:
                y = self.torch.empty_like(y, dtype=x.dtype)
            self.torch.ops.aten.cudnn_convolution.out(
                self.dense(x), self._tensor(self.weights), self.padding, list(problem.stride), list(problem.dilation),
                problem.groups, True, False, self.tf32, out=y,
            )  # fmt: skip
            if problem.bias:
                y += self._tensor(self.bias).view(1, -1, 1, 1)
            return y
        with cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=self.tf32):
            if self.direction == "backward_data":
                dy, dx = tensors
                w = self._tensor(self.weights)
                return self.gradient(dy, dx if dx.dtype == dy.dtype else dx.to(dy.dtype), w)
            x, dy, dw = tensors
            return self.gradient(dy, x, dw)

    def _tensor(self, array: Array) -> Any:
        from convbench.layer import torch_tensors  # it imports PyTorch, an optional package

        return torch_tensors.of_gpu(array, self.torch.device("cuda", self.torch.cuda.current_device()))

    def _on_stream(self, work: Any, *given: Any) -> Any:
        """Do some work on the legacy default stream, which the device's launches use too."""
        with self.torch.cuda.stream(self.torch.cuda.default_stream()):
            return work(*given)


class CudnnTf32Plan(CudnnPlan):
    """All directions by cuDNN, with float32 products in TF32."""

    tf32: ClassVar[bool] = True


class TorchCpu(Algorithm):
    """The baseline of PyTorch on the CPU."""

    name: ClassVar[str] = "torch_cpu"
    family: ClassVar[Family] = "baseline"
    plans: ClassVar[Mapping[Direction, type[Plan]]] = dict.fromkeys(
        ("forward", "backward_data", "backward_weights"), TorchCpuPlan
    )
    dtypes: ClassVar[tuple[Dtype, ...]] = DTYPES
    any_order: ClassVar[bool] = True
    error_model: ClassVar[ErrorModel] = model_of_unknown()

    def limits(self, problem: ConvProblem, direction: Direction) -> str | None:
        if direction == "backward_data" and ITEM_BYTES[problem.dtype] == 2:
            return f"dtype {problem.dtype}: on the processor, PyTorch sums the taps of dx in it instead of in float32"
        if direction == "backward_weights" and ITEM_BYTES[problem.dtype] == 2 and problem.n > 1:
            # in bfloat16 only without oneDNN, which decides by the processor
            return f"dtype {problem.dtype}: on the processor, PyTorch sums the images of dw in it instead of in float32"
        return None


class Cudnn(Algorithm):
    """The baseline of cuDNN, strict: products have the precision of the data."""

    name: ClassVar[str] = "cudnn"
    family: ClassVar[Family] = "baseline"
    plans: ClassVar[Mapping[Direction, type[Plan]]] = dict.fromkeys(
        ("forward", "backward_data", "backward_weights"), CudnnPlan
    )
    dtypes: ClassVar[tuple[Dtype, ...]] = DTYPES
    any_order: ClassVar[bool] = True
    error_model: ClassVar[ErrorModel] = model_of_unknown()


class CudnnTf32(Cudnn):
    """The baseline of cuDNN with float32 products in TF32."""

    name: ClassVar[str] = "cudnn_tf32"
    plans: ClassVar[Mapping[Direction, type[Plan]]] = dict.fromkeys(
        ("forward", "backward_data", "backward_weights"), CudnnTf32Plan
    )
    dtypes: ClassVar[tuple[Dtype, ...]] = ("float32",)
    error_model: ClassVar[ErrorModel] = model_of_unknown(count_in_tf32)

    def precision(self, problem: ConvProblem) -> str:
        return "tf32"
