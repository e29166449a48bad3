"""The launches of `algorithms.direct.window`: pack the filters once per weights, then multiply all tiles."""

from typing import Any

import numpy as np
from numba import cuda

from algorithms.copies import require_copies, require_shared_memory
from algorithms.correlation import Correlation
from algorithms.direct.window import make_window_kernel
from algorithms.direct.window_shapes import fault, layout_of, packed_shape, sizes_of, tiles_of
from convbench.algorithm import Plan
from convbench.devices import Array, Device
from convbench.errors import ConfigError
from convbench.intrinsics import unflatten_on_device
from convbench.problem import ConvProblem, Direction

THREADS = 256
LEAST_WIDE = 2**31  # elements in the channels of a step: so many need 64-bit offsets


class WindowPlan(Plan):
    """A plan for forward, and for backward_data with stride 1."""

    def __init__(self, problem: ConvProblem, direction: Direction, device: Device, config: Any = None) -> None:
        super().__init__(problem, direction, device, config)
        if reason := fault(config, problem, direction):
            raise ConfigError(f"{config} is not for {direction} of {problem}: {reason}")
        require_copies(config, device)
        self.geometry = Correlation.of(problem, direction)
        require_shared_memory(config, device, layout_of(config, self.geometry).shared_bytes)
        self.packed = self.kept(packed_shape(config, self.geometry))
        self.addend = device.upload(np.zeros(self.geometry.targets, problem.dtype))

    def prepare(self) -> None:
        if self.direction == "forward":
            self.addend = self.bias
        self.device.launch(
            "pack", pack_filters, -(-self.packed.size // THREADS), THREADS,
            self.weights, self.packed, self.geometry.groups, self.direction == "backward_data",
        )  # fmt: skip

    def run(self, source: Array, target: Array) -> None:
        geometry, config = self.geometry, self.config
        sizes, layout = sizes_of(geometry), layout_of(config, geometry)
        is_wide = config.channels * geometry.size[0] * geometry.size[1] >= LEAST_WIDE
        kernel = make_window_kernel(
            config, geometry.taps, geometry.stride, geometry.dilation,
            sizes if config.is_specialised else None, config.is_specialised and geometry.outputs[1] % 4 == 0, is_wide,
        )  # fmt: skip
        self.device.launch(
            "multiply", kernel, tiles_of(config, geometry), config.threads,
            source.reshape(-1), self.packed.reshape(-1), self.addend, target.reshape(-1), sizes,
            shared_bytes=layout.shared_bytes,
        )  # fmt: skip


@cuda.jit
def pack_filters(w: Array, packed: Array, groups: int, is_turned: bool) -> None:
    """Write the packed filters of one direction, with zeros in the padding. One thread per element, m' fastest.

    packed (G, m tiles, L/G rounded up, R, S, tile_m); turned, each filter is flipped and its channels are swapped.

    Excess: Neighbouring threads write neighbouring m' and read filters that are L/G·R·S elements apart. The kernel runs
    once for a set of weights, and other taps of the same sectors are read soon after, from the L2 cache.
    """
    # map
    flat = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
    if flat >= packed.size:
        return  # the grid is rounded up to whole blocks
    rest, r, s, m_in_tile = unflatten_on_device(flat, packed.shape[3], packed.shape[4], packed.shape[5])
    _, g, m_tile, l = unflatten_on_device(rest, packed.shape[0], packed.shape[1], packed.shape[2])  # noqa: E741
    m = m_tile * packed.shape[5] + m_in_tile  # within the group
    # load and store
    value = w.dtype.type(0)
    if is_turned:
        if m < w.shape[1] and l < w.shape[0] // groups:
            value = w[g * (w.shape[0] // groups) + l, m, w.shape[2] - 1 - r, w.shape[3] - 1 - s]
    elif m < w.shape[0] // groups and l < w.shape[1]:
        value = w[g * (w.shape[0] // groups) + m, l, r, s]
    packed[g, m_tile, l, r, s, m_in_tile] = value
