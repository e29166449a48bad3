"""The batched matrix product equals NumPy's on integers, for which every order of summation is exact."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.fft.stages_config import TILES as FFT_TILES
from algorithms.gemm import launch_batched_gemm, padded
from algorithms.gemm.batched import Tile
from algorithms.winograd.staged import TILES as WINOGRAD_TILES
from convbench.devices import Device, GuardedDevice
from convbench.devices.emulator import EmulatorDevice
from convbench.devices.simulator import SimulatorDevice
from convbench.errors import ConfigError
from support.strategies import fewer

SMALL = Tile()
LARGE = Tile(tile_i=128, tile_j=128, tile_l=16, thread_i=8, thread_j=16)
DEEP = Tile(stages=4)

emulator, checked = EmulatorDevice(), EmulatorDevice(checked=True)


def product(
    device: Device, *, batches: int, i: int, j: int, l: int, tile: Tile, seed: int = 0, is_complex: bool = False,  # noqa: E741
    is_specialised: bool = False, hole: bool = False,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The product on a device and by NumPy; with `hole` the padding of both factors is NaN."""
    rng, parts = np.random.default_rng(seed), 1 + is_complex
    width_i, width_j = padded(i * parts, tile.tile_i), padded(j * parts, tile.tile_j)
    u, v = (rng.integers(-3, 4, (batches, l, width)).astype(np.float32) for width in (width_i, width_j))
    if hole:
        u[:, :, i * parts :] = v[:, :, j * parts :] = np.nan
    guarded = GuardedDevice(device)
    m = guarded.upload(np.full((batches, i, width_j), np.nan, np.float32))
    launch_batched_gemm(
        guarded, guarded.upload(u), guarded.upload(v), m,
        tile=tile, is_complex=is_complex, is_specialised=is_specialised,
    )  # fmt: skip
    assert guarded.breaches() == []
    kind = np.complex64 if is_complex else np.float32
    expected = np.einsum("bli,blj->bij", u.view(kind)[:, :, :i], v.view(kind)[:, :, :j])
    return guarded.download(m).view(kind)[:, :, :j], expected


sizes = st.fixed_dictionaries(
    {"batches": st.integers(1, 3), "i": st.integers(1, 70), "j": st.integers(1, 70), "l": st.integers(1, 40)}
)


@fewer(4)
@given(sizes=sizes, seed=st.integers(0, 99), is_complex=st.booleans())
def test_a_product_of_any_sizes_is_exact(sizes, seed, is_complex):
    """Sizes that no tile divides, including the last step of l. Values in the padding reach no element."""
    actual, expected = product(checked, tile=SMALL, seed=seed, is_complex=is_complex, hole=True, **sizes)
    assert np.array_equal(actual, expected)


@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("device", [emulator, checked, SimulatorDevice()], ids=lambda device: device.name)
def test_all_devices_agree_with_numpy(device, is_complex):
    actual, expected = product(device, batches=2, i=20, j=17, l=11, tile=SMALL, is_complex=is_complex)
    assert np.array_equal(actual, expected)


@pytest.mark.parametrize(
    ("tile", "is_complex", "is_specialised", "l"),
    [
        (LARGE, False, False, 37), (SMALL, True, True, 19), (DEEP, False, False, 3), (DEEP, False, False, 50),
    ],
    ids=str,
)  # fmt: skip
def test_other_tiles_and_baked_in_sizes_are_as_exact(tile, is_complex, is_specialised, l):  # noqa: E741
    """Also with more stages than steps. All checks are on, and they find a copy that nothing waits for."""
    actual, expected = product(
        checked, batches=2, i=61, j=130, l=l, tile=tile, is_complex=is_complex, is_specialised=is_specialised
    )
    assert np.array_equal(actual, expected)


@pytest.mark.parametrize("is_specialised", [False, True])
@pytest.mark.parametrize("stages", [2, 3, 4])
def test_a_pipeline_of_any_length_is_exact_at_each_of_its_ends(stages, is_specialised):
    """Depths end within the first tile, between the first and the second, at the last stage, and after it.

    All checks are on. They find a read of a copy that nothing waits for, even if the result happens to be right.
    """
    tile = Tile(stages=stages)
    depths = (stages * 8,) if is_specialised else (1, 8, 9, 15, 16, 8 * stages - 8, 8 * stages, 8 * stages + 1, 70)
    for depth in depths:
        actual, expected = product(
            checked, batches=2, i=5, j=19, l=depth, tile=tile, hole=True, is_specialised=is_specialised
        )
        assert np.array_equal(actual, expected), depth


@pytest.mark.parametrize(
    ("tile", "is_complex"),
    [*((tile, False) for tile in WINOGRAD_TILES), *((tile, True) for tile in FFT_TILES)],
    ids=str,
)
def test_every_tile_that_an_algorithm_offers_is_exact(tile, is_complex):
    """The depth ends in the first tile, in the second, and beyond the last stage."""
    for depth in (1, tile.tile_l + 1, tile.stages * tile.tile_l + 1):
        actual, expected = product(emulator, batches=2, i=5, j=19, l=depth, tile=tile, is_complex=is_complex, hole=True)
        assert np.array_equal(actual, expected), depth


@pytest.mark.parametrize(
    "fields",
    [
        {"thread_i": 6}, {"tile_i": 48}, {"tile_l": 7}, {"stages": 5}, {"stages": 1}, {"tile_j": 16}, {"tile_l": 0},
        {"blocks": 25},
        {"thread_i": 16, "thread_j": 16, "tile_i": 64, "tile_j": 128}, {"tile_l": 256, "stages": 4},
    ],
    ids=str,
)  # fmt: skip
def test_a_tile_that_no_kernel_has_is_refused_with_the_rule(fields):
    with pytest.raises(ConfigError, match=r"Tile\(.*\): "):
        Tile(**fields)


def test_arrays_that_do_not_fit_are_refused():
    u, v, m = (np.zeros(shape, np.float32) for shape in ((2, 8, 32), (2, 8, 32), (2, 20, 32)))
    for wrong in (
        (u[:, :7], v, m),
        (u, v, m[:1]),
        (u[:, :, :31], v, m),
        (u, v[:, :, :16], m[:, :, :16]),
        (v, u, m[:, :0]),
    ):
        with pytest.raises(ConfigError, match=r"I'"):
            launch_batched_gemm(emulator, *wrong, tile=SMALL)
