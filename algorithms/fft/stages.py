"""FFT convolution in three stages of kernels in registers: spectra of all tiles, their complex product, and back.

    target tile = F⁻¹[ Σ_l F(d_l) · conj(F(f_{m,l})) ], of which Λ − R + 1 rows and Λ − S + 1 columns do not wrap
    M[φ, g] = Σ_l U[φ, g, l, ·] · V[φ, g, l, ·]   (M/G by T'),  0 ≤ φ < F, 0 ≤ g < G, batch index φ·G + g

Layouts   source (N, L, ·, ·), f (M, L/G, R, S) and target (N, M, ·, ·), contiguous float32, as in
          `algorithms.correlation`; U (F·G, L/G, M'), V (F·G, L/G, T') and M (F·G, M/G, T') of pairs (re, im), the
          frequencies in the order of `algorithms.fft.spectra`. A pass has T' tiles, so that the workspace stays small.
Index map transforms: as in `algorithms.fft.spectra` · multiply: as in `algorithms.gemm.batched`, or
          `algorithms.gemm.plain`.
Cost      4·F / ((Λ − R + 1)·(Λ − S + 1)) real multiplications per output and channel, whatever R·S.
Source    Mathieu, Henaff & LeCun 2014, arXiv 1312.5851; Vasilache et al. 2015, "fbfft", arXiv 1412.7580, §6 (tiling).
"""

import numpy as np

from algorithms.copies import require_copies
from algorithms.correlation import CorrelationPlan
from algorithms.fft.spectra import (
    THREADS,
    Sizes,
    frequencies,
    make_spectra_kernel,
    make_tiles_kernel,
    sizes_of,
    together,
)
from algorithms.fft.stages_config import StagesConfig
from algorithms.gemm import Tile, launch_batched_gemm, launch_gemm, padded
from algorithms.pairs import require_pairs
from algorithms.tiling import Tiling
from convbench.devices import Array, Device
from convbench.errors import ConfigError
from convbench.problem import ConvProblem, Direction


class StagesPlan(CorrelationPlan):
    """A plan that transforms the filters once. Each run transforms the source, multiplies, and transforms back."""

    def __init__(self, problem: ConvProblem, direction: Direction, device: Device, config: StagesConfig) -> None:
        super().__init__(problem, direction, device, config)
        geometry = self.geometry
        if reason := config.misfit(geometry):
            raise ConfigError(f"{config} cannot compute {direction} of {problem}: {reason}")
        if isinstance(config.gemm, Tile):
            require_copies(config, device)
            require_pairs(config, device, is_packed=config.is_packed)
        self.tiling = Tiling.of(geometry, config.outputs(problem))
        self.all_tiles = geometry.n * self.tiling.per_image
        self.at_once = padded(min(self.all_tiles, config.most_tiles), config.step)
        self.filter_row = padded(geometry.targets_per_group, config.filter_step)
        batches = frequencies(config.length) * geometry.groups
        self.u = self.kept((batches, geometry.sources_per_group, 2 * self.filter_row))
        self.v = self.scratch((batches, geometry.sources_per_group, 2 * self.at_once))
        self.m = self.scratch((batches, geometry.targets_per_group, 2 * self.at_once))
        self.no_bias: Array = None
        if not isinstance(config.gemm, Tile):
            self.no_bias = device.upload(np.zeros((batches, geometry.targets_per_group), np.complex64))

    def prepare(self) -> None:
        super().prepare()
        geometry = self.geometry
        one = Tiling(extent=geometry.taps, dilation=(1, 1), dense=geometry.taps, counts=(1, 1), phases=(1, 1))
        sizes = sizes_of(
            self.filters.shape, one, top_left=(0, 0), step=(1, 1), row=self.filter_row, channels=geometry.sources
        )
        self._transform(self.filters, self.u, sizes, 0, geometry.targets_per_group, sign=-1, known=None)

    def run(self, source: Array, target: Array) -> None:
        geometry, config, device = self.geometry, self.config, self.device
        into = sizes_of(
            source.shape, self.tiling, top_left=geometry.top_left, step=geometry.spread, row=self.at_once,
            channels=geometry.sources,
        )  # fmt: skip
        out = sizes_of(
            target.shape, self.tiling, top_left=(0, 0), step=geometry.stride, row=self.at_once,
            channels=geometry.targets,
        )  # fmt: skip
        tiles_kernel = make_tiles_kernel(config.length, out if config.is_specialised else None)
        for first in range(0, self.all_tiles, self.at_once):
            count = min(self.at_once, self.all_tiles - first)
            known = into if config.is_specialised else None
            self._transform(source, self.v, into, first, count, sign=1, known=known)
            self._multiply()
            device.launch(
                "unpack", tiles_kernel, self._grid(out), THREADS, self.m.reshape(-1), self.addend,
                target.reshape(-1), out, first, count,
            )  # fmt: skip

    def _transform(
        self, maps: Array, spectra: Array, sizes: Sizes, first: int, count: int, *, sign: int, known: Sizes | None
    ) -> None:  # fmt: skip
        kernel = make_spectra_kernel(self.config.length, known)
        self.device.launch(
            "transform", kernel, self._grid(sizes), THREADS, maps.reshape(-1), spectra.reshape(-1), sizes, first, count,
            sign,
        )  # fmt: skip

    def _multiply(self) -> None:
        config, device = self.config, self.device
        if isinstance(config.gemm, Tile):
            launch_batched_gemm(
                device,
                self.u,
                self.v,
                self.m,
                tile=config.gemm,
                is_complex=True,
                is_specialised=config.is_specialised,
                is_packed=config.is_packed,
            )
        else:
            u, v, m = (array.view(np.complex64) for array in (self.u, self.v, self.m))
            launch_gemm(device, device.transposed(u, (0, 2, 1)), v, self.no_bias, m, tile=config.gemm)

    def _grid(self, sizes: Sizes) -> int:
        """The number of blocks: one for each channel and each `together` of its tiles."""
        row, channels = sizes[-2:]
        return channels * row // together(self.config.length)
