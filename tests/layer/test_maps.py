"""Maps: the parts of a convolution match their names, sum to the result, and are drawn in the right place."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from convbench import Conv2d
from convbench.algorithm import Algorithm, registry
from convbench.errors import ConvbenchError, RefusedError
from convbench.layer import decompose, read_picture
from convbench.layer.maps_picture import COLOURS, MOST_FILTERS, chart, coloured, save_maps
from convbench.problem.notation import parse
from convbench.reference.definition import convolve
from support.command_line import assert_refused
from support.running import assert_within, squeezed

PROBLEMS = (
    "n1c3h9w8-k4r3s3-bias",
    "n1c3h9w8-k6r3s2-pad1.2x0.1-stride2x1-g3-bias-reflect",
    "n1c1h7w9-k2r3s3-pad1-float64",
    "n1c3h8w8-k2r2s2-dil2-bias-bfloat16-NHWC",
    "n1c3h8w8-k2r3s3-pad1-float16-RSCK",
)


def width_of_png(path) -> int:
    with Image.open(path) as opened:
        assert opened.format == "PNG"
        return opened.width


@pytest.mark.parametrize("text", PROBLEMS)
def test_parts_are_single_convolutions_and_sum_to_the_output(text, device):
    problem = parse(text)
    maps = decompose(problem, read_picture(None, problem), device=device, seed=3)
    assert maps.comparison.passed, str(maps.comparison)
    assert maps.comparison.compared == problem.k * problem.p * problem.q
    layer = Conv2d(
        problem.c, problem.k, (problem.r, problem.s), bias=problem.bias, groups=problem.groups, dtype=problem.dtype,
        seed=3,
    )  # fmt: skip
    per_group = problem.c // problem.groups
    single = parse(str(maps.grouped)).group()
    algorithm = registry.get(maps.parts_algorithm)
    seen = [
        (c, k) for k in range(problem.k) for c in range(problem.c) if k * problem.groups // problem.k == c // per_group
    ]
    assert sorted(maps.parts) == sorted(seen)
    for (c, k), part in maps.parts.items():
        x = maps.channels[c][None, None]
        w = layer.weight[k, c % per_group][None, None]
        one = single if single.k == 1 else parse(str(single).replace(f"-k{single.k}r", "-k1r"))
        expected = convolve(one, x, w)
        bound = algorithm.error_bounds(one, "forward", {"x": x, "w": w}, expected={"y": expected})["y"]
        assert_within(actual=part[None, None], expected=expected, bound=bound)


def test_every_algorithm_computes_the_parts_or_says_why_not(algorithm, device):
    problem = parse("n1c3h12w11-k4r3s3-pad1-bias")
    if problem.dtype not in algorithm.dtypes:
        with pytest.raises(RefusedError, match=f"{algorithm.name} refuses the parts, .*: dtype float32"):
            decompose(problem, read_picture(None, problem), algorithm=algorithm.name, device=device)
        return
    maps = decompose(problem, read_picture(None, problem), algorithm=algorithm.name, device=device)
    assert maps.parts_algorithm == algorithm.name
    assert maps.comparison.passed, str(maps.comparison)
    if algorithm.refuses(problem):
        assert maps.refusal == algorithm.refuses(problem)
        assert maps.layer_algorithm == "direct"
    else:
        assert (maps.layer_algorithm, maps.refusal) == (algorithm.name, None)
    with pytest.raises(RefusedError, match="winograd_2x2_3x3 refuses the parts, n1c3h9w9-k6r2s2-g3: the filter is"):
        decompose(parse("n1c3h9w9-k2r2s2"), np.zeros((9, 9, 3), np.uint8), algorithm="winograd_2x2_3x3", device=device)


def test_a_wrong_part_is_beyond_the_bound(device, monkeypatch):
    """Parts of filters in another order sum to another layer."""
    problem = parse("n1c3h9w9-k2r3s3-bias")
    plan = Algorithm.plan

    def mixed_up(self, of, *arguments, **options):
        made = plan(self, of, *arguments, **options)
        if of.groups == 3:
            load = made.load
            made.load = lambda w, bias=None: load(device.upload(np.roll(device.download(w), 1, axis=0)), bias)
        return made

    monkeypatch.setattr(Algorithm, "plan", mixed_up)
    assert not decompose(problem, read_picture(None, problem), device=device).comparison.passed


def test_the_picture_is_resized_to_the_problem(tmp_path):
    red = Image.new("RGB", (40, 20), (255, 0, 0))
    red.save(tmp_path / "red.png")
    colour, grey = parse("n1c3h6w4-k1r1s1"), parse("n1c1h6w4-k1r1s1")
    np.testing.assert_array_equal(read_picture(tmp_path / "red.png", colour), np.full((6, 4, 3), (255, 0, 0)))
    np.testing.assert_array_equal(read_picture(tmp_path / "red.png", grey), np.full((6, 4), 76))  # ITU-R 601: 0.299
    assert read_picture(None, colour).shape == (6, 4, 3)
    assert read_picture(None, grey).shape == (6, 4)


def test_what_is_no_picture_is_refused(tmp_path):
    (tmp_path / "text.png").write_text("not a picture")
    for text in ("n2c3h5w5-k1r1s1", "n1c4h5w5-k1r1s1"):
        with pytest.raises(ConvbenchError, match="a picture has n = 1 and c = 3, or c = 1 for grey"):
            read_picture(None, parse(text))
    for name in ("text.png", "absent.png", "."):
        with pytest.raises(ConvbenchError, match="cannot be read"):
            read_picture(tmp_path / name, parse("n1c3h5w5-k1r1s1"))


@pytest.mark.parametrize(
    ("package", "module", "extra"),
    [("PIL", "maps", "report"), ("skimage.data", "maps", "maps"), ("altair", "maps_picture", "report")],
)
def test_without_a_package_the_extra_is_named(monkeypatch, package, module, extra, convbench):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"convbench.layer.{module}", raising=False)
    monkeypatch.delattr(f"convbench.layer.{module}", raising=False)
    status, _, told = convbench("show", "n1c3h5w5-k1r1s1", "--maps")
    assert status == 2
    assert f'pip install "convbench[{extra}]"' in told


# ---- the figure


def test_colours_go_from_end_to_end_and_are_white_at_zero():
    ends = coloured(np.array([[-2.0, -1.0, 0.0, 2.0]]), 2.0)[0]
    assert ["#" + bytes(colour).hex() for colour in ends] == [*COLOURS[:3], COLOURS[4]]
    assert (coloured(np.zeros((2, 2)), 0.0) == coloured(np.zeros((2, 2)), 1.0)).all()


def test_the_grid_has_every_part_in_its_row_and_column(device):
    problem = parse("n1c3h8w10-k4r3s3-bias")
    spec = chart(decompose(problem, read_picture(None, problem), device=device)).to_dict()
    (cells,) = (data for data in spec["datasets"].values() if "heading" in data[0])
    found = {(cell["row"], cell["column"]): cell["heading"] for cell in cells}
    assert found == (
        {(0, 0): "X"} | {(c + 1, 0): f"X(c={c})" for c in range(3)} | {(0, k + 1): f"Y(k={k})" for k in range(4)}
        | {(c + 1, k + 1): f"X({c}) ⋆ K({k}, {c})" for c in range(3) for k in range(4)}
    )  # fmt: skip
    assert len({(cell["x"], cell["y"]) for cell in cells}) == 20
    assert all(cell["url"].startswith("data:image/png;base64,") for cell in cells)
    assert spec["title"]["text"] == str(problem)
    assert "within the derived bound" in spec["title"]["subtitle"][1]


def test_the_png_grows_with_the_filters_up_to_a_limit(tmp_path, device):
    widths = []
    for k in (1, 3):
        problem = parse(f"n1c3h8w8-k{k}r3s3")
        save_maps(decompose(problem, read_picture(None, problem), device=device), tmp_path / "deep" / f"{k}.png")
        widths.append(width_of_png(tmp_path / "deep" / f"{k}.png"))
    assert widths[0] < widths[1]
    problem = parse(f"n1c1h3w3-k{MOST_FILTERS + 1}r1s1")
    with pytest.raises(ConvbenchError, match=r"k is 129; a picture has room for 128 filters"):
        chart(decompose(problem, read_picture(None, problem), device=device))
    problem = parse("n1c3h5w5-k1r1s1")
    with pytest.raises(ConvbenchError, match="the picture cannot be written to"):
        save_maps(decompose(problem, read_picture(None, problem), device=device), tmp_path / "deep" / "1.png" / "x.png")


# ---- the command


def test_show_maps_tells_shapes_errors_and_the_file(convbench, here):
    status, out, _ = convbench("show", "n1c3h16w12-k2r5s5-bias", "--maps")
    assert status == 0
    assert width_of_png(here / "maps-n1c3h16w12-k2r5s5-bias.png") > 0
    for line in (
        "| x (N, C, H, W) | (1, 3, 16, 12) |", "| w (K, C/G, R, S) | (2, 3, 5, 5) |", "| bias (K) | (2,) |",
        "| output maps (N, K, P, Q) | (1, 2, 12, 8) by direct |",
        "| parts, in one grouped convolution | (1, 6, 12, 8) by direct |",
        "within the derived bound, ", "Picture: maps-n1c3h16w12-k2r5s5-bias.png",
    ):  # fmt: skip
        assert line in squeezed(out)


def test_show_maps_takes_a_picture_an_algorithm_a_seed_and_a_file(convbench, here):
    Image.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 10, 3)).save(here / "mine.png")
    words = ("show", "n1c3h6w6-k2r3s3", "mine.png", "--maps", "--out", "a/b.png", "--device", "emulator", "--json")
    facts = [json.loads(convbench(*words, "--algorithm", "im2col_gemm", "--seed", seed)[1]) for seed in (1, 2, 1)]
    assert facts[0] == facts[2]
    assert facts[0]["largest_error"] != facts[1]["largest_error"]
    assert facts[0]["parts_algorithm"] == facts[0]["layer_algorithm"] == "im2col_gemm"
    assert facts[0]["picture"] == "mine.png"
    assert facts[0]["parts"] == [1, 6, 4, 4]
    assert facts[0]["within_bound"] is True
    assert width_of_png(here / facts[0]["file"]) > 0
    status, out, _ = convbench("show", "n1c3h6w6-k2r3s3", "--maps", "--algorithm", "depthwise")
    assert status == 0
    assert "by direct, for the other refuses it: groups = 1 is not c = 3" in out


def test_show_maps_beyond_the_bound_is_status_1(convbench, monkeypatch):
    monkeypatch.setattr("convbench.reference.error_model.ErrorModel.bounds", lambda *given, expected, **options: {
        name: np.full(value.shape, 1e-12) for name, value in expected.items()
    })  # fmt: skip
    status, out, _ = convbench("show", "n1c3h6w6-k2r3s3", "--maps")
    assert status == 1
    assert "BEYOND the derived bound" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("picture.png", "--seed", 3), "IMAGE, --seed can be given with --maps only"),
        (("--algorithm", "direct", "--out", "x.png"), "--algorithm, --out can be given with --maps only"),
        (("--maps", "--direction", "backward_data"), "maps are of the direction forward, not backward_data"),
        (("--maps", "--algorithm", "fastest"), "algorithm 'fastest' is unknown"),
        (("--maps", "absent.png"), "picture absent.png cannot be read"),
        (("--maps", "--device", "tpu"), "device 'tpu' is unknown"),
    ],
)
def test_show_maps_refuses_what_makes_no_sense(convbench, words, message):
    assert_refused(convbench("show", "n1c3h6w6-k2r3s3", *words), message)
