"""Wraps a device so that wrong accesses are found: each array lies between guard zones, and all bytes are set first.

All bits are set to ones, which is NaN in every floating dtype (and −1 in integers). An element that nobody wrote, or a
read past the end of an array, then makes the result NaN. Arithmetic never gives a NaN with exactly these bits, so that
even a NaN that a kernel writes into a guard zone is found.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from convbench.devices.device import POISON, Array, Device, Host
from convbench.problem import ConvProblem

GUARD_BYTES = 512  # keeps the alignment that CUDA's allocator gives


class GuardedDevice(Device):
    """Another device, with guard zones around all arrays that are allocated through it, and poison in them."""

    def __init__(self, inner: Device) -> None:
        super().__init__()
        self.inner = inner
        self.name, self.clock, self.is_gpu = inner.name, inner.clock, inner.is_gpu  # type: ignore[misc]
        self.compute_capability = inner.compute_capability
        self._allocations: list[tuple[Array, tuple[int, ...]]] = []  # bytes with the guard zones; shape of the array
        self._payloads: dict[int, tuple[Array, Array]] = {}  # by the array's id: the array, and its bytes

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        dtype = np.dtype(dtype)
        payload = int(np.prod(shape, dtype=object)) * dtype.itemsize
        self.inner.check_room(payload + 2 * GUARD_BYTES)
        raw = self.inner.empty((payload + 2 * GUARD_BYTES,), np.uint8)
        self.inner.poison(raw)
        self._allocations.append((raw, shape))
        payload_bytes = raw[GUARD_BYTES : GUARD_BYTES + payload]
        array = payload_bytes.view(dtype).reshape(shape)
        self._payloads[id(array)] = array, payload_bytes
        return array

    def upload(self, host: Host) -> Array:
        array = self.empty(host.shape, host.dtype)
        self.write(array, host)
        return array

    def poison(self, array: Array) -> None:
        """Set every byte of an array that this device made, so that elements which nobody writes are found."""
        self.inner.poison(self._payloads[id(array)][1])

    def breaches(self) -> list[str]:
        """A line for each guard zone with changed bytes, in the order in which the arrays were allocated."""
        found = []
        for index, (raw, shape) in enumerate(self._allocations):
            for zone, place in ((raw[:GUARD_BYTES], "before"), (raw[raw.size - GUARD_BYTES :], "after")):
                if (self.inner.download(zone) != POISON).any():
                    found.append(f"wrote {place} array {index} of shape {shape}")
        return found

    def check_room(self, wanted: int) -> None:
        self.inner.check_room(wanted)

    def download(self, array: Array) -> Host:
        return self.inner.download(array)

    def write(self, array: Array, host: Host) -> None:
        self.inner.write(array, host)

    def _transposed(self, array: Array, axes: tuple[int, ...]) -> Array:
        return self.inner.transposed(array, axes)

    @property
    def max_shared_bytes(self) -> int:
        return self.inner.max_shared_bytes

    def _launch(self, *launch: Any) -> None:
        self.inner._launch(*launch)  # noqa: SLF001  (this class stands for the inner device)

    def synchronize(self) -> None:
        self.inner.synchronize()

    def elapsed_us(self, work: Callable[[], None]) -> float:
        return self.inner.elapsed_us(work)

    def refuses(self, problem: ConvProblem) -> str | None:
        return self.inner.refuses(problem)

    def describe(self) -> dict[str, Any]:
        return self.inner.describe()
