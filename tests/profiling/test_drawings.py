"""Drawings of requests and of the roofline: every lane stands in its word, and conflicts and idle bytes are marked."""

import re

import pytest

from convbench.profiling.web.drawings import Point, request, roofline


def kinds(svg: str) -> dict[str, int]:
    found = re.findall(r'<rect class="(\w+)"', svg)
    return {kind: found.count(kind) for kind in set(found)}


def test_a_column_of_a_tile_is_one_bank_and_all_words_but_the_first_wait():
    drawn = request("shared", [128 * lane for lane in range(32)], 4)
    assert "32 words in 1 of 32 banks, and at most 32 words in one bank" in drawn.reading
    assert "8 more rows of 128 bytes are not drawn" in drawn.reading
    assert kinds(drawn.svg) == {"used": 1, "again": 23, "cell": 24 * 31}


def test_a_row_and_a_padded_column_have_no_conflict():
    for lanes in ([4 * lane for lane in range(32)], [132 * lane for lane in range(20)]):
        drawn = request("shared", lanes, 4)
        assert "again" not in kinds(drawn.svg)
        assert "at most 1 word in one bank" in drawn.reading


def test_one_word_for_all_lanes_is_a_broadcast():
    drawn = request("shared", [64] * 32, 4)
    assert "all 32 lanes ask for 4 bytes each: 1 words in 1 of 32 banks" in drawn.reading
    assert ">0…<" in drawn.svg


def test_global_memory_moves_whole_sectors():
    drawn = request("global", [32 * lane if lane < 8 else None for lane in range(32)], 4)
    assert "8 lanes ask for 4 bytes each: 8 sectors of 32 bytes move, and 12% of their bytes are used" in drawn.reading
    assert kinds(drawn.svg) == {"used": 8, "moved": 56}
    whole = request("global", [16 * lane for lane in range(32)], 16)
    assert "16 sectors of 32 bytes move, and 100% of their bytes" in whole.reading


def test_a_roofline_has_a_dot_and_a_ring_for_each_kernel_with_flops():
    points = [Point("mine", 2e9, 100.0, 1e8, 4e8), Point("copy", 0.0, 10.0, 1e6, 1e6), Point("<b>", 1e6, 5.0, 1e4, 1e4)]
    drawn = roofline(points, 66.9, 4.8, 16.7, "predicted for NVIDIA H200 SXM, not measured")
    assert drawn.svg.count('<circle class="dot"') == drawn.svg.count('<circle class="dot far"') == 2
    assert "predicted for NVIDIA H200 SXM, not measured" in drawn.reading
    assert ">mine</text>" in drawn.svg
    assert "<b>" not in drawn.svg
    x = [float(each) for each in re.findall(r'cx="([\d.]+)"', drawn.svg)]
    assert x[0] < x[1]  # fewer FLOPs for each byte that the L1 cache lacks
    assert roofline([points[1]], 66.9, 4.8, 16.7, "") is None


@pytest.mark.parametrize("width", [1, 2, 8, 16])
def test_every_width_is_drawn(width):
    for space in ("shared", "global"):
        assert request(space, [width * lane for lane in range(32)], width).svg.startswith("<svg")
