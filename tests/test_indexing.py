"""Index arithmetic: there and back again."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from algorithms.fft_tiled import bit_reversal
from algorithms.indexing import tile_count, tile_start, unflatten

sizes = st.integers(1, 9)


@given(st.tuples(sizes, sizes, sizes, sizes))
def test_unflatten_is_the_order_of_memory(shape):
    for flat, index in enumerate(np.ndindex(*shape)):
        assert unflatten(flat, *shape[1:]) == index


@given(st.integers(1, 200), st.integers(1, 20), st.integers(1, 5))
def test_tiles_hold_every_output_once(outputs, extent, dilation):
    held = [
        tile_start(tile, extent, dilation) + i * dilation
        for tile in range(tile_count(outputs, extent, dilation))
        for i in range(extent)
    ]
    assert sorted(held) == list(range(len(held))), "every place once, without a gap"
    assert outputs <= len(held) < outputs + extent * dilation, "no tile is empty but for the last group"


@given(st.integers(0, 8))
def test_bit_reversal_is_its_own_inverse(bits):
    order = bit_reversal(2**bits)
    assert sorted(order) == list(range(2**bits))
    assert [order[order[i]] for i in range(2**bits)] == list(range(2**bits))


def test_bit_reversal_of_eight():
    assert bit_reversal(8) == [0, 4, 2, 6, 1, 5, 3, 7]
