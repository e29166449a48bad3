"""`compare` pairs records of the same measurement, names those without a partner, and refuses empty sides."""

import numpy as np
import pytest

from cases import synthetic
from convbench.errors import ConvbenchError
from convbench.records import FAILURES
from convbench.records.comparison import compare, turn
from convbench.records.pairing import pair
from convbench.records.record import OUTCOMES
from support.comparing import side, verdicts

CPU = synthetic.ENVIRONMENT | {"cpu": "another processor"}


@pytest.mark.parametrize(
    "other",
    [
        {"problem": "n1c64h56w56-k64r3s3-pad1-float16"}, {"direction": "backward_data"}, {"algorithm": "fft_tiled"},
        {"precision": "tf32"},
    ],
)  # fmt: skip
def test_what_is_not_the_same_measurement_has_no_partner(other):
    old, new = side(), [*side(seed=1), *side(seed=2, **other)]
    compared = compare(old, new)
    assert len(compared.comparisons) == 1
    assert [one.record for one in compared.only_new] == [new[1]]
    compared = compare(new, old)
    assert [one.record for one in compared.only_old] == [new[1]]
    assert compared.only_new == ()


def test_configs_are_kept_apart_unless_only_they_changed():
    small, large = ({"config": {"tile": size}} for size in (8, 16))
    both = compare([*side(**small), *side(40, **large)], [*side(40, seed=1, **large), *side(seed=1, **small)])
    assert verdicts(both) == ["same", "same"]
    changed = compare(side(**small), side(seed=1, **large))
    assert verdicts(changed) == ["same"]
    assert [(d.what, d.old, d.new) for d in changed.differences] == [
        ("config of direct", '{"tile": 8}', '{"tile": 16}')
    ]
    ambiguous = compare([*side(**small), *side(**large)], side(config={"tile": 32}))
    assert (len(ambiguous.only_old), len(ambiguous.only_new)) == (2, 1)
    refused = synthetic.record(outcome="refused", reason="for the test")
    gone = compare([*side(**small), *side(**large)], [refused])
    assert [change.turn for change in gone.outcomes] == ["changed"]
    assert len(compare([refused], [*side(**small), *side(**large)]).outcomes) == 2


def test_names_of_layers_tell_apart_what_is_alike_and_part_nothing():
    old = [*side(20, layer="a"), *side(40, layer="b")]
    new = [*side(40, seed=1, layer="b"), *side(20, seed=1, layer="a")]
    assert verdicts(compare(old, new)) == ["same", "same"]
    renamed = compare(side(layer="a"), side(seed=1, layer="z", workload="another"))
    assert verdicts(renamed) == ["same"]


def test_the_latest_record_counts_wherever_it_stands():
    early, late = "2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"
    old = [*side(90, when=late), *side(20, when=late), *side(90, when=early)]
    compared = compare(old, side(seed=1))
    assert verdicts(compared) == ["same"]
    assert compared.pairs.repeated == 2
    assert compared.only_old == ()


def test_a_state_of_the_cache_that_one_side_lacks_is_named():
    random = np.random.default_rng(0)
    old, new = synthetic.timed(random, 20), synthetic.timed(random, 20, cold=None)
    compared = compare([old], [new])
    assert [one.cache for one in compared.comparisons] == ["warm"]
    assert [(one.record, one.cache) for one in compared.only_old] == [(old, "cold")]
    assert compare([old], [new], caches=("warm",)).only_old == ()
    assert compare([old], [new], caches=("cold",)).comparisons == ()


@pytest.mark.parametrize("new", OUTCOMES)
@pytest.mark.parametrize("old", OUTCOMES)
def test_a_failure_that_was_none_is_broken_and_one_that_passes_is_mended(old, new):
    def ended(outcome):
        return side() if outcome == "passed" else [synthetic.record(outcome=outcome, reason="for the test")]

    compared = compare(ended(old), ended(new))
    if old == new:
        assert compared.outcomes == ()
        assert compared.untimed == (old != "passed")
        return
    (change,) = compared.outcomes
    assert change.turn == turn(old, new)
    assert (change.turn == "broken") == (new in FAILURES and old not in FAILURES) == compared.has_regression
    assert (change.turn == "mended") == (old in FAILURES and new == "passed")


DEVICES = {
    "another GPU": {"device": synthetic.GPU | {"name": "NVIDIA A100"}},
    "the emulator": {"device": synthetic.EMULATOR},
    "a part of the GPU": {"device": synthetic.GPU | {"multiprocessors": 16}},
}


@pytest.mark.parametrize("fields", DEVICES.values(), ids=DEVICES)
def test_different_devices_are_compared_only_when_asked_for_and_then_it_is_said(fields):
    old, new = side(), side(seed=1, **fields)
    with pytest.raises(ConvbenchError, match="--across-devices only") as refused:
        compare(old, new)
    assert "NVIDIA H200" in str(refused.value)
    compared = compare(old, new, across_devices=True)
    assert verdicts(compared) == ["same"]
    assert "Different devices: OLD was measured on NVIDIA H200" in compared.pairs.notice
    assert compare(old, old, across_devices=True).pairs.notice is None


def test_emulated_times_of_another_processor_are_of_another_device():
    emulated = {"device": synthetic.EMULATOR}
    with pytest.raises(ConvbenchError, match="another processor"):
        compare(side(**emulated), side(**emulated, environment=CPU))
    assert verdicts(compare(side(**emulated), side(seed=1, **emulated))) == ["same"]
    assert verdicts(compare(side(), side(seed=1, environment=CPU))) == ["same"]  # of a GPU, it is no matter


def test_a_device_of_one_side_alone_has_no_partners():
    emulated = side(device=synthetic.EMULATOR)
    compared = compare([*side(), *emulated], side(seed=1))
    assert verdicts(compared) == ["same"]
    assert [one.record for one in compared.only_old] == emulated
    with pytest.raises(ConvbenchError, match="one on each side"):
        compare([*side(), *emulated], side(seed=1), across_devices=True)


@pytest.mark.parametrize("empty", ["OLD", "NEW"])
def test_a_side_without_records_is_no_comparison(empty):
    sides = ([], side()) if empty == "OLD" else (side(), [])
    with pytest.raises(ConvbenchError, match=f"{empty} has no records"):
        pair(*sides)


def test_differences_of_the_environment_are_listed_and_nothing_that_is_alike():
    packages = synthetic.ENVIRONMENT["packages"] | {"numpy": "2.4.1"}
    device = synthetic.GPU | {"driver": "590.10"}
    new = side(seed=1, device=device, environment=synthetic.ENVIRONMENT | {"commit": "ff", "packages": packages})
    found = {one.what: (one.old, one.new) for one in compare(side(), new).differences}
    assert found == {
        "device: driver": ("580.65", "590.10"),
        "packages: numpy": ("2.4.0", "2.4.1"),
        "commit": (synthetic.ENVIRONMENT["commit"], "ff"),
    }
