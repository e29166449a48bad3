"""Algorithms are found by name, built in, registered or from entry points. Unknown and doubled names are errors."""

from importlib.metadata import EntryPoint, entry_points

import pytest

from algorithms.direct.plain import Direct
from convbench.algorithm import Algorithm, registry
from convbench.errors import ConvbenchError, DuplicateNameError, UnknownNameError

BUILT_IN = [
    "depthwise", "direct", "direct_tiled", "fft_tiled", "im2col_gemm", "implicit_gemm", "implicit_gemm_3xtf32",
    "implicit_gemm_bf16", "implicit_gemm_f16", "implicit_gemm_tf32", "winograd_2x2_3x3", "winograd_4x4_3x3",
]  # fmt: skip


@pytest.fixture
def empty_register(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})


def named(name):
    return type("Mine", (Direct,), {"name": name})


@pytest.fixture(autouse=True)
def read_anew():
    """What is installed, or a test says so, is read once in a process."""
    registry._entry_points.cache_clear()
    yield
    registry._entry_points.cache_clear()


def test_the_built_in_algorithms_come_by_entry_points():
    assert {point.name for point in entry_points(group=registry.GROUP)} >= set(BUILT_IN)


def test_every_algorithm_has_the_name_that_it_is_found_by():
    for name in BUILT_IN:
        assert registry.get(name).name == name


def test_an_unknown_name_is_an_error_that_lists_what_exists():
    with pytest.raises(UnknownNameError) as caught:
        registry.get("magic")
    assert "'magic'" in str(caught.value)
    for name in BUILT_IN:
        assert name in str(caught.value)


def test_a_registered_algorithm_is_found(empty_register):
    mine = registry.register(named("mine"))
    assert isinstance(registry.get("mine"), mine)
    assert "mine" in registry.names()


@pytest.mark.parametrize("name", ["direct", "mine"])
def test_a_name_can_be_taken_once(empty_register, name):
    if name == "mine":
        registry.register(named("mine"))
    with pytest.raises(DuplicateNameError, match=f"'{name}' exists already; taken are .*direct_tiled"):
        registry.register(named(name))


def test_two_packages_with_one_name_are_an_error(monkeypatch):
    points = [EntryPoint("direct", f"{package}:Direct", registry.GROUP) for package in ("ours", "theirs")]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    with pytest.raises(DuplicateNameError, match=r"ours:Direct and theirs:Direct"):
        registry.names()


def test_an_entry_point_must_be_an_algorithm_of_its_name(monkeypatch):
    points = [EntryPoint("mine", "algorithms.direct:Direct", registry.GROUP)]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    with pytest.raises(ConvbenchError, match=r"'mine', from algorithms\.direct:Direct, cannot be loaded: .*not 'mine'"):
        registry.get("mine")


@pytest.mark.parametrize("target", ["no_such_package:Mine", "algorithms.direct:Nothing", "json:dumps", "sys:exit"])
def test_a_broken_entry_point_is_named_and_the_others_still_load(monkeypatch, target):
    points = [
        EntryPoint("mine", target, registry.GROUP),
        EntryPoint("direct", "algorithms.direct:Direct", registry.GROUP),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    with pytest.raises(ConvbenchError, match=f"'mine', from {target}"):
        registry.get("mine")
    found, (fault,) = registry.available()
    assert [algorithm.name for algorithm in found] == ["direct"]
    assert target in fault


@pytest.mark.parametrize("broken", [type("NoName", (), {}), type("NoFamily", (Algorithm,), {"name": "x"}), 3])
def test_only_algorithms_can_be_registered(empty_register, broken):
    with pytest.raises(ConvbenchError, match=r"is no Algorithm class|has no family"):
        registry.register(broken)
