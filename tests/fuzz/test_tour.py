"""200 cases launch every kernel that an algorithm offers for what is drawn; counted by drawing without running."""

from itertools import islice
from random import Random

import pytest

from algorithms.direct.plain import Direct
from algorithms.gemm.tiled_config import SPLITS, TILES, TiledConfig
from algorithms.winograd.fused_plan import FusedConfig
from algorithms.winograd.staged import TILES as WINOGRAD_TILES
from algorithms.winograd.staged import StagedConfig
from cases.planted.algorithms import CannotBeAsked
from convbench.algorithm import registry
from convbench.devices.emulator import EmulatorDevice
from convbench.errors import ConfigError
from convbench.fuzz import Campaign, FuzzCase, Suit, Verdict, campaign, config_of
from convbench.fuzz.tour import Tour, kernel_of
from convbench.problem import DIRECTIONS

CASES = 200
# of the tiles of a window, which are ranked anew for each problem, only the best are ever launched
OFFERED_ANEW = {"direct_tiled": 25, "fft_tiled": 10}


@pytest.fixture(scope="module")
def emulator():
    return EmulatorDevice(checked=True, workers=1)


@pytest.fixture
def drawn(emulator, monkeypatch):
    """The first cases of a campaign, and their configs."""
    monkeypatch.setattr(campaign, "judge", lambda *_: Verdict(outcome="passed"))

    def drawn(algorithm, seed=0) -> list[tuple[FuzzCase, object]]:
        steps = islice(Campaign([algorithm], emulator, seed=seed).steps(), CASES)
        return [(step.case, config_of(algorithm, step.case)) for step in steps if step.case]

    return drawn


@pytest.mark.parametrize("name", registry.names())
def test_200_cases_have_every_kernel_that_was_on_offer(name, drawn):
    algorithm = registry.get(name)
    cases = drawn(algorithm)
    launched = {kernel_of(config, case.direction) for case, config in cases}
    offered = {
        kernel_of(config, case.direction)
        for case, _ in cases for config in algorithm.space_for(case.problem, case.direction)
    }  # fmt: skip
    if name in OFFERED_ANEW:
        assert len(launched) >= OFFERED_ANEW[name]
    else:
        assert launched == offered


def test_200_cases_have_every_tile_with_every_number_of_stages_and_all_splits(drawn):
    found = [config for _, config in drawn(registry.get("implicit_gemm")) if isinstance(config, TiledConfig)]
    tiles = {((c.tile_k, c.tile_o, c.tile_t, c.thread_k, c.thread_o), c.stages) for c in found}
    assert tiles >= {(tile, stages) for tile in TILES for stages in (2, 3, 4)}
    assert {config.splits for config in found} >= set(SPLITS)
    assert {config.is_specialised for config in found} == {False, True}
    assert {config.pixels for config in found} == {1, 4}


@pytest.mark.parametrize("name", ["winograd_2x2_3x3", "winograd_4x4_3x3"])
def test_200_cases_have_every_tile_of_the_batched_product(name, drawn):
    found = [config for _, config in drawn(registry.get(name)) if isinstance(config, StagedConfig)]
    assert {config.gemm for config in found} >= set(WINOGRAD_TILES)


def test_gradients_by_the_weights_have_many_parts_in_every_dtype(drawn):
    algorithm = registry.get("implicit_gemm")
    splits = {
        (case.problem.dtype, config.splits)
        for case, config in drawn(algorithm) if case.direction == "backward_weights"
    }  # fmt: skip
    assert splits >= {(dtype, parts) for dtype in algorithm.dtypes for parts in (4, 32)}


def test_the_tour_depends_on_the_seed_alone(drawn):
    algorithm = registry.get("implicit_gemm_f16")
    once = [case for case, _ in drawn(algorithm)]
    assert [case for case, _ in drawn(algorithm)] == once
    assert [case for case, _ in drawn(algorithm, seed=1)] != once


def test_a_tour_ends_where_nothing_is_new(emulator):
    """A plain method has three configs, and a class for each dtype, direction and size; then nothing is asked."""
    suit = Suit(Direct(), emulator, DIRECTIONS)
    tour = Tour(suit, Random(0))
    case = FuzzCase.read("direct forward n1c1h3w3-k1r1s1 integers seed=0")
    asked = [tour.next(lambda *_: case.problem) for _ in range(300)]
    assert 5 < len([one for one in asked if one]) < 90
    assert not any(asked[220:])


def test_a_config_that_the_device_cannot_run_is_no_case(emulator):
    class OnlyOne(Direct):
        def plan(self, problem, device, *, direction="forward", config=None):
            if config.threads != 64:
                raise ConfigError("no")
            return super().plan(problem, device, direction=direction, config=config)

    tour = Tour(Suit(OnlyOne(), emulator, DIRECTIONS), Random(0))
    case = FuzzCase.read("direct forward n1c1h3w3-k1r1s1 integers seed=0")
    found = [one[2].threads for _ in range(60) if (one := tour.next(lambda *_: case.problem))]
    assert set(found) == {64}


def test_an_algorithm_that_cannot_be_asked_has_no_tour(emulator):
    assert Tour(Suit(CannotBeAsked(), emulator, DIRECTIONS), Random(0)).next(lambda *_: None) is None


def test_400_cases_have_each_class_of_configs_with_many_images_terms_and_results(emulator, monkeypatch):
    """Kernels that are only for large problems are no config of the rows, which have the most sizes."""
    monkeypatch.setattr(campaign, "judge", lambda *_: Verdict(outcome="passed"))
    algorithm = registry.get("winograd_2x2_3x3")
    steps = islice(Campaign([algorithm], emulator, seed=0).steps(), 2 * CASES)
    found = [(step.case, config_of(algorithm, step.case)) for step in steps if step.case]
    fused = [case for case, config in found if isinstance(config, FusedConfig)]
    assert max(case.problem.n for case in fused) >= 6
    for direction, terms, results in (("forward", "c", "k"), ("backward_data", "k", "c")):
        problems = [case.problem for case in fused if case.direction == direction]
        assert max(getattr(problem, terms) // problem.groups for problem in problems) > 100
        assert max(getattr(problem, results) // problem.groups for problem in problems) > 100
