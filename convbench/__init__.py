"""convbench compares, verifies and times algorithms for 2-D convolution that are written as Numba CUDA kernels.

`import convbench` does not import Numba. The names that need it (`Algorithm`, `Conv2d` and others) are imported when
they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from convbench.errors import ConvbenchError
from convbench.problem import ConvProblem
from convbench.problem.notation import parse

if TYPE_CHECKING:
    from convbench.algorithm import Algorithm, Plan, register
    from convbench.layer import Conv2d, conv2d, conv2d_backward
    from convbench.reference import ErrorModel

__all__ = [
    "Algorithm", "Conv2d", "ConvProblem", "ConvbenchError", "ErrorModel", "Plan", "conv2d", "conv2d_backward", "parse",
    "register",
]  # fmt: skip

# the module of each name that is imported on first use, to keep the start of the command line short
_HOMES = {
    "Algorithm": "algorithm.algorithm", "Plan": "algorithm.plan", "ErrorModel": "reference.error_model",
    "register": "algorithm.registry", "Conv2d": "layer.layer", "conv2d": "layer.functional",
    "conv2d_backward": "layer.functional",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'convbench' has no attribute {name!r}")
    return getattr(import_module(f"convbench.{_HOMES[name]}"), name)
