"""The contract battery: every registered algorithm and the reference pass it, and each wrong algorithm fails it."""

from collections.abc import Mapping
from itertools import product
from math import inf
from typing import Any, ClassVar

import pytest

from cases.problems import PROBLEMS
from cases.wrong_algorithms import WRONG, WithoutMistake, algorithm_of
from convbench.algorithm import Algorithm, Family, Plan, registry
from convbench.devices import Device, GuardedDevice
from convbench.errors import RefusedError
from convbench.measurement import Case
from convbench.problem import DIRECTIONS, DTYPES, ConvProblem, Direction, Dtype, operands
from convbench.problem.notation import parse
from convbench.reference import compute
from support.running import assert_passes
from support.strategies import in_own_dtype

# problems for tensor cores; each algorithm computes them in its own precision
TENSOR_CORES: Mapping[str, Dtype] = {
    "implicit_gemm_tf32": "float32", "implicit_gemm_3xtf32": "float32",
    "implicit_gemm_f16": "float16", "implicit_gemm_bf16": "bfloat16",
}  # fmt: skip


class Counting(GuardedDevice):
    """A device that counts its launches and allocations."""

    def __init__(self, inner: Device) -> None:
        super().__init__(inner)
        self.launches = 0

    def _launch(self, *launch: Any) -> None:
        self.launches += 1
        super()._launch(*launch)


def check_contract(
    algorithm: Algorithm, problem: ConvProblem, device: Device, direction: Direction = "forward"
) -> bool:
    """Assert the contract on one direction of a problem; returns whether the algorithm computes it."""
    counting = Counting(device)
    reason = algorithm.refuses(problem, direction)
    if reason is not None:
        assert reason.strip(), "a refusal without a reason"
        with pytest.raises(RefusedError) as caught:
            algorithm.plan(problem, counting, direction=direction)
        assert reason in str(caught.value)
        assert str(problem) in str(caught.value)
        assert counting.launches == 0, "launched although it refuses"
        return False
    assert algorithm.plan(problem, counting, direction=direction).workspace_bytes >= 0
    verdict = assert_passes(algorithm, Case(problem, 1, direction), device)
    assert verdict.fraction is not None
    assert verdict.error is not None
    assert 0 <= verdict.error.rms <= verdict.error.worst < inf
    assert verdict.exact == (algorithm.error_model.exact_headroom is not None)
    return True


class ReferencePlan(Plan):
    """A plan that downloads its inputs, computes the reference, and uploads the result."""

    def run(self, *arrays, **_):
        problem, download = self.problem, self.device.download
        given = dict(zip(operands.READ[self.direction], map(download, arrays), strict=False))
        if self.direction != "backward_weights":
            given["w"] = download(self.weights)
        if self.direction == "forward" and problem.bias:
            given["bias"] = download(self.bias)
        (result,) = compute(problem, self.direction, given).values()
        self.device.write(arrays[-1], result.astype(arrays[-1].dtype))


class Reference(Algorithm):
    """The reference, with which all others are compared, as an algorithm."""

    name: ClassVar[str] = "reference"
    family: ClassVar[Family] = "direct"
    plans: ClassVar[Mapping[Direction, type[Plan]]] = dict.fromkeys(DIRECTIONS, ReferencePlan)
    dtypes: ClassVar[tuple[Dtype, ...]] = DTYPES


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("text", PROBLEMS)
def test_every_algorithm_keeps_the_contract(algorithm, text, direction, device):
    check_contract(algorithm, in_own_dtype(parse(text), algorithm), device, direction)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("text", PROBLEMS)
def test_the_reference_keeps_the_contract(text, direction, device):
    assert check_contract(Reference(), parse(text), device, direction)


@pytest.mark.parametrize("plan", WRONG, ids=lambda plan: plan.__name__)
def test_a_wrong_algorithm_is_rejected(plan, device):
    rejections = []
    for text, direction in product(PROBLEMS, DIRECTIONS):
        try:
            check_contract(algorithm_of(plan), parse(text), device, direction)
        except AssertionError as error:
            rejections.append(str(error))
    assert any(WRONG[plan] in rejection for rejection in rejections), rejections


def test_the_same_algorithm_without_a_mistake_is_not_rejected(device):
    """This shows that the wrong algorithms are rejected for their mistakes."""
    for text, direction in product(PROBLEMS, DIRECTIONS):
        check_contract(algorithm_of(WithoutMistake), parse(text), device, direction)


def test_every_algorithm_computes_some_of_the_battery(algorithm):
    """So that no algorithm passes by refusing everything."""
    assert sum(algorithm.refuses(in_own_dtype(parse(text), algorithm)) is None for text in PROBLEMS) >= 3


def test_the_directions_of_each_algorithm():
    """Each method computes every direction that it can compute by its own means."""
    lacking = {name: set(DIRECTIONS) - set(registry.get(name).plans) for name in registry.names()}
    assert {name: directions for name, directions in lacking.items() if directions} == {
        name: {"backward_weights"}
        for name in ("winograd_2x2_3x3", "winograd_4x4_3x3", *TENSOR_CORES)
    }  # fmt: skip


def test_every_algorithm_has_every_dtype(algorithm):
    every = {TENSOR_CORES[algorithm.name]} if algorithm.name in TENSOR_CORES else set(DTYPES)
    assert set(algorithm.dtypes) == every


def test_what_is_not_implemented_is_refused_by_name():
    class ForwardOnly(Reference):
        plans: ClassVar[Mapping[Direction, type[Plan]]] = {"forward": ReferencePlan}
        dtypes: ClassVar[tuple[Dtype, ...]] = ("float32",)

    for text, direction, word in (("", "backward_data", "backward_data"), ("-float16", "forward", "float16")):
        reason = ForwardOnly().refuses(parse(f"n1c1h5w5-k1r3s3{text}"), direction)
        assert reason is not None
        assert word in reason


@pytest.mark.parametrize("text", ["n1c2h5w4-k2r3s3-pad1-g2-bias", "n1c2h4w5-k17r2s2"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_every_config_is_right(algorithm, text, direction, device):
    problem = in_own_dtype(parse(text), algorithm)
    if algorithm.refuses(problem, direction):
        pytest.skip("refused")
    for config in algorithm.configs(problem, direction):
        assert_passes(algorithm, Case(problem, 2, direction), device, config=config)


@pytest.mark.parametrize("dtype", ["", "-bfloat16"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_im2col_lowers_some_images_at_a_time(direction, dtype, device):
    from algorithms.gemm.im2col import Config, Im2colGemm

    problem = parse(f"n3c2h4w4-k2r3s3-pad1-g2-bias{dtype}")
    item = 2 if dtype and direction != "backward_data" else 4
    one_image = item * problem.groups * problem.terms * problem.p * problem.q
    for images in (1, 2, 3):
        config = Config(max_columns_bytes=images * one_image)
        unfinished = 4 * problem.k * problem.terms if dtype and direction == "backward_weights" and images < 3 else 0
        plan = Im2colGemm().plan(problem, device, direction=direction, config=config)
        assert plan.workspace_bytes == images * one_image + unfinished
        assert_passes(Im2colGemm(), Case(problem, 3, direction), device, config=config)


def test_a_split_reduction_is_a_config_and_deterministic(device):
    from algorithms.gemm.implicit import ImplicitGemm, WeightsConfig

    problem = parse("n2c3h9w8-k5r3s2-pad1")
    for splits in (1, 2, 7, 200):  # the last one is more than there are outputs
        config = WeightsConfig(splits=splits)
        assert_passes(ImplicitGemm(), Case(problem, 4, "backward_weights"), device, config=config)
    assert ImplicitGemm().configs(problem, "backward_weights")[0].splits == 1


@pytest.mark.parametrize("name", ["winograd_2x2_3x3", "winograd_4x4_3x3", "fft_tiled"])
def test_a_large_dilation_does_not_multiply_the_tiles(name, device):
    small, large = (
        registry.get(name).plan(parse(f"n1c1h3w3-k1r3s3-pad{d}-dil{d}"), device).workspace_bytes for d in (3, 300)
    )
    assert large == small
