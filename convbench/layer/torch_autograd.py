"""Make a convolution differentiable by PyTorch's autograd."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from convbench.layer.torch_tensors import of_numpy


def differentiable(
    forward: Callable[..., Any], backward: Callable[..., Any], x: Any, weight: Any, bias: Any | None
) -> torch.Tensor:
    """The result of `forward`, as a tensor that PyTorch's autograd can differentiate by calling `backward`.

    Parameters
    ----------
    forward : a function of (x, weight, bias), which gives the result
    backward : a function of (dy, x, weight, wanted), which gives the gradients by x, weight and bias, and None for each
        that is not wanted; `wanted` has a Boolean for each of the three
    x, weight, bias : tensors; NumPy arrays among them become tensors
    """
    tensors = (of_numpy(array) if isinstance(array, np.ndarray) else array for array in (x, weight, bias))
    result: torch.Tensor = _Conv2d.apply(*tensors, forward, backward)
    return result


class _Conv2d(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None,
        forward: Callable[..., Any], backward: Callable[..., Any],
    ) -> Any:  # fmt: skip
        ctx.save_for_backward(x, weight)
        ctx.gradients = backward
        return forward(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: torch.Tensor) -> Any:
        return *ctx.gradients(dy, *ctx.saved_tensors, ctx.needs_input_grad[:3]), None, None
