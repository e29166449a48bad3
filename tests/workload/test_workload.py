"""Workloads: every row of every file is a problem with the row's output size; the totals agree with other sources."""

import csv
import gzip
from importlib.resources import files

import pytest

from convbench import workload
from convbench.errors import ConvbenchError, UnknownNameError
from convbench.problem.notation import parse
from convbench.workload import Layer, faults
from convbench.workload import files as workload_files

HEADER = ",".join((*workload_files.COLUMNS, "bias", "count"))
ROW = "mine,conv1,1,3,8,8,4,3,3,1,1,1,1,1,1,1,1,1,8,8,1,2"


@pytest.mark.parametrize("name", workload.names())
def test_every_row_has_the_output_size_that_it_says(name):
    with (files("convbench.workload") / "lists" / f"{name}.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    loaded = workload.load(name)
    assert len(loaded.layers) == len(rows) > 0
    for layer, row in zip(loaded.layers, rows, strict=True):
        assert (layer.problem.p, layer.problem.q) == (int(row["OH"]), int(row["OW"]))
        assert layer.problem.x_shape == tuple(int(row[column]) for column in "NCHW")
        assert layer.count == int(row.get("count") or 1)


def test_the_files_have_all_the_rows_of_their_sources():
    rows = {name: len(workload.load(name).layers) for name in workload.names()}
    assert (rows["timm_conv2d_unique"], rows["deepbench_conv"], rows["convnet_benchmarks_layerwise"]) == (9017, 217, 5)
    others = {"timm_conv2d_unique", "deepbench_conv", "convnet_benchmarks_layerwise", "lenet5", "standard"}
    assert sum(count for name, count in rows.items() if name not in others) == 603


@pytest.mark.parametrize(
    ("name", "gmacs"),
    [
        ("resnet18", 1.81), ("resnet50", 4.09), ("vgg16", 15.47), ("mobilenetv2_100", 0.30),
        ("efficientnet_b0", 0.38), ("densenet121", 2.83), ("inception_v3", 5.71),
    ],
)  # fmt: skip
def test_networks_have_the_cost_that_is_known(name, gmacs):
    assert round(workload.load(name).macs / 1e9, 2) == gmacs


def test_lenet5_is_the_network_of_the_paper():
    c1, c3 = workload.load("lenet5").layers
    assert c1.problem == parse("n1c1h28w28-k6r5s5-pad2-bias")
    assert c3.problem == parse("n1c6h14w14-k16r5s5-bias")
    assert (c1.problem.macs, c3.problem.macs) == (6 * 28 * 28 * 25, 16 * 10 * 10 * 6 * 25)


def test_a_text_file_is_a_workload_in_any_notation(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text('# all three\n\nn1c1h5w5-k1r3s3  # ours\nmb1ic1ih5oc1kh3n"theirs"\n-n 1 -c 1 -H 5 -W 5 -k 1\n')
    loaded = workload.load(str(path))
    assert [layer.problem for layer in loaded.layers] == [parse("n1c1h5w5-k1r3s3")] * 3
    assert [layer.name for layer in loaded.layers] == ["n1c1h5w5-k1r3s3"] * 3
    assert loaded.name == "mine"


def test_a_compressed_log_is_read(tmp_path):
    path = tmp_path / "mine.log.gz"
    path.write_bytes(gzip.compress(b"n1c1h5w5-k1r3s3\r\n2 n1c1h6w6-k1r3s3\n"))
    loaded = workload.load(str(path))
    assert [(layer.name, layer.count, layer.place) for layer in loaded.layers] == [
        ("n1c1h5w5-k1r3s3", 1, "line 1"), ("n1c1h6w6-k1r3s3", 2, "line 2"),
    ]  # fmt: skip
    assert loaded.name == "mine"


def test_a_sharp_in_a_benchdnn_name_is_no_comment(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text('mb1ic1ih5oc1kh3n"a#b"# and this is one\nn1c1h5w5-k1r3s3# "so\n#"\n')
    assert [layer.problem for layer in workload.load(str(path)).layers] == [parse("n1c1h5w5-k1r3s3")] * 2


def test_a_csv_file_is_a_workload(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(f"{HEADER}\n{ROW}\n")
    (layer,) = workload.load(str(path)).layers
    assert (layer.name, layer.count) == ("conv1", 2)
    assert layer.problem == parse("n1c3h8w8-k4r3s3-pad1-bias")


def test_a_byte_order_mark_is_not_part_of_the_header(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(f"{HEADER}\n{ROW}\n", encoding="utf-8-sig")
    assert len(workload.load(str(path)).layers) == 1


@pytest.mark.parametrize("name", ["mine.CSV", "mine.csv"])
def test_the_suffix_of_a_file_may_be_in_capitals(tmp_path, name):
    (tmp_path / name).write_text(f"{HEADER}\n{ROW}\n")
    assert workload.load(str(tmp_path / name)).layers[0].name == "conv1"


def test_lines_are_counted_as_an_editor_counts_them(tmp_path):
    """Blank lines have no row, and a name in quotes may hold a line break, or what only Python takes for one."""
    path, quoted = tmp_path / "mine.csv", ROW.replace("conv1", '"conv\n1"')
    path.write_text(f"{HEADER}\n\n{quoted}\n{ROW.replace('conv1', 'a' + chr(0x1C) + 'b')}\n")
    assert [layer.name for layer in workload.load(str(path)).layers] == [r"conv\n1", r"a\x1cb"]
    path.write_text(f"{HEADER}\n\n{quoted}\n{ROW.replace(',3,8,8', ',0,8,8')}\n")
    (skipped,) = workload.load(str(path)).skipped
    assert "line 5: c is 0" in skipped


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "=cmd|' /C calc'!A0", "\x1b[2Jgone", "a\u202eb", "卷积 ∗"]
)
def test_a_hostile_name_is_text_that_does_nothing(tmp_path, name):
    path = tmp_path / "mine.csv"
    path.write_text(f"{HEADER}\n{ROW.replace('conv1', name)}\n", encoding="utf-8")
    (layer,) = workload.load(str(path)).layers
    assert layer.name.isprintable()
    assert layer.name.encode().decode("unicode_escape" if "\\" in layer.name else "utf-8") == name


def test_another_batch_changes_nothing_else():
    before, after = workload.load("resnet18"), workload.load("resnet18").with_batch(32)
    assert after.macs == 32 * before.macs
    assert {layer.problem.n for layer in after.layers} == {32}


def test_a_problem_under_two_names_is_one_layer_of_both_counts(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(f"{HEADER}\n{ROW}\n{ROW.replace('conv1', 'conv2')}\n{ROW.replace('conv1,1', 'conv3,2')}\n")
    loaded = workload.load(str(path))
    assert [(layer.name, layer.count) for layer in loaded.distinct().layers] == [("conv1, conv2", 4), ("conv3", 2)]
    assert loaded.distinct().macs == loaded.macs


def test_an_unknown_workload_lists_what_exists():
    with pytest.raises(UnknownNameError, match=r"'resnet51'.*resnet50"):
        workload.load("resnet51")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"{HEADER}\n{ROW.replace('8,8,1,2', '9,8,1,2')}\n", "line 2: OH × OW is 9 × 8"),
        (f"{HEADER}\n{ROW.replace(',3,8,8', ',0,8,8')}\n", "line 2: c is 0"),
        (f"{HEADER}\n{ROW.replace(',3,8,8', ',three,8,8')}\n", "line 2: a field is no whole number"),
        (f"{HEADER}\nmine,conv1,1\n", "line 2: a field is no whole number"),
        (f"{HEADER}\n{ROW},7\n", "line 2: it has more fields than the header"),
        (f"{HEADER}\n{ROW.replace('conv1', 'conv,1')}\n", "line 2: it has more fields than the header"),
        ("a,b\n1,2\n", "the header lacks source"),
        (f"{HEADER}\n", "no problem in it"),
        (f"{HEADER}\n{ROW[:-1]}x\n", "line 2: count is 'x'"),
        (f"{HEADER}\n{ROW[:-1]}0\n", "line 2: count is '0'"),
        (f"{HEADER}\n{ROW[:-1]}-1\n", "line 2: count is '-1'"),
        (f'{HEADER}\n"{"x" * 200_000}"\n', "is no CSV"),
        ("", "the header lacks source"),
    ],
)
def test_a_bad_csv_names_file_and_line(tmp_path, content, message):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(ConvbenchError) as caught:
        workload.load(str(path))
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\nn1c1h5w5-k1r3\n", "line 2: s missing"),
        (b"n1c1h2w5-k1r3s3\n", "line 1: the filter spans 3"),
        (b"# nothing\n", "no problem in it"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_a_bad_text_file_names_file_and_line(tmp_path, content, message):
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(ConvbenchError, match=message):
        workload.load(str(path))


def test_a_line_that_cannot_be_read_does_not_lose_the_others(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("n1c1h5w5-k1r3s3\nn1c1h5w5-k1r3\nn1c1h2w5-k1r3s3\nconv -m transpose\nn1c1h6w6-k1r3s3\n")
    loaded = workload.load(str(path))
    assert [layer.name for layer in loaded.layers] == ["n1c1h5w5-k1r3s3", "n1c1h6w6-k1r3s3"]
    for skipped, (number, reason) in zip(
        loaded.skipped, [(2, "s missing"), (3, "the filter spans 3"), (4, "there is no other mode")], strict=True
    ):
        assert f"{path}, line {number}: " in skipped
        assert reason in skipped
        assert "\n" not in skipped


def test_a_row_that_cannot_be_read_does_not_lose_the_others(tmp_path):
    path = tmp_path / "mine.csv"
    wrong = [ROW.replace("8,8,1,2", "9,8,1,2"), f"{ROW},7", ROW.replace(",3,8,8", ",three,8,8"), "mine,conv1,1"]
    path.write_text("\n".join([HEADER, *wrong, ROW]))
    loaded = workload.load(str(path))
    assert [layer.name for layer in loaded.layers] == ["conv1"]
    assert [skipped.partition(": ")[0] for skipped in loaded.skipped] == [f"{path}, line {n}" for n in (2, 3, 4, 5)]


def test_many_lines_that_cannot_be_read_are_counted(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("n1c1h5w5-k1r3s3\n" + f"{'x' * 5000}\n" * 100)
    skipped = workload.load(str(path)).skipped
    assert (len(skipped), skipped[-1].partition(" of ")[0]) == (faults.LISTED + 1, "80 more lines")
    assert max(map(len, skipped)) < 1000


def test_a_benchdnn_file_counts_its_layers_and_keeps_its_knobs(tmp_path):
    path = tmp_path / "shapes_net"
    path.write_text(
        '# a net\n\n--reset --dt=f16 --dir=FWD_D --mode=P\nmb2ic3ih5oc4kh3n"net:conv1*4"   # four of it\n'
        '--attr-post-ops=relu, \\\n     sum:0.5, \\\n     linear:2:1\nmb2ic4ih5oc4kh3n"net:conv2"\n--batch=other\n'
    )
    loaded = workload.load(str(path))
    assert [(layer.name, layer.count) for layer in loaded.layers] == [
        ("n2c3h5w5-k4r3s3-float16", 4), ("n2c4h5w5-k4r3s3-float16", 1),
    ]  # fmt: skip
    (skipped,) = loaded.skipped
    assert "line 9: --batch names another file" in skipped


def test_a_log_of_many_operations_gives_its_convolutions(tmp_path):
    path = tmp_path / "log.txt"
    driver = "MIOpen(HIP): Command [{}] ./bin/MIOpenDriver conv{} -n 1 -c 1 -H 5 -W 5 -k 1 -F {} -t 1"
    lines = [
        "MIOpen(HIP): Info [Handle] stream: 0, device_id: 0",
        driver.format("LogCmdFindConvolution", "", 1),  # a search; the layer itself runs below, twice
        driver.format("LogCmdConvolution", "", 1),
        driver.format("LogCmdConvolution", "", 1),
        driver.format("LogCmdFindConvolution", "fp16", 4),  # a search alone
        "MIOpen(HIP): Command [LogCmdBNorm] ./bin/MIOpenDriver bnorm -n 1 -c 3",
        "   5 ./bin/MIOpenDriver conv -n 2 -c 1 -H 5 -W 5 -k 1 -F 2",
        "Epoch 1 done",
    ]
    path.write_text("\n".join(lines))
    loaded = workload.load(str(path)).distinct()
    assert [(layer.name, layer.direction, layer.count) for layer in loaded.layers] == [
        ("n1c1h5w5-k1r3s3", "forward", 2),
        ("n1c1h5w5-k1r3s3-float16", "backward_weights", 1),
        ("n2c1h5w5-k1r3s3", "backward_data", 5),
    ]
    assert [skipped.partition(": ")[0] for skipped in loaded.skipped] == [f"{path}, line 8"]
    told = " ".join(loaded.notes)
    assert "lines of other operations: 1 × other lines of MIOpen's log, 1 × bnorm" in told


def test_a_line_of_several_directions_is_a_layer_for_each(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("   3 -n 1 -c 1 -H 5 -W 5 -k 1 -F 6\n-n 1 -c 1 -H 5 -W 5 -k 1 -F 1\n--dir=BWD_DW ic1ih5oc1kh3\n")
    loaded = workload.load(str(path))
    assert [(layer.problem.n, layer.direction, layer.count) for layer in loaded.layers] == [
        (1, "backward_data", 3), (1, "backward_weights", 3), (1, "forward", 1),
        (2, "backward_data", 1), (2, "backward_weights", 1),
    ]  # fmt: skip
    assert loaded.directed
    assert loaded.directions() == {"backward_data": 4, "backward_weights": 4, "forward": 1}


def test_layers_that_differ_in_their_directions_stay_apart():
    problem = parse("n1c1h5w5-k1r3s3")
    given = [("a", "forward"), ("b", "backward_data"), ("c", "forward"), ("d", "backward_data"), ("e", "backward_data")]
    layers = tuple(Layer(name=name, problem=problem, direction=direction) for name, direction in given)
    mine = workload.Workload(name="mine", source="test", layers=layers)
    assert [(layer.name, layer.count, layer.direction) for layer in mine.distinct().layers] == [
        ("a, c", 2, "forward"), ("b, d, e", 3, "backward_data"),
    ]  # fmt: skip
    assert [layer.name for layer in mine.where("direction == 'backward_data' and count == 3").layers] == ["b", "d", "e"]
    # the network has the layer three times, not five times
    (only,) = mine.with_direction("backward_weights").distinct().layers
    assert (only.count, only.direction) == (3, "backward_weights")


def test_a_row_of_a_csv_file_may_have_a_direction(tmp_path):
    path = tmp_path / "mine.csv"
    rows = [f"{ROW},{direction}" for direction in ("backward_weights", "", "sideways")]
    path.write_text("\n".join([f"{HEADER},direction", *rows]))
    loaded = workload.load(str(path))
    assert [layer.direction for layer in loaded.layers] == ["backward_weights", "forward"]
    (skipped,) = loaded.skipped
    assert "line 4: direction is 'sideways'; it must be one of forward, backward_data, backward_weights" in skipped


def test_a_layer_of_an_unknown_direction_is_refused():
    with pytest.raises(ConvbenchError, match="layer 'a': direction 'sideways' is unknown; there are forward, "):
        Layer(name="a", problem=parse("n1c1h5w5-k1r3s3"), direction="sideways")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sizes", "sides", "stride", "out", "read"),
    [
        # rows that no window reads: the stride steps over them, so the input stays as it is
        ((56, 56), (0, 0, -1, -1), 2, (28, 28), "n1c3h56w56-k4r1s1-stride2"),
        # the output would have more rows with them, so they are cut off
        ((10, 10), (0, 0, -2, 0), 1, (8, 10), "n1c3h8w10-k4r1s1"),
        ((10, 10), (-1, 0, 2, -3), 1, (11, 7), "n1c3h9w7-k4r1s1-pad0.2x0"),
    ],
)
def test_a_negative_padding_is_the_equal_problem_without_it(tmp_path, sizes, sides, stride, out, read):
    row = ",".join(map(str, ("mine,conv", 1, 3, *sizes, 4, 1, 1, *sides, stride, stride, 1, 1, 1, *out, 0, 1)))
    (tmp_path / "mine.csv").write_text(f"{HEADER}\n{row}\n")
    loaded = workload.load(str(tmp_path / "mine.csv"))
    assert [str(layer.problem) for layer in loaded.layers] == [read]
    cropped = (loaded.layers[0].problem.h, loaded.layers[0].problem.w) != sizes
    assert [read in note for note in loaded.notes] == [True] * cropped


def test_the_lists_of_the_package_are_read_whole():
    assert [name for name in workload.names() if workload.load(name).skipped or workload.load(name).notes] == []
