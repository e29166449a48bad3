"""The table of wild launches: each function in it launches a kernel that tries to crash the interpreter."""

from collections.abc import Callable
from typing import Any

import numpy as np

from convbench.emulator import Emulator

CASES: dict[str, Callable[[Emulator], None]] = {}
HUGE = 2**40


def case(run: Callable[[Emulator], None]) -> Callable[[Emulator], None]:
    """Put a case into the table, under its name."""
    CASES[run.__name__] = run
    return run


def zeros(*shape: int, dtype: Any = np.float32) -> Any:
    """An array that a wild kernel may overwrite."""
    return np.zeros(shape, dtype)
