"""The baselines: correct within the bounds of their precision, run only on request, and refused by name elsewhere."""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convbench.algorithm import registry
from convbench.baselines.library import count_in_tf32, count_of_unknown
from convbench.baselines.torch_baselines import CudnnTf32, TorchCpu, TorchCpuPlan
from convbench.devices.emulator import EmulatorDevice
from convbench.errors import RefusedError
from convbench.measurement import Case, verify
from convbench.problem import DIRECTIONS
from convbench.problem.notation import parse
from convbench.reference.error_model import roundings
from support.strategies import any_problems

ON_THE_PROCESSOR = "numpy", "scipy", "torch_cpu"


@pytest.fixture(scope="module")
def emulator():
    return EmulatorDevice()


@pytest.mark.parametrize("name", ON_THE_PROCESSOR)
@settings(max_examples=60)
@given(problem=any_problems(), direction=st.sampled_from(DIRECTIONS), seed=st.integers(0, 9))
def test_a_baseline_agrees_with_the_reference(name, emulator, problem, direction, seed):
    algorithm = registry.get(name)
    if algorithm.refuses(problem, direction) is None:
        verdict = verify(algorithm, Case(problem, seed, direction), emulator)
        assert verdict.passed, verdict.reason


def test_every_direction_and_dtype_has_a_baseline_on_the_processor():
    able = {
        (direction, dtype)
        for direction in DIRECTIONS
        for dtype in ("float32", "float64", "float16", "bfloat16")
        if registry.get("numpy").refuses(parse(f"n1c2h5w5-k2r3s3-{dtype}"), direction) is None
    }
    assert len(able) == 12


def test_baselines_are_no_algorithms_to_compare_unless_asked_for():
    assert set(registry.baseline_names()) == {"cudnn", "cudnn_tf32", "numpy", "scipy", "torch_cpu"}
    assert not set(registry.baseline_names()) & set(registry.names())
    for name in registry.baseline_names():
        assert registry.get(name).family == "baseline"


class Elsewhere(EmulatorDevice):
    """A device whose arrays are not NumPy's."""

    def upload(self, host):
        return list(host)


@pytest.mark.parametrize(("name", "device", "words"), [
    ("cudnn", EmulatorDevice, "needs a GPU, and device emulator is none"),
    ("cudnn_tf32", EmulatorDevice, "needs a GPU"),
    ("torch_cpu", Elsewhere, "arrays of device emulator are elsewhere"),
    ("numpy", Elsewhere, "runs on the processor"),
])  # fmt: skip
def test_a_device_that_a_baseline_cannot_use_is_refused_by_name(name, device, words):
    with pytest.raises(RefusedError, match=words):
        registry.get(name).plan(parse("n1c1h3w3-k1r1s1"), device())


def test_half_precision_that_is_not_summed_in_float32_is_refused():
    for dtype in ("float16", "bfloat16"):
        problem = parse(f"n1c2h5w5-k2r3s3-{dtype}")
        assert dtype in str(registry.get("torch_cpu").refuses(problem, "backward_data"))
        assert registry.get("torch_cpu").refuses(problem) is None
        assert registry.get("torch_cpu").refuses(problem, "backward_weights") is None
        of_two = replace(problem, n=2)
        assert "sums the images of dw" in str(registry.get("torch_cpu").refuses(of_two, "backward_weights"))
        assert registry.get("torch_cpu").refuses(replace(of_two, dtype="float32"), "backward_weights") is None


def test_precision_is_named():
    problem, half = parse("n1c1h3w3-k1r1s1"), parse("n1c1h3w3-k1r1s1-float16")
    precisions = {
        name: registry.get(name).precision(problem) for name in (*registry.names(), *registry.baseline_names())
    }
    assert precisions.pop("cudnn_tf32") == precisions.pop("implicit_gemm_tf32") == "tf32"
    assert precisions.pop("implicit_gemm_3xtf32") == "3xtf32"
    assert set(precisions.values()) == {"float32"}
    assert registry.get("cudnn").precision(half) == "float16"
    assert "float32" in str(registry.get("cudnn_tf32").refuses(half))


def rounded(bits: int):
    """torch_cpu with both factors rounded to so many bits, as tensor cores round them."""

    def cut(array: Any) -> np.ndarray:
        mantissas, exponents = np.frexp(np.asarray(array, np.float64))
        return np.ldexp(np.round(mantissas * 2**bits) / 2**bits, exponents).astype(np.float32)

    class Plan(TorchCpuPlan):
        def compute(self, *read):
            self.weights = cut(self.weights)
            return super().compute(*map(cut, read))

    class Rounded(TorchCpu):
        plans: ClassVar = {"forward": Plan}

    return Rounded


@pytest.mark.parametrize("text", ["n1c8h12w12-k4r3s3-pad1", "n2c64h7w7-k8r1s1", "n1c3h20w20-k8r5s5"])
def test_one_precision_does_not_pass_for_another(text, emulator):
    """TF32 has 11 bits, bfloat16 8: what is called strict may have neither, and what is called TF32 not the second."""
    case = Case(parse(text), 0)
    assert verify(TorchCpu(), case, emulator).passed
    assert not verify(rounded(11)(), case, emulator).passed
    as_tf32 = rounded(11)()
    as_tf32.error_model = CudnnTf32.error_model
    assert verify(as_tf32, case, emulator).passed


def test_tf32_counts_two_roundings_to_eleven_bits():
    problem = parse("n1c64h8w8-k64r3s3")
    extra = roundings(count_in_tf32(problem, "forward")) * 2.0**-24
    assert 2 * 2.0**-11 <= extra <= 2 * 2.0**-11 * 1.01
    assert roundings(count_of_unknown(problem, "forward")) < 2.0**10
