"""The depthwise kernel with patches in registers: correct for any size, its refusals, and its choice of config."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.correlation import Correlation
from algorithms.depthwise.patch import PatchConfig, PatchPlan, cycles, fault, patch_configs
from convbench.algorithm import registry
from convbench.devices.emulator import EmulatorDevice
from convbench.errors import ConfigError
from convbench.measurement import Case
from convbench.problem.notation import parse
from support.running import assert_passes
from support.strategies import problems, seeds

DEPTHWISE = registry.get("depthwise")
ONE_SIZE = PatchConfig(rows=2, threads=32)
ANY_SIZE = replace(ONE_SIZE, is_specialised=False)

# each class of layer, with edges that fill no patch and blocks that are not full; the patches are small, because each
# row has its own kernel to compile
LAYERS = (
    ("n2c3h9w12-k6r3s3-pad1-g3-bias", "forward", ONE_SIZE),  # rows of 12: stored by fours; two filters for a channel
    ("n1c3h9w9-k6r2s2-pad1.0x0.1-g3", "backward_data", ONE_SIZE),  # which sums over two channels
    ("n1c2h9w20-k2r3s3-pad1-stride2x3-dil1x2-g2", "forward", replace(ONE_SIZE, columns=2)),  # stored by twos
    ("n1c2h9w9-k2r5s2-pad2-g2-bias", "forward", replace(ANY_SIZE, rows=3, columns=1)),
)


@pytest.mark.parametrize(("text", "direction", "config"), LAYERS)
def test_each_class_of_layer_is_right(device, text, direction, config):
    verdict = assert_passes(DEPTHWISE, Case(parse(text), 1, direction), device, config=config)
    assert verdict.exact


@pytest.mark.parametrize(("text", "direction", "config"), LAYERS[:1])
def test_no_thread_does_what_the_checked_emulator_forbids(text, direction, config):
    assert_passes(DEPTHWISE, Case(parse(text), 1, direction), EmulatorDevice(checked=True), config=config)


@given(
    problem=problems(depthwise=True, taps=st.just((2, 2)), strides=st.just(1), tiles={"k": 2, "p": 2, "q": 4}),
    seed=seeds, data=st.data(),
)  # fmt: skip
def test_one_kernel_computes_problems_of_any_size(device, problem, seed, data):
    direction = data.draw(st.sampled_from(("forward", "backward_data")))
    problem = replace(problem, dilation=(1, 1), bias=problem.bias and direction == "forward")
    assert_passes(DEPTHWISE, Case(problem, seed, direction), device, config=ANY_SIZE)


def test_threads_that_need_64_bits_are_counted_alike(device, monkeypatch):
    """The threshold for 64 bits is lowered, because 2³² threads would need too much memory."""
    from algorithms.depthwise import patch as depthwise_patch

    monkeypatch.setattr(depthwise_patch, "LEAST_WIDE", 1)
    assert_passes(DEPTHWISE, Case(parse("n2c3h5w6-k6r1s1-pad1-g3-bias"), 1), device, config=ANY_SIZE)


REFUSED = (
    ("n1c1h5w5-k1r3s3-float64", "forward", "is for float32"),
    ("n1c1h5w5-k1r3s3", "backward_weights", "which backward_weights does not"),
    ("n1c1h5w5-k1r3s3-stride2", "backward_data", "spreads them"),
    ("n1c1h30w30-k1r13s13", "forward", "1352 products"),
    ("n1c1h9w400-k1r1s3-dil1x99", "forward", "numbers in registers"),
)


@pytest.mark.parametrize(("text", "direction", "reason"), REFUSED)
def test_what_the_kernel_cannot_do_is_an_error_with_its_reason(device, text, direction, reason):
    """Never a silent switch to another kernel."""
    assert reason in str(fault(ANY_SIZE, parse(text), direction))
    with pytest.raises(ConfigError, match=reason):
        PatchPlan(parse(text), direction, device, ANY_SIZE)


@pytest.mark.parametrize(
    "fields", [{"rows": 0}, {"rows": 32}, {"threads": 48}, {"threads": 2048}, {"blocks": 0}], ids=str
)
def test_a_config_that_no_kernel_has_is_an_error(fields):
    with pytest.raises(ConfigError, match=f"{next(iter(fields))}={next(iter(fields.values()))}"):
        PatchConfig(**fields)


LARGE = (
    "n32c32h112w112-k32r3s3-pad1-g32", "n32c96h112w112-k96r3s3-pad1-stride2-g96", "n32c384h14w14-k384r3s3-pad1-g384",
    "n32c960h7w7-k960r3s3-pad1-g960", "n32c128h56w56-k128r5s5-pad2-g128", "n32c96h56w56-k96r7s7-pad3-g96",
)  # fmt: skip


@pytest.mark.parametrize("text", LARGE)
def test_large_problems_have_the_patches_by_default_that_cost_least(text):
    problem = parse(text)
    default, space = DEPTHWISE.configs(problem, "forward")[0], DEPTHWISE.space_for(problem, "forward")
    patches = [each for each in space if isinstance(each, PatchConfig)]
    assert default == patches[0]
    assert len(patches) == len(set(patches)) > len({each.rows for each in patches}) > 1
    assert all(fault(each, problem, "forward") is None for each in patches)
    costs = [cycles(each, Correlation.of(problem, "forward")) for each in patches if each.is_specialised]
    assert costs == sorted(costs)
    assert costs[0] > problem.macs / (128 * problem.n * problem.k)  # the products alone, in 128 lanes


def test_a_usual_layer_has_four_by_four_results_in_a_thread():
    """Sixteen results share 36 elements of the map, and are stored by fours."""
    default = DEPTHWISE.configs(parse("n32c32h112w112-k32r3s3-pad1-g32"), "forward")[0]
    assert (default.rows, default.columns) == (4, 4)


@given(problem=problems(depthwise=True))
def test_small_problems_keep_the_kernel_that_all_share(problem):
    assert not any(isinstance(config, PatchConfig) for config in DEPTHWISE.configs(problem, "forward"))
    assert all(fault(config, problem, "forward") is None for config in patch_configs(problem, "forward"))
