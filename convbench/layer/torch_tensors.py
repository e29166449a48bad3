"""Convert PyTorch's tensors to NumPy arrays and back, without a copy.

NumPy and the CUDA array interface have no bfloat16 of their own, so it is passed as 16-bit integers.
"""

import numpy as np
import torch

from convbench.devices import Array


def as_numpy(tensor: torch.Tensor) -> Array:
    """A NumPy array in the memory of a tensor on the host."""
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
    """A tensor in the memory of a Numba device array; `device` is the GPU that the array is on."""
    if view.dtype.name == "bfloat16":
        return torch.as_tensor(view.view(np.int16), device=device).view(torch.bfloat16)
    return torch.as_tensor(view, device=device)
