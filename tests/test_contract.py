"""One battery for every algorithm: the registered ones and the reference pass it, each wrong one fails it."""

from typing import Any, ClassVar

import pytest
from wrong_algorithms import WRONG, WithoutMistake, algorithm_of

from convbench.algorithm import Algorithm, Family, Plan
from convbench.devices.device import Device
from convbench.devices.guarded import GuardedDevice
from convbench.errors import RefusedError
from convbench.notation import parse
from convbench.problem import ConvProblem
from convbench.reference import convolve
from convbench.verify import Case, verify

# every feature, alone and together; each problem can be done by all but the specialised algorithms
PROBLEMS = (
    "n1c1h1w1-k1r1s1",
    "n2c3h6w7-k4r1s1-bias",
    "n1c2h9w8-k3r3s3-pad1",
    "n1c4h7w7-k4r3s3-pad2-g2-bias",
    "n2c3h6w5-k3r3s3-pad1-g3-bias",
    "n1c2h5w11-k2r3s3-pad0.2x1.0-dil2x3",
    "n1c2h9w10-k2r2s3-pad2.0x1.3-stride2x3-bias",
    "n1c3h7w9-k6r2s4-pad1-stride3x1-dil3x2-g3",
    "n1c1h4w30-k2r1s7-pad0x3",
    "n1c2h5w6-k2r3s3-pad2-bias-reflect",
    "n1c2h3w4-k2r3s3-pad1.3x2.0-replicate",
    "n1c2h4w5-k2r3s3-pad3-circular",
    "n1c24h4w4-k2r3s3-pad1",
    "n1c2h5w4-k17r2s1",  # a second tile of filters
    "n1c1h3w3-k1r3s3-pad40-dil40",  # a dilation far beyond the output
)


class Counting(GuardedDevice):
    """A device that knows how much was launched and allocated on it."""

    def __init__(self, inner: Device) -> None:
        super().__init__(inner)
        self.launches = 0

    def _launch(self, *launch: Any) -> None:
        self.launches += 1
        super()._launch(*launch)


def check_contract(algorithm: Algorithm, problem: ConvProblem, device: Device) -> bool:
    """Assert the contract on one problem; whether the algorithm computes it."""
    counting = Counting(device)
    reason = algorithm.refuses(problem)
    if reason is not None:
        assert reason.strip(), "a refusal without a reason"
        with pytest.raises(RefusedError) as caught:
            algorithm.plan(problem, counting)
        assert reason in str(caught.value)
        assert str(problem) in str(caught.value)
        assert counting.launches == 0, "launched although it refuses"
        return False
    assert algorithm.plan(problem, counting).workspace_bytes >= 0
    verdict = verify(algorithm, Case(problem, seed=1), device)
    assert verdict.passed, verdict.reason
    assert verdict.fraction is not None
    assert verdict.exact == (algorithm.error_model.exact_headroom is not None)
    return True


class Reference(Algorithm):
    """The reference in the place of a kernel: downloaded, convolved, uploaded."""

    name: ClassVar[str] = "reference"
    family: ClassVar[Family] = "direct"

    def make_plan(self, problem: ConvProblem, device: Device, config: object) -> Plan:
        class ReferencePlan(Plan):
            def run(self, x: Any, y: Any) -> None:
                x, w, bias = (device.download(array) for array in (x, self.weights, self.bias))
                result = convolve(problem, x, w, bias if problem.bias else None)
                device.write(y, result.astype(problem.dtype))

        return ReferencePlan(problem, device)


@pytest.mark.parametrize("text", PROBLEMS)
def test_every_algorithm_keeps_the_contract(algorithm, text, device):
    check_contract(algorithm, parse(text), device)


@pytest.mark.parametrize("text", PROBLEMS)
def test_the_reference_keeps_the_contract(text, device):
    assert check_contract(Reference(), parse(text), device)


@pytest.mark.parametrize("plan", WRONG, ids=lambda plan: plan.__name__)
def test_a_wrong_algorithm_is_rejected(plan, device):
    rejections = []
    for text in PROBLEMS:
        try:
            check_contract(algorithm_of(plan), parse(text), device)
        except AssertionError as error:
            rejections.append(str(error))
    assert any(WRONG[plan] in rejection for rejection in rejections), rejections


def test_the_same_algorithm_without_a_mistake_is_not_rejected(device):
    """So that the mistakes are what the wrong ones are rejected for."""
    for text in PROBLEMS:
        check_contract(algorithm_of(WithoutMistake), parse(text), device)


def test_every_algorithm_computes_some_of_the_battery(algorithm):
    """So that no algorithm passes by refusing everything."""
    assert sum(algorithm.refuses(parse(text)) is None for text in PROBLEMS) >= 3


@pytest.mark.parametrize("field", ["float64", "float16", "bfloat16", "NHWC"])
def test_what_is_not_implemented_is_refused_by_name(algorithm, field):
    reason = algorithm.refuses(parse(f"n1c1h5w5-k1r3s3-{field}"))
    assert reason is not None
    assert field in reason


@pytest.mark.parametrize("direction", ["backward_data", "backward_weights"])
def test_a_direction_that_is_not_implemented_is_refused_by_name(algorithm, direction):
    reason = algorithm.refuses(parse("n1c1h5w5-k1r3s3"), direction)
    assert reason is not None
    assert direction in reason


@pytest.mark.parametrize("text", ["n1c2h5w4-k2r3s3-pad1-g2-bias", "n1c2h4w5-k17r2s2"])
def test_every_config_is_right(algorithm, text, device):
    problem = parse(text)
    if algorithm.refuses(problem):
        pytest.skip("refused")
    for config in algorithm.configs(problem):
        verdict = verify(algorithm, Case(problem, seed=2), device, config=config)
        assert verdict.passed, f"{config}: {verdict.reason}"


def test_im2col_lowers_some_images_at_a_time(device):
    from algorithms.im2col_gemm import Config, Im2colGemm

    problem = parse("n3c2h4w4-k2r3s3-pad1-g2-bias")
    one_image = 4 * problem.groups * problem.terms * problem.p * problem.q
    for images in (1, 2, 3):
        config = Config(max_columns_bytes=images * one_image)
        assert Im2colGemm().plan(problem, device, config=config).workspace_bytes == images * one_image
        verdict = verify(Im2colGemm(), Case(problem, seed=3), device, config=config)
        assert verdict.passed, verdict.reason


@pytest.mark.parametrize("name", ["winograd_2x2_3x3", "winograd_4x4_3x3", "fft_tiled"])
def test_a_large_dilation_does_not_multiply_the_tiles(name, device):
    from convbench import registry

    small, large = (
        registry.get(name).plan(parse(f"n1c1h3w3-k1r3s3-pad{d}-dil{d}"), device).workspace_bytes for d in (3, 300)
    )
    assert large == small
