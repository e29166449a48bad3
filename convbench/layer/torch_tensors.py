"""PyTorch's tensors: as NumPy arrays and back, without a copy, and in PyTorch's autograd.

NumPy and the CUDA array interface have no bfloat16 of their own: it crosses as 16-bit integers.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from convbench.devices.device import Array
from convbench.layer.functional import GRADIENTS, conv2d, conv2d_backward


def as_numpy(tensor: torch.Tensor) -> Array:
    """The memory of a tensor on the host."""
    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view("bfloat16")
    return tensor.numpy()


def of_numpy(view: Array) -> torch.Tensor:
    """A tensor in the memory of a NumPy array."""
    if view.dtype.name == "bfloat16":
        return torch.from_numpy(view.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(view)


def of_gpu(view: Array, device: torch.device) -> torch.Tensor:
    """A tensor in the memory of a Numba device array, on the device that it is on."""
    if view.dtype.name == "bfloat16":
        return torch.as_tensor(view.view(np.int16), device=device).view(torch.bfloat16)
    return torch.as_tensor(view, device=device)


def differentiable_conv2d(x: Any, weight: Any, bias: Any | None, options: Mapping[str, Any]) -> torch.Tensor:
    """`convbench.conv2d`, from whose result PyTorch finds the way back; NumPy's arrays become tensors."""
    tensors = (of_numpy(array) if isinstance(array, np.ndarray) else array for array in (x, weight, bias))
    result: torch.Tensor = _Conv2d.apply(*tensors, dict(options))
    return result


class _Conv2d(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, options: Any) -> Any:
        ctx.save_for_backward(x, weight)
        ctx.options = options
        return conv2d(x, weight, bias, **options)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: torch.Tensor) -> Any:
        x, weight = ctx.saved_tensors
        wanted = [name for name, needed in zip(GRADIENTS, ctx.needs_input_grad, strict=False) if needed]
        return *conv2d_backward(dy, x, weight, wanted=wanted, **ctx.options), None
