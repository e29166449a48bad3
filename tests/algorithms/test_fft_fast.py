"""The FFT in registers and the convolution in three stages: laws beyond those that every algorithm obeys."""

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import cuda, float32

from algorithms.correlation import HUGE_MACS, Correlation
from algorithms.fft.registers import make_fft, make_real_join, make_real_split
from algorithms.fft.spectra import PITCHES, THREADS, frequencies, make_spectra_kernel, sizes_of, together
from algorithms.fft.stages import StagesPlan
from algorithms.fft.stages_config import LENGTHS, MOST_BYTES, StagesConfig, default_config, stages_space
from algorithms.fft.tiled import Config, FftTiled
from algorithms.gemm.batched import Tile
from algorithms.tiling import Tiling
from convbench.devices.emulator import EmulatorDevice
from convbench.devices.simulator import SimulatorDevice
from convbench.errors import ConfigError
from convbench.inspection import architecture
from convbench.inspection.blueprint import Blueprint
from convbench.intrinsics import fast_kernel
from convbench.measurement import Case
from convbench.problem import ConvProblem, Direction
from convbench.problem.notation import parse
from support.devices import emulator_of
from support.running import assert_passes

FFT = FftTiled()
COLUMNS = 8  # transformed by one launch
UNIT = 2.0**-24
A_LEVEL = 7  # units that a level may be off, in the norm: Higham 2002, theorem 24.2
IN_SPLIT = 8  # likewise the step between a complex spectrum and a real one: two sums and a turn

lengths = st.sampled_from(LENGTHS)
kinds = st.sampled_from(("normal", "one column", "constant", "impulse"))


def columns_of(length: int, kind: str, seed: int) -> np.ndarray:
    """(COLUMNS, length) float32."""
    rng = np.random.default_rng(seed)
    if kind == "constant":
        return np.repeat(rng.standard_normal((COLUMNS, 1)), length, 1).astype(np.float32)
    values = rng.standard_normal((COLUMNS, length))
    if kind == "one column":
        values[1:] *= 2.0**-20
    if kind == "impulse":
        values *= np.arange(length) == rng.integers(length, size=(COLUMNS, 1))
    return values.astype(np.float32)


@cache
def complex_kernel(length: int):
    """Each thread one column, from and to pairs."""
    fft = make_fft(length)

    @fast_kernel(threads=COLUMNS)
    def transform(x, y):
        re, im = cuda.local.array(length, float32), cuda.local.array(length, float32)
        for j in range(length):
            re[j], im[j] = x[cuda.threadIdx.x, j, 0], x[cuda.threadIdx.x, j, 1]
        fft(re, im)
        for j in range(length):
            y[cuda.threadIdx.x, j, 0], y[cuda.threadIdx.x, j, 1] = re[j], im[j]

    return transform


@cache
def real_kernel(length: int, inverse: bool):
    """Each thread one column of real numbers to its packed spectrum, or back."""
    half = length // 2
    fft, split, join = make_fft(half), make_real_split(length), make_real_join(length)

    @fast_kernel(threads=COLUMNS)
    def transform(x, y):
        re, im = cuda.local.array(half, float32), cuda.local.array(half, float32)
        for j in range(half):
            re[j], im[j] = x[cuda.threadIdx.x, j, 0], x[cuda.threadIdx.x, j, 1]
        if inverse:
            join(re, im)
            fft(im, re)
        else:
            fft(re, im)
            split(re, im)
        for j in range(half):
            y[cuda.threadIdx.x, j, 0], y[cuda.threadIdx.x, j, 1] = re[j], im[j]

    return transform


def launched(kernel, x: np.ndarray, device=None) -> np.ndarray:
    """The pairs of (COLUMNS, ·) numbers, transformed."""
    device = device or EmulatorDevice()
    pairs = x.view(np.float32).reshape(COLUMNS, -1, 2)
    y = device.upload(np.full_like(pairs, np.nan))
    device.launch("transform", kernel, 1, COLUMNS, device.upload(pairs), y)
    return np.ascontiguousarray(device.download(y))


def exchanged(values: np.ndarray) -> np.ndarray:
    """The real and the imaginary parts, exchanged."""
    return (values.imag + 1j * values.real).astype(values.dtype)


def assert_near(actual: np.ndarray, expected: np.ndarray, units: float) -> None:
    """Each column within so many units, in the norm."""
    error, size = (np.linalg.norm(values, axis=-1) for values in (actual - expected, expected))
    assert (error <= units * UNIT * size).all(), (error / (size * UNIT)).max()
    assert size.any()


@given(length=lengths, kind=kinds, seed=st.integers(0, 2**32 - 1), inverse=st.booleans())
def test_the_transform_in_registers_is_numpys(length, kind, seed, inverse):
    x = (columns_of(length, kind, seed) + 1j * columns_of(length, kind, seed + 1)).astype(np.complex64)
    given_x = exchanged(x) if inverse else x
    actual = launched(complex_kernel(length), given_x).view(np.complex64)[..., 0]
    actual = exchanged(actual) if inverse else actual
    wide = x.astype(np.complex128)
    expected = length * np.fft.ifft(wide) if inverse else np.fft.fft(wide)
    assert_near(actual, expected, A_LEVEL * math.log2(length))


@given(length=lengths, kind=kinds, seed=st.integers(0, 2**32 - 1))
def test_the_transform_of_real_numbers_is_numpys_and_goes_back(length, kind, seed):
    x = columns_of(length, kind, seed)
    packed = launched(real_kernel(length, False), x)
    expected = np.fft.rfft(x.astype(np.float64))
    spectrum = packed.view(np.complex64)[..., 0].astype(np.complex128)
    spectrum = np.concatenate([spectrum, spectrum[:, :1].imag], 1)
    spectrum[:, 0] = spectrum[:, 0].real
    units = A_LEVEL * math.log2(length // 2) + IN_SPLIT
    weights = np.where(np.arange(length // 2 + 1) % (length // 2) == 0, 1, math.sqrt(2))  # each stands for two
    assert_near(spectrum * weights, expected * weights, units)
    back = launched(real_kernel(length, True), packed).reshape(COLUMNS, length)
    assert_near(back, length * x.astype(np.float64), 2 * units)


@pytest.mark.parametrize("length", LENGTHS)
def test_the_simulator_has_the_same_transform(length):
    x = columns_of(2 * length, "normal", length)
    emulated, simulated = (
        launched(complex_kernel(length), x, device) for device in (EmulatorDevice(), SimulatorDevice())
    )
    assert_near(simulated.view(np.complex64)[..., 0], emulated.view(np.complex64)[..., 0], 2 * A_LEVEL * 5)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("sign", [1, -1])
def test_spectra_are_those_of_each_tile(length, sign):
    """Every frequency where the index map says, of tiles of all images; and zeros behind the last tile."""
    problem = parse(f"n2c3h{length + 5}w{2 * length}-k1r3s4-pad1x2")
    geometry = Correlation.of(problem, "forward")
    tiling = Tiling.of(geometry, StagesConfig(length=length).outputs(problem))
    tiles, row = 2 * tiling.per_image, 3 * together(length)
    x = np.random.default_rng(length).standard_normal(problem.x_shape).astype(np.float32)
    sizes = sizes_of(x.shape, tiling, top_left=(1, 2), step=(1, 1), row=row, channels=3)
    device = EmulatorDevice()
    spectra = device.upload(np.full((frequencies(length), 3, row, 2), np.nan, np.float32))
    device.launch(
        "transform", make_spectra_kernel(length), 3 * row // together(length), THREADS,
        device.upload(x).reshape(-1), spectra.reshape(-1), sizes, 0, tiles, sign,
    )  # fmt: skip
    actual = device.download(spectra).view(np.complex64)[..., 0]
    assert not actual[:, :, tiles:].any()

    framed = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 2 * length), (2, 2 * length)))
    whole = np.empty((length, length, 3, tiles), np.complex128)
    for tile in range(tiles):
        n, down, across = np.unravel_index(tile, (2, *tiling.counts))
        top, left = down * tiling.extent[0], across * tiling.extent[1]
        samples = framed[n, :, top : top + length, left : left + length]
        whole[..., tile] = np.moveaxis(np.fft.fft2(samples), 0, -1)
    half = length // 2
    expected = np.concatenate([whole[1:half].reshape(-1, 3, tiles), whole[0, : half + 1], whole[half, : half + 1]])
    expected = expected if sign == 1 else expected.conj()
    units = A_LEVEL * 2 * math.log2(length) + IN_SPLIT
    error = np.linalg.norm(actual[:, :, :tiles] - expected, axis=0)
    assert (error <= units * UNIT * np.linalg.norm(whole, axis=(0, 1))).all()


@pytest.mark.parametrize("length", LENGTHS)
def test_no_two_lanes_of_half_a_warp_meet_in_a_bank(length):
    row, tile = PITCHES[length]
    tiles, lanes = together(length), np.arange(2 * THREADS)
    by_column = lanes // length * tile + lanes % length
    by_row = (lanes % tiles * tile + lanes // tiles * row)[:THREADS]
    for places in (by_column, by_row):
        for half_warp in places.reshape(-1, 16):
            assert len({place % 16 for place in half_warp}) == 16  # 32 banks hold 16 complex numbers
    cells = (np.arange(tiles)[:, None, None] * tile + np.arange(length // 2)[:, None] * row + np.arange(length)).ravel()
    assert len(set(cells)) == cells.size
    assert cells.max() < tiles * tile


BIG = Tile(tile_i=64, tile_j=64, tile_l=8, thread_i=8, thread_j=8)

# tiles cut off on every side, several passes, gradients of strides, filters as long as the transform, sizes baked in
CASES: tuple[tuple[str, Direction, StagesConfig], ...] = (
    ("n1c1h1w1-k1r1s1", "forward", StagesConfig(length=32)),
    (
        "n2c4h33w21-k6r3s2-pad1x2-stride2x3-dil2x1-g2-bias",
        "forward",
        StagesConfig(length=32, gemm=Tile(), most_tiles=1),
    ),
    ("n2c4h33w21-k6r3s2-pad1x2-stride2x3-dil2x1-g2", "backward_data", StagesConfig(gemm=Tile(), most_tiles=17)),
    ("n2c4h33w21-k6r3s2-pad0.3x2.0-stride2x3-dil2x1-g2", "backward_data", StagesConfig(length=32)),
    ("n1c17h20w9-k33r16s5-pad3x2-bias", "forward", StagesConfig(gemm=Tile())),
    ("n1c3h40w37-k2r17s32-pad9x4", "forward", StagesConfig(length=32)),
    ("n3c2h1w90-k5r1s5-pad0x2-bias", "forward", StagesConfig(length=32)),
    ("n2c19h61w30-k35r3s5-pad2-stride2-bias", "forward", StagesConfig(gemm=BIG, most_tiles=1, is_specialised=True)),
)


@pytest.mark.parametrize(("text", "direction", "config"), CASES)
def test_every_kind_of_stages_is_right(text, direction, config):
    assert_passes(FFT, Case(parse(text), 1, direction), EmulatorDevice(), config=config)


def test_no_access_is_wild_and_no_barrier_is_missing():
    """Of the longer transform; the batteries check the kernels of the shorter one."""
    assert_passes(FFT, Case(parse(CASES[1][0]), 1), EmulatorDevice(checked=True), config=CASES[1][2])


def test_the_longer_transform_in_shared_memory_is_right():
    case = Case(parse("n1c2h33w21-k3r3s3-pad1"), 1, "backward_weights")
    assert_passes(FFT, case, EmulatorDevice(), config=Config(length=32, tile=8))


@pytest.mark.parametrize("direction", ["forward", "backward_data"])
def test_the_spectra_of_a_large_problem_come_in_equal_passes(direction):
    """As many as the bound holds, where a step of tiles fits in it."""
    for text in ("n32c64h224w224-k64r3s3-pad1", "n128c512h28w28-k512r3s3-pad1", "n32c64h56w56-k64r5s5-pad2"):
        problem = parse(text)
        plan = FFT.plan(problem, Blueprint(architecture.get("sm_90")), direction=direction)
        assert isinstance(plan, StagesPlan)
        passes = -(-plan.all_tiles // plan.at_once)
        held = plan.workspace_bytes - plan.u.nbytes
        if direction == "backward_data":
            held -= plan.filters.nbytes
        assert held == plan.v.nbytes + plan.m.nbytes <= MOST_BYTES
        assert passes * plan.at_once < plan.all_tiles + passes * plan.config.step
        assert passes == 1 or held * passes / (passes - 1) > MOST_BYTES


def test_the_default_suits_the_size_of_the_problem():
    def default(text: str) -> StagesConfig:
        found = default_config(Correlation.of(parse(text), "forward"))
        assert found is not None
        return found

    small = {default(text) for text in ("n1c2h12w12-k2r3s3-pad1", "n1c3h15w9-k9r4s1")}
    assert small == {StagesConfig(most_tiles=16)}
    assert default("n1c1h40w40-k1r17s3-pad9").length == 32
    large_map, small_map = default("n32c64h56w56-k64r5s5-pad2"), default("n32c256h14w14-k256r3s3-pad1")
    assert (large_map.length, small_map.length) == (32, 16)
    assert large_map.is_specialised
    assert small_map.is_specialised


@pytest.mark.parametrize("text", ["n1c2h12w12-k2r3s17-pad1x8", "n2c64h56w56-k64r3s3-pad1", "n32c64h56w56-k64r5s5-pad2"])
@pytest.mark.parametrize("direction", ["forward", "backward_data"])
def test_the_space_has_the_default_and_no_config_that_does_not_fit(text, direction):
    problem = parse(text)
    geometry = Correlation.of(problem, direction)
    found = list(stages_space(geometry))
    assert default_config(geometry) in found
    assert all(config.misfit(geometry) is None for config in found)
    assert FFT.configs(problem, direction)[0] in FFT.space_for(problem, direction)
    assert any(config.is_specialised for config in found) == (problem.macs > 50_000_000)
    assert default_config(geometry).is_specialised == (problem.macs >= HUGE_MACS)


def test_a_config_that_does_not_fit_is_refused_with_its_reason():
    problem = parse("n1c1h40w40-k1r17s3-pad9")
    with pytest.raises(ConfigError, match="longer than the transform"):
        FFT.plan(problem, EmulatorDevice(), config=StagesConfig(length=16))
    with pytest.raises(ConfigError, match="one of"):
        StagesConfig(length=64)


def test_indices_that_31_bits_do_not_hold_are_left_to_the_kernels_with_64():
    far = parse(f"n1c1h1w1-k1r3s3-pad{2**30}-dil{2**30}")
    assert "31 bits" in (StagesConfig().misfit(Correlation.of(far, "forward")) or "")
    assert isinstance(FFT.configs(far, "forward")[0], Config)


def test_a_device_without_asynchronous_copies_gets_the_transforms_in_shared_memory():
    problem: ConvProblem = parse("n1c2h12w12-k2r3s3-pad1")
    device = emulator_of((7, 5))
    assert FFT.plan(problem, device).config == Config(length=16, tile=8)
    with pytest.raises(ConfigError, match="asynchronous copies"):
        FFT.plan(problem, device, config=StagesConfig(gemm=Tile()))
