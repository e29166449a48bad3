"""Shards of a workload: together they are the whole, none overlaps another, and their work is about the same."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench import workload
from convbench.errors import ConvbenchError
from convbench.problem.notation import parse
from convbench.workload import Layer
from convbench.workload.shards import Shard

sizes = st.lists(st.integers(1, 10_000), min_size=1, max_size=30, unique=True)


def layers_of(channels: list[int]) -> tuple[Layer, ...]:
    return tuple(Layer(name=f"l{c}", problem=parse(f"n1c{c}h3w3-k1r1s1")) for c in channels)


@given(sizes, st.data())
def test_shards_are_disjoint_and_complete_and_the_order_of_the_layers_does_not_matter(channels, data):
    layers, count = layers_of(channels), data.draw(st.integers(1, len(channels)))
    shards = [Shard(number, count).of(layers) for number in range(1, count + 1)]
    assert sorted(layer.name for shard in shards for layer in shard) == sorted(layer.name for layer in layers)
    assert all(shards)
    other = data.draw(st.permutations(layers))
    assert [{*Shard(number, count).of(other)} for number in range(1, count + 1)] == [{*shard} for shard in shards]
    for shard in shards:
        assert list(shard) == [layer for layer in layers if layer in shard], "the order is kept"


@given(sizes, st.integers(1, 8))
def test_no_shard_has_more_than_the_mean_and_one_layer_more(channels, count):
    """Until the last layer came to it, a shard had no more than any other, and so no more than the mean."""
    layers = layers_of(channels)
    if count > len(layers):
        return
    loads = [sum(layer.problem.macs for layer in Shard(number, count).of(layers)) for number in range(1, count + 1)]
    largest = max(layer.problem.macs for layer in layers)
    assert max(loads) <= max(largest, sum(loads) / count + largest)


def test_shards_of_a_long_list_are_balanced():
    layers = workload.load("timm_conv2d_unique").distinct().layers
    for count in (4, 64):
        loads = [sum(layer.problem.macs for layer in Shard(number, count).of(layers)) for number in (1, count)]
        assert max(loads) < 1.01 * min(loads)


def test_directions_of_a_problem_are_layers_of_their_own():
    (layer,) = layers_of([4])
    both = layer, replace(layer, direction="backward_data")
    assert {*Shard(1, 2).of(both), *Shard(2, 2).of(both)} == {*both}
    assert Shard(1, 2).of(both) != Shard(2, 2).of(both)


@pytest.mark.parametrize("text", ["0/3", "4/3", "x/3", "3", "1/0", "-1/3", "1/3/4", "１/3", "1 / 3", ""])
def test_another_text_is_refused_with_the_rule(convbench, text):
    status, out, err = convbench("verify", "n1c1h3w3-k1r1s1", f"--shard={text}")
    assert (status, out) == (2, "")
    assert f"--shard {text}: a shard is I/N with whole numbers, 1 ≤ I ≤ N, such as 3/16" in err


def test_more_shards_than_layers_are_refused():
    with pytest.raises(ConvbenchError, match="--shard 1/3: a shard has a layer or more, and there are only 2 layers"):
        Shard(1, 3).of(layers_of([1, 2]))


def test_shards_of_verify_and_bench_make_the_whole_and_have_files_of_their_own(convbench, here):
    problems = "n1c1h3w3-k1r1s1", "n1c2h3w3-k1r1s1", "n1c4h3w3-k1r1s1"
    words = *problems, "--algorithm", "direct", "--device", "simulator"
    status, out, err = convbench("verify", *words, "--shard", "2/2")
    assert (status, err) == (0, "convbench: shard 2/2: 2 of 3 layers, 42.9 % of the multiply-adds\n")
    assert [problem in out for problem in problems] == [True, True, False]
    for shard in ("1/2", "2/2"):
        assert convbench("bench", *words, "--samples", 1, "--shard", shard)[0] == 0
    folder = here / "reports" / "local" / "simulator"
    assert sorted(file.name for file in folder.glob("*.jsonl")) == [
        "problems-shard-1-of-2.jsonl", "problems-shard-2-of-2.jsonl",
    ]  # fmt: skip
    assert convbench("merge", "all.jsonl", folder)[1].splitlines()[1] == "Kept:     3"
