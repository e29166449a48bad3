"""The table of chips: each figure agrees with a second one of its maker, and is in the range of its kind."""

import pytest

from convbench.profiling import chips

FLOAT32 = {  # TFLOP/s, as the data sheets of the GPUs have them
    "h200": 67, "h100": 67, "a100": 19.5, "a100-80gb": 19.5, "a6000": 38.7, "a10": 31.2, "l4": 30.3, "rtx4090": 82.6,
    "rtx3090": 35.6, "rtx3070ti": 21.7, "rtx3060": 12.7, "gtx1650": 2.98, "t4": 8.1, "b200": 75, "b300": 75,
    "rtx5090": 104.8, "gb10": 31, "thor": 8.06, "orin": 5.3,
}  # fmt: skip
FLOAT64_OF_FLOAT32 = {  # of CUDA's table of arithmetic throughput
    "sm_75": 32, "sm_80": 2, "sm_86": 64, "sm_87": 64, "sm_89": 64, "sm_90": 2, "sm_100": 2, "sm_103": 64,
    "sm_110": 64, "sm_120": 64, "sm_121": 64,
}  # fmt: skip


@pytest.mark.parametrize("name", chips.known())
def test_the_figures_of_a_chip_agree_with_its_data_sheet(name):
    chip = chips.get(name)
    tflops = 2 * chip.rates.fma * chip.multiprocessors * chip.clock_mhz / 1e6
    assert tflops == pytest.approx(FLOAT32[name], rel=0.08)


@pytest.mark.parametrize("name", chips.known())
def test_the_figures_of_a_chip_are_in_their_ranges(name):
    chip = chips.get(name)
    assert 10 <= chip.multiprocessors <= 192
    assert 1000 <= chip.clock_mhz <= 2600
    assert 100 <= chip.dram_gbytes <= 8000
    assert 1024 <= chip.l2_kib <= 132 * 1024
    assert len(chip.source) > len("deviceQuery")


@pytest.mark.parametrize("name", chips.known())
def test_the_rates_of_an_architecture_are_in_their_ranges(name):
    chip = chips.get(name)
    rates = chip.rates
    assert rates.fma / rates.float64 == FLOAT64_OF_FLOAT32[chip.limits.name]
    assert 20 < rates.l1_clocks < rates.l2_clocks < rates.dram_clocks < 1000
    assert chip.limits.shared_bytes <= rates.l1_kib * 1024
    assert rates.memory in (16, 32)
