"""Colours differ for every kind of colour vision and stand out on white and black; no two algorithms look alike."""

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from convbench.report.palette import BASELINE, COLOURS, SHAPES, SHIPPED, looks

# Machado, Oliveira & Fernandes 2009, table 1, severity 1: what is left of linear RGB
EYES = {
    "normal": np.eye(3),
    "protanope": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranope": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanope": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(colour: str):
    """Linear RGB of sRGB (IEC 61966-2-1)."""
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def oklab(rgb):
    """Ottosson 2020, "A perceptual color space for image processing"."""
    lms = np.cbrt(
        np.array(
            [
                [0.4122214708, 0.5363325363, 0.0514459929],
                [0.2119034982, 0.6806995451, 0.1073969566],
                [0.0883024619, 0.2817188376, 0.6299787005],
            ]
        )
        @ np.clip(rgb, 0, 1)
    )
    return (
        np.array(
            [
                [0.2104542553, 0.7936177850, -0.0040720468],
                [1.9779984951, -2.4285922050, 0.4505937099],
                [0.0259040371, 0.7827717662, -0.8086757660],
            ]
        )
        @ lms
    )


def test_every_eye_tells_all_colours_apart():
    for name, matrix in EYES.items():
        seen = {colour: oklab(np.asarray(matrix) @ linear(colour)) for colour in (*COLOURS, BASELINE)}
        for one, other in combinations(seen, 2):
            assert np.linalg.norm(seen[one] - seen[other]) > 0.1, (name, one, other)


def test_colours_stand_out_from_a_light_and_a_dark_page():
    """By WCAG's contrast ratio; the page's papers are #fdfdfc and #14161a."""

    def light(colour):
        return linear(colour) @ [0.2126, 0.7152, 0.0722] + 0.05

    for colour in (*COLOURS, BASELINE):
        assert light("#fdfdfc") / light(colour) > 2
        assert light(colour) / light("#14161a") > 2.9


@given(st.sets(st.one_of(st.sampled_from(SHIPPED), st.text(min_size=1)), max_size=40), st.data())
def test_no_two_algorithms_look_alike_and_the_shipped_ones_always_look_the_same(names, data):
    families = {
        name: data.draw(st.sampled_from(["direct", "baseline"])) if name not in SHIPPED else "x" for name in names
    }
    found = looks(families.items())
    assert set(found) == names
    for place, name in enumerate(SHIPPED):
        if name in names:
            assert (found[name].colour, found[name].shape) == (COLOURS[place], SHAPES[place])
    ours = [found[name] for name in names if families[name] != "baseline"]
    assert len(set(ours)) == len(ours)
    assert all((found[name].colour == BASELINE) == (families[name] == "baseline") for name in names)
    if len(ours) <= len(COLOURS):
        assert len({look.colour for look in ours}) == len(ours)
