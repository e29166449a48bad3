"""The shared part of the plans of products on tensor cores: packed filters, a packed map, and one launch."""

from typing import Any, ClassVar

import numpy as np

from algorithms.copies import require_shared_memory
from algorithms.correlation import CorrelationPlan
from algorithms.tensor_cores.packing import (
    Kind,
    launch_pack_filters,
    launch_pack_map,
    words_of_filter,
    words_of_group,
)
from algorithms.tensor_cores.windows import sizes_of
from convbench.devices import Array, Device, Kernel
from convbench.problem import ConvProblem, Direction


class PackedPlan(CorrelationPlan):
    """Pack the filters once per weights. For each input pack the map, then multiply in one launch over all tiles.

    A subclass says which kernel multiplies, which words of filters it takes, and how much shared memory.
    """

    kind: ClassVar[Kind]

    def __init__(self, problem: ConvProblem, direction: Direction, device: Device, config: Any = None) -> None:
        super().__init__(problem, direction, device, config)
        require_shared_memory(config, device, self.shared_bytes)
        geometry = self.geometry
        pixels = geometry.n * geometry.size[0] * geometry.size[1]
        per_group, taps = geometry.sources_per_group, geometry.taps[0] * geometry.taps[1]
        self.packed = self.scratch((pixels * geometry.groups * words_of_group(per_group, self.kind),), np.uint32)
        self.words = self.kept((geometry.targets, words_of_filter(per_group, taps, self.kind)), np.uint32)

    @property
    def factors(self) -> tuple[Array, ...]:
        """The words of the filters, in the arrays that the kernel takes first."""
        return (self.words,)

    @property
    def shared_bytes(self) -> int:
        """Dynamic shared memory of a block."""
        raise NotImplementedError

    def kernel(self, baked: tuple[int, ...] | None) -> Kernel:
        """The kernel of the config, for any sizes or for the `baked` ones alone."""
        raise NotImplementedError

    def prepare(self) -> None:
        super().prepare()
        launch_pack_filters(self.device, "transform", self.kind, self.filters, self.words)

    def run(self, source: Array, target: Array) -> None:
        geometry, config = self.geometry, self.config
        launch_pack_map(self.device, self.kind, source, self.packed, geometry.groups)
        sizes = sizes_of(geometry, config.tile_m, config.tile_o, self.kind)
        self.device.launch(
            "multiply", self.kernel(sizes if config.is_specialised else None), geometry.groups * sizes[11] * sizes[12],
            config.threads, *(words.reshape(words.size) for words in self.factors), self.packed, self.addend,
            target.reshape(target.size), sizes, shared_bytes=self.shared_bytes,
        )  # fmt: skip
