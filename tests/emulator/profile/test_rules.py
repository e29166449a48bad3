"""The rules of counting, against tables that were worked out by hand, and properties that must hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convbench.emulator.counting import rules

LANE = np.arange(32)


def shared(addresses, width, *, is_matrix=False):
    """(wavefronts, ideal)."""
    return rules.shared_wavefronts(np.array(addresses, np.int64), width, is_matrix)[:2]


def sectors(addresses, width):
    """(sectors, ideal, lines, used bytes)."""
    return rules.global_sectors(np.array(addresses, np.int64), width, np.empty(32 * (width // 32 + 2), np.int64))


# Wavefronts of lanes `stride` elements apart, for strides 1 to 33.
# 32 bits: lane i asks for bank (stride · i) mod 32, so gcd(stride, 32) lanes meet in a bank.
# 64 bits: of 16 lanes, gcd(stride, 16) meet in a pair of banks, in two halves.
# 128 bits: of 8 lanes, gcd(stride, 8) meet in four banks, in four quarters.
STRIDES = {
    4: [1, 2, 1, 4, 1, 2, 1, 8, 1, 2, 1, 4, 1, 2, 1, 16, 1, 2, 1, 4, 1, 2, 1, 8, 1, 2, 1, 4, 1, 2, 1, 32, 1],
    8: [2, 4, 2, 8, 2, 4, 2, 16, 2, 4, 2, 8, 2, 4, 2, 32, 2, 4, 2, 8, 2, 4, 2, 16, 2, 4, 2, 8, 2, 4, 2, 32, 2],
    16: [4, 8, 4, 16, 4, 8, 4, 32, 4, 8, 4, 16, 4, 8, 4, 32, 4, 8, 4, 16, 4, 8, 4, 32, 4, 8, 4, 16, 4, 8, 4, 32, 4],
}


@pytest.mark.parametrize(
    ("width", "stride", "wavefronts"),
    [(width, number + 1, count) for width, counts in STRIDES.items() for number, count in enumerate(counts)],
)
def test_strides_in_shared_memory(width, stride, wavefronts):
    assert shared(LANE * stride * width, width) == (wavefronts, width // 4)


def only(lanes, addresses):
    return np.where(np.isin(LANE, lanes), addresses, -1)


SHARED = {
    # broadcasts: lanes with one word share it
    "32 bits, one word": (0 * LANE, 4, 1, 1),
    "32 bits, two words of one bank": (LANE % 2 * 128, 4, 2, 1),
    "32 bits, two words of two banks": (LANE % 2 * 4, 4, 1, 1),
    "32 bits, a word for each half": (LANE // 16 * 128, 4, 2, 1),
    "32 bits, four lanes for a word": (LANE // 4 * 4, 4, 1, 1),
    "32 bits, eight words of one bank": (LANE // 4 * 128, 4, 8, 1),
    "8 bits side by side": (LANE, 1, 1, 1),
    "16 bits side by side": (LANE * 2, 2, 1, 1),
    "16 bits, a word apart": (LANE * 4, 2, 1, 1),
    "16 bits, 32 words apart": (LANE * 128, 2, 32, 1),
    "16 bits, halves of words of one bank": (LANE // 2 * 128 + LANE % 2 * 2, 2, 16, 1),
    # one address for all lanes is its own pair, so that passes merge
    "64 bits, one element": (0 * LANE, 8, 1, 1),
    "128 bits, one element": (0 * LANE, 16, 2, 2),
    # pairs i ^ 1 and i ^ 2
    "64 bits, neighbours share": (LANE // 2 * 8, 8, 1, 1),
    "64 bits, every other shares": ((LANE // 4 * 2 + LANE % 2) * 8, 8, 1, 1),
    "64 bits, lanes i and i + 16 share": (LANE % 16 * 8, 8, 2, 2),
    "64 bits, lanes i and i + 4 share": ((LANE // 8 * 4 + LANE % 4) * 8, 8, 2, 2),
    "64 bits, neighbours share, 4-way": (LANE // 2 * 32, 8, 4, 1),
    "128 bits, neighbours share": (LANE // 2 * 16, 16, 2, 2),
    "128 bits, every other shares": ((LANE // 4 * 2 + LANE % 2) * 16, 16, 2, 2),
    "128 bits, lanes i and i + 8 share": (LANE % 8 * 16, 16, 4, 4),
    "128 bits, neighbours share, rows of 128 bytes": (LANE // 2 * 128, 16, 16, 2),
    "128 bits, all but one neighbour share": (np.where(LANE == 1, 512, LANE // 2 * 16), 16, 5, 4),
    # operands 32 bytes apart, as of 8 by 8 register tiles: 2-way in each quarter
    "128 bits, 32 bytes apart": (LANE % 16 * 32, 16, 8, 4),
    # swizzles of rows of 128 bytes
    "32 bits, column of 32, rotated": (LANE * 128 + LANE * 4 % 128, 4, 1, 1),
    "32 bits, column of 32, exclusive or": (LANE * 128 + (LANE ^ 5) * 4, 4, 1, 1),
    "128 bits, rows of 128 bytes": (LANE * 128, 16, 32, 4),
    "128 bits, rows of 128 bytes, swizzled": (LANE * 128 + (LANE % 8) * 16, 16, 4, 4),
    "128 bits, swizzled by two rows": (LANE * 128 + (LANE // 2 % 8) * 16, 16, 8, 4),
    # partial warps
    "32 bits, 16 lanes": (only(range(16), LANE * 4), 4, 1, 1),
    "32 bits, one lane": (only([7], LANE * 4), 4, 1, 1),
    "32 bits, even lanes": (only(range(0, 32, 2), LANE * 4), 4, 1, 1),
    "32 bits, even lanes, 4 words apart": (only(range(0, 32, 2), LANE * 8), 4, 2, 1),
    "32 bits, no lane": (only([], LANE), 4, 0, 0),
    "64 bits, first half": (only(range(16), LANE * 8), 8, 1, 1),
    "64 bits, a lane of each half": (only([0, 16], LANE * 8), 8, 2, 1),  # partners are inactive: one pass, in one bank
    "64 bits, even lanes": (only(range(0, 32, 2), LANE * 8), 8, 2, 1),  # merged: lanes 0 and 16 meet in a bank
    "64 bits, even lanes side by side": (only(range(0, 32, 2), LANE * 4), 8, 1, 1),
    "64 bits, 24 lanes": (only(range(24), LANE * 8), 8, 2, 2),
    "128 bits, one quarter": (only(range(8), LANE * 16), 16, 1, 1),
    "128 bits, 20 lanes": (only(range(20), LANE * 16), 16, 3, 3),
    "128 bits, one lane": (only([31], LANE * 16), 16, 1, 1),
    "128 bits, every fourth lane": (only(range(0, 32, 4), LANE // 4 * 16), 16, 2, 2),
}


@pytest.mark.parametrize("case", SHARED)
def test_patterns_in_shared_memory(case):
    addresses, width, wavefronts, ideal = SHARED[case]
    assert shared(addresses, width) == (wavefronts, ideal)


@pytest.mark.parametrize(
    ("addresses", "wavefronts", "ideal"),
    [
        (LANE * 16, 4, 4),  # x4, rows side by side
        (LANE * 128, 32, 4),  # rows of 128 bytes: 8-way in each phase
        (LANE * 144, 4, 4),  # padded by 16 bytes
        (LANE * 80, 4, 4),  # rows of 32 halves, padded by 8: 5 · i mod 8 differs for 8 rows
        (LANE * 64, 16, 4),
        (only(range(8), LANE * 128), 8, 1),  # x1
        (only(range(16), LANE * 16), 2, 2),  # x2
        (0 * LANE, 4, 4),  # phases do not merge
    ],
)
def test_matrices(addresses, wavefronts, ideal):
    assert shared(addresses, 16, is_matrix=True) == (wavefronts, ideal)


GLOBAL = {
    "32 bits side by side": (LANE * 4, 4, (4, 4, 1, 128)),
    "32 bits, misaligned by 4": (LANE * 4 + 4, 4, (5, 4, 2, 128)),
    "32 bits, misaligned by a sector": (LANE * 4 + 32, 4, (4, 4, 2, 128)),
    "32 bits, every second": (LANE * 8, 4, (8, 4, 2, 128)),
    "32 bits, every eighth": (LANE * 32, 4, (32, 4, 8, 128)),
    "32 bits, rows of 4 KiB": (LANE * 4096, 4, (32, 4, 32, 128)),
    "32 bits, one element": (0 * LANE, 4, (1, 1, 1, 4)),
    "32 bits, backwards": ((31 - LANE) * 4, 4, (4, 4, 1, 128)),
    "32 bits, two rows of 16": (LANE // 16 * 4096 + LANE % 16 * 4, 4, (4, 4, 2, 128)),
    "32 bits, four rows of 8": (LANE // 8 * 4096 + LANE % 8 * 4, 4, (4, 4, 4, 128)),
    "32 bits, rows of 4": (LANE // 4 * 4096 + LANE % 4 * 4, 4, (8, 4, 8, 128)),
    "32 bits, 20 lanes": (only(range(20), LANE * 4), 4, (3, 3, 1, 80)),
    "8 bits side by side": (LANE, 1, (1, 1, 1, 32)),
    "8 bits, misaligned by one": (LANE + 1, 1, (2, 1, 1, 32)),
    "8 bits around the end of a line": (LANE + 120, 1, (2, 1, 2, 32)),
    "8 bits, three channels": (LANE * 3, 1, (3, 1, 1, 32)),
    "16 bits side by side": (LANE * 2, 2, (2, 2, 1, 64)),
    "64 bits side by side": (LANE * 8, 8, (8, 8, 2, 256)),
    "64 bits, misaligned by 8": (LANE * 8 + 8, 8, (9, 8, 3, 256)),
    "128 bits side by side": (LANE * 16, 16, (16, 16, 4, 512)),
    "128 bits, 32 bytes apart": (LANE * 32, 16, (32, 16, 8, 512)),
    "128 bits, one element": (0 * LANE, 16, (1, 1, 1, 16)),
    "256 bits side by side": (LANE * 32, 32, (32, 32, 8, 1024)),
    "no lane": (only([], LANE), 4, (0, 0, 0, 0)),
}


@pytest.mark.parametrize("case", GLOBAL)
def test_patterns_in_global_memory(case):
    addresses, width, counts = GLOBAL[case]
    assert sectors(addresses, width) == counts


@pytest.mark.parametrize(
    ("addresses", "most"),
    [(LANE * 4, 1), (0 * LANE, 32), (LANE // 2 * 4, 2), (LANE % 5 * 4, 7), (only([3], LANE), 1), (only([], LANE), 0)],
)
def test_contention_of_atomics(addresses, most):
    assert rules.contention(np.array(addresses, np.int64)) == most


# ---- published counts (the sources are in the comments)


def test_published_counts_of_shared_memory():
    # a public profile on cc 7.5 with 32-way conflicts everywhere: 968,936,000 excessive of 31,256,000 requests
    wavefronts, ideal = shared(LANE * 128, 4)
    assert (wavefronts - ideal) * 31_256_000 == 968_936_000
    # NVIDIA developer forum, 359822: 8,844,480 loads of 128 bits, of rows 128 bytes apart and swizzled
    assert shared(LANE * 128, 16)[0] * 8_844_480 == 283_023_360
    assert shared(LANE * 128 + LANE % 8 * 16, 16)[0] * 8_844_480 == 35_377_920
    # a public profile of SGEMM on an A10: 4 loads of 128 bits, 32 bytes apart, on a line that ran 26,214,400 times
    wavefronts, ideal = shared(LANE % 16 * 32, 16)
    assert 4 * (wavefronts - ideal) * 26_214_400 == 419_430_400


# ---- properties

widths = st.sampled_from([4, 8, 16])


@st.composite
def accesses(draw):
    width = draw(widths)
    places = draw(st.lists(st.integers(0, 255) | st.none(), min_size=32, max_size=32))
    return np.array([-1 if place is None else place * width for place in places], np.int64), width


@settings(max_examples=60, deadline=None)
@given(accesses(), st.randoms(use_true_random=False))
def test_lanes_that_share_a_pass_may_change_places(access, random):
    addresses, width = access
    group = 32 // (width // 4)
    order = [lane for first in range(0, 32, group) for lane in random.sample(range(first, first + group), group)]
    before, after = (shared(each, width) for each in (addresses, addresses[order]))
    # a permutation may only make or break pairs that merge passes, which 32 bits do not have
    is_paired = any(shared(each, width)[1] < sum(bool((each[n : n + group] >= 0).any()) for n in range(0, 32, group))
                    for each in (addresses, addresses[order]))  # fmt: skip
    assert before == after or is_paired
    assert sorted(sectors(addresses, width)) == sorted(sectors(addresses[order], width))


@settings(max_examples=60, deadline=None)
@given(accesses())
def test_wavefronts_and_sectors_lie_between_the_ideal_and_the_worst(access):
    addresses, width = access
    wavefronts, ideal = shared(addresses, width)
    active = int((addresses >= 0).sum())
    assert (active > 0) <= ideal <= wavefronts <= max(active, ideal)
    found, least, lines, used = sectors(addresses, width)
    assert least <= found <= 32
    assert used <= active * width
    assert lines <= found <= 4 * lines


@settings(max_examples=30)
@given(st.integers(1, 64), widths)
def test_padding_a_row_by_one_element_removes_the_conflict_of_a_column(rows, width):
    assert shared(LANE * (32 * rows // rows + 1) * width, width) == (width // 4, width // 4)


@settings(max_examples=30)
@given(st.integers(0, 31), st.integers(0, 1000))
def test_a_shift_by_whole_lines_changes_nothing(stride, lines):
    addresses = LANE * stride * 4
    assert sectors(addresses, 4) == sectors(addresses + 128 * lines, 4)
    assert shared(addresses, 4) == shared(addresses + 4 * lines, 4)
