"""Test Numba CUDA kernels without a GPU: assertions, strategies of Hypothesis, and a pytest plugin.

`assert_kernel_clean` runs a kernel in checked mode and fails with the fault. `launch_shapes` and `arrays` are
strategies. The plugin (`pytest --cuda=emulator` or `--cuda=checked`) runs the kernels of a whole suite on the emulator,
and has the fixture `emulator`.

`import convbench.testing` imports nothing large; each name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convbench.testing.assertions import assert_kernel_clean
    from convbench.testing.strategies import Shape, arrays, launch_shapes

__all__ = ["Shape", "arrays", "assert_kernel_clean", "launch_shapes"]

_HOMES = {
    "assert_kernel_clean": "assertions",
    "Shape": "strategies",
    "arrays": "strategies",
    "launch_shapes": "strategies",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'convbench.testing' has no attribute {name!r}")
    return getattr(import_module(f"convbench.testing.{_HOMES[name]}"), name)
