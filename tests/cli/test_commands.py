"""Each command prints the documented output, and writes its files to the documented place."""

import json
import re
import time
from itertools import product

import pytest

from convbench.algorithm import registry
from convbench.records import one_writer, read_records
from support.running import squeezed

PROBLEM = "n1c2h5w5-k2r3s3-pad1"
BENCH = "bench", PROBLEM, "--gpu", "none"  # without predicted times, which have their own tests


def test_list_names_algorithms_and_workloads(convbench):
    status, out, _ = convbench("list")
    out = squeezed(out)
    assert status == 0
    for name in ("winograd_4x4_3x3", "fft_tiled", "resnet50", "lenet5"):
        assert f"| {name} |" in out
    found = json.loads(convbench("list", "--json")[1])
    assert {key: value for key, value in found["workloads"][8].items() if key != "source"} == {
        "name": "lenet5",
        "layers": 2,
        "macs": 357600,
    }


def test_show_tells_sizes_costs_and_who_can(convbench):
    status, out, _ = convbench("show", "n1c64h56w56-k64r3s3-pad1-stride2")
    assert status == 0
    assert "(1, 64, 28, 28)" in out
    assert "28,901,376" in out
    assert "| direct | yes |" in squeezed(out)
    assert "| winograd_4x4_3x3 | no: stride is (2, 2)" in squeezed(out)
    assert "NVIDIA H200" in out
    facts = json.loads(convbench("show", "n1c64h56w56-k64r3s3-pad1-stride2", "--json")[1])
    assert facts["macs"] == 28_901_376
    assert facts["refusals"]["direct"] is None


def test_foreign_notations_are_taken_as_they_are(convbench):
    ours = convbench("show", "n32c64h56w56-k64r3s3-pad1")
    assert ours[0] == 0
    assert convbench("show", "-n 32 -c 64 -H 56 -W 56 -k 64 -y 3 -x 3 -p 1 -q 1 -u 1 -v 1 -l 1 -j 1 -g 1") == ours
    assert convbench("show", 'mb32ic64ih56oc64oh56kh3ph1n"conv2"') == ours


def test_verify_says_by_how_much_of_the_bound(convbench):
    status, out, _ = convbench("verify", PROBLEM, "--algorithm", "direct", "--algorithm", "winograd_4x4_3x3")
    assert status == 0
    assert squeezed(out).count("| passed |") == 2
    rows = json.loads(convbench("verify", PROBLEM, "--algorithm", "direct", "--json")[1])
    assert [(row["outcome"], row["exact"]) for row in rows] == [("passed", True)]
    assert 0 < rows[0]["fraction_of_bound"] < 1
    assert 0 < rows[0]["rms_error_ulp"] <= rows[0]["worst_error_ulp"] < 20


def test_bench_records_and_reports(convbench, here):
    status, out, _ = convbench(*BENCH, "--algorithm", "direct", "--algorithm", "depthwise")
    assert status == 0
    path = here / "reports" / "local" / "emulator" / "problems.jsonl"
    records, bad = read_records(path)
    assert bad == []
    assert [(r.algorithm, r.outcome) for r in records] == [("depthwise", "refused"), ("direct", "passed")], "at once"
    page = path.with_suffix(".md").read_text()
    assert page in out
    assert "(emulated on CPU)" in page
    assert ", of which compiling took " in out
    assert "reports/local/emulator/problems.jsonl" in out


def test_a_second_bench_of_the_same_records_is_refused(convbench, here):
    folder = here / "reports" / "local" / "simulator"
    folder.mkdir(parents=True)
    with one_writer(folder / "problems.jsonl"):
        status, out, err = convbench(*BENCH, "--algorithm", "direct", "--device", "simulator")
    assert (status, out) == (2, "")
    assert "simulator/problems.jsonl is being written by process" in err
    assert "--out" in err
    assert list(folder.iterdir()) == []


def test_bench_in_json_tells_where_the_records_are(convbench, here):
    status, out, _ = convbench(
        "bench", PROBLEM, "--gpu", "none", "--algorithm", "direct", "--out", "elsewhere", "--json"
    )
    told = json.loads(out)
    assert status == 0
    assert told["outcomes"] == {"passed": 1}
    assert read_records(here / told["records"])[0]
    assert (here / told["report"]).is_file()


def test_bench_without_a_gpu_predicts_times_for_the_named_one(convbench, here):
    status, out, _ = convbench("bench", PROBLEM, "--algorithm", "direct", "--gpu", "t4")
    assert status == 0
    path = here / "reports" / "local" / "emulator" / "problems.jsonl"
    (record,) = read_records(path)[0]
    assert record.predicted.gpu == "NVIDIA T4"
    assert record.predicted.us > 1
    assert not record.predicted.is_device
    assert "Every layer and algorithm, predicted for NVIDIA T4, not measured" in out
    said = "Predicted for NVIDIA T4, not measured: direct is the only algorithm with times, in 1 of 1 layer."
    assert said in out[out.index("Records:") :]
    convbench("bench", PROBLEM, "--algorithm", "direct", "--gpu", "t4", "--resume")
    assert len(read_records(path)[0]) == 1
    convbench(
        "bench", PROBLEM, "--gpu", "none", "--algorithm", "direct", "--gpu", "h200", "--resume"
    )  # it lacks what is asked for
    assert [one.predicted.gpu for one in read_records(path)[0]] == ["NVIDIA T4", "NVIDIA H200 SXM"]
    convbench("bench", PROBLEM, "--algorithm", "direct", "--gpu", "none")
    assert read_records(path)[0][-1].predicted is None
    assert "predicted" not in path.with_suffix(".md").read_text()


def test_resume_skips_what_is_recorded(convbench, here):
    convbench(*BENCH, "--algorithm", "direct")
    path = here / "reports" / "local" / "emulator" / "problems.jsonl"
    before = path.read_text()
    status, _, _ = convbench(
        "bench", PROBLEM, "--gpu", "none", "--algorithm", "direct", "--algorithm", "im2col_gemm", "--resume"
    )
    assert status == 0
    after = path.read_text()
    assert after.startswith(before)
    assert [r.algorithm for r in read_records(path)[0]] == ["direct", "im2col_gemm"]
    convbench(*BENCH, "--algorithm", "direct", "--algorithm", "im2col_gemm", "--resume")
    assert path.read_text() == after
    convbench(*BENCH, "--algorithm", "direct")
    assert [r.algorithm for r in read_records(path)[0]] == ["direct", "im2col_gemm", "direct"]


def test_resume_goes_on_behind_a_torn_line(convbench, here):
    convbench(*BENCH, "--algorithm", "direct")
    path = here / "reports" / "local" / "emulator" / "problems.jsonl"
    with path.open("a") as file:
        file.write('{"problem":"n1')
    status, _, err = convbench(
        "bench", PROBLEM, "--gpu", "none", "--algorithm", "direct", "--algorithm", "im2col_gemm", "--resume"
    )
    assert status == 0
    assert "line 2: a torn last line" in err
    records, bad = read_records(path)
    assert [r.algorithm for r in records] == ["direct", "im2col_gemm"]
    assert len(bad) == 1
    status, _, err = convbench("bench", PROBLEM, "--algorithm", "implicit_gemm", "--resume", "--gpu", "none")
    assert status == 0
    assert "line 2: a torn line" in err
    assert len(read_records(path)[0]) == 3


def test_a_workload_at_another_batch(convbench, here):
    (here / "mine.txt").write_text(f"{PROBLEM}\n")
    status, out, _ = convbench("verify", "--workload", "mine.txt", "--batch", 2, "--algorithm", "direct")
    assert status == 0
    assert "## n2c2h5w5-k2r3s3-pad1" in out
    assert "| direct | passed |" in squeezed(out)


def test_report_renders_records_again(convbench, here):
    convbench(*BENCH, "--algorithm", "direct")
    path = here / "reports" / "local" / "emulator" / "problems.jsonl"
    page = path.with_suffix(".md").read_text()
    path.with_suffix(".md").unlink()
    status, out, _ = convbench("report", path)
    assert (status, path.with_suffix(".md").read_text()) == (0, page)
    assert page in out
    assert convbench("report", path, "--out", "pages")[0] == 0
    assert (here / "pages" / "problems.md").read_text() == page
    assert json.loads(convbench("report", path, "--json")[1])[0]["algorithm"] == "direct"


def test_a_report_with_a_picture_shows_it(convbench, here):
    convbench(*BENCH, "--algorithm", "direct")
    path = here / "reports" / "local" / "emulator" / "problems.jsonl"
    assert convbench("report", path, "--picture")[0] == 0
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert "(problems.png)" in path.with_suffix(".md").read_text()


def test_lenet5_is_verified_and_timed_by_every_algorithm_in_two_minutes(convbench, here):
    start = time.process_time()
    status, out, _ = convbench("bench", "--workload", "lenet5", "--gpu", "none")
    assert time.process_time() - start < 120
    assert status == 0
    records, _ = read_records(here / "reports" / "local" / "emulator" / "lenet5.jsonl")
    outcomes = {(r.layer, r.algorithm): r.outcome for r in records}
    refused = {
        *product(("C1", "C3"), ("winograd_2x2_3x3", "winograd_4x4_3x3", "implicit_gemm_f16", "implicit_gemm_bf16")),
        ("C3", "depthwise"),
    }
    assert len(outcomes) == 2 * len(registry.names())
    assert {key for key, outcome in outcomes.items() if outcome == "refused"} == refused
    assert {outcome for key, outcome in outcomes.items() if key not in refused} == {"passed"}
    assert "| C1 " in out


def test_lenet5_is_checked_in_a_minute(convbench):
    """Processor time is measured, because the machine may be busy with other tests. Checks run on one core."""
    start = time.process_time()
    status, out, _ = convbench("verify", "--workload", "lenet5", "--device", "emulator-checked", "--json")
    assert time.process_time() - start < 60
    assert status == 0
    outcomes = [row["outcome"] for row in json.loads(out)]
    assert (outcomes.count("passed"), outcomes.count("refused")) == (15, 9)


def test_another_batch_has_its_own_file(convbench, here):
    (here / "mine.txt").write_text(f"{PROBLEM}\n")
    convbench("bench", "--workload", "mine.txt", "--gpu", "none", "--algorithm", "direct")
    convbench("bench", "--workload", "mine.txt", "--gpu", "none", "--algorithm", "direct", "--batch", 2)
    folder = here / "reports" / "local" / "emulator"
    assert {path.name for path in folder.glob("*.jsonl")} == {"mine.jsonl", "mine-n2.jsonl"}


def test_resume_does_not_take_another_seed_for_done(convbench, here):
    convbench(*BENCH, "--algorithm", "direct")
    convbench(*BENCH, "--algorithm", "direct", "--seed", 5, "--resume")
    records, _ = read_records(here / "reports" / "local" / "emulator" / "problems.jsonl")
    assert [record.seed for record in records] == [0, 5]


def test_algorithms_may_be_listed_with_commas(convbench):
    _, out, _ = convbench("verify", PROBLEM, "--algorithm", "direct,im2col_gemm", "--json")
    assert [row["algorithm"] for row in json.loads(out)] == ["direct", "im2col_gemm"]


def test_lines_that_cannot_be_read_are_listed_and_with_strict_an_error(convbench, here):
    (here / "mine.txt").write_text("n1c1h5w5-k1r3\n-n 1 -c 1 -H 5 -W 5 -k 1 -F 4\n")
    command = ("verify", "--workload", "mine.txt", "--algorithm", "direct")
    status, out, err = convbench(*command)
    assert status == 0
    assert "n1c1h5w5-k1r3s3" in out
    assert "convbench: skipped mine.txt, line 1: s missing" in err
    assert "n1c1h5w5-k1r3s3 backward_weights" in out
    status, out, err = convbench(*command, "--strict")
    assert (status, out) == (2, "")
    assert "convbench: --strict: " in err
    assert "mine.txt, line 1: s missing" in err
    assert convbench("gpu", "--out", "x", "--device", "simulator", *command[1:3], "--strict")[2] == err
    (here / "mine.txt").write_text("n1c1h5w5-k1r3s3\n")
    assert convbench(*command, "--strict")[0] == 0


def test_the_direction_option_overrides_the_direction_of_a_problem_and_says_so(convbench):
    text = "MIOpenDriver conv -n 1 -c 1 -H 5 -W 5 -k 1 -F 2"
    command = ("verify", text, "--algorithm", "direct", "--json")
    _, out, err = convbench(*command)
    assert [row["direction"] for row in json.loads(out)] == ["backward_data"]
    assert "computed" not in err
    _, out, err = convbench(*command, "--direction", "forward")
    assert [row["direction"] for row in json.loads(out)] == ["forward"]
    assert f"convbench: {text} names backward_data; forward is computed, as --direction says\n" in err
    _, out, err = convbench(*command, "--direction", "backward_data")
    assert [row["direction"] for row in json.loads(out)] == ["backward_data"]
    assert "computed" not in err


@pytest.mark.parametrize("command", ["show", "inspect"])
def test_commands_on_one_problem_use_its_direction(convbench, command):
    arguments = ("show",) if command == "show" else ("inspect", "direct")
    text = "MIOpenDriver conv -n 1 -c 1 -H 5 -W 5 -k 1 -F 2"
    _, out, err = convbench(*arguments, text, "--json")
    assert (json.loads(out)["direction"], err) == ("backward_data", "")
    _, out, err = convbench(*arguments, text, "--json", "--direction", "forward")
    assert json.loads(out)["direction"] == "forward"
    assert err == f"convbench: {text} names backward_data; forward is computed, as --direction says\n"
    _, out, err = convbench(*arguments, text.replace("-F 2", "-F 6"), "--json")
    assert json.loads(out)["direction"] == "backward_data"
    assert "names backward_data, backward_weights; this is backward_data, and --direction chooses another\n" in err


def test_each_layer_of_a_workload_has_its_own_direction(convbench, here, monkeypatch):
    monkeypatch.setattr("convbench.cli.progress.QUIET_S", 0)
    (here / "mine.txt").write_text(
        "-n 1 -c 1 -H 5 -W 5 -k 1 -F 1\n-n 1 -c 1 -H 6 -W 6 -k 1 -F 2\n-n 1 -c 1 -H 5 -W 5 -k 1 -F 4\n"
    )
    options = ("--workload", "mine.txt", "--algorithm", "direct")
    status, _, err = convbench("bench", *options)
    assert status == 0
    assert re.search("2 of 3, .*: n1c1h6w6-k1r3s3 backward_data: 1 passed; fastest direct", err)
    records, _ = read_records(here / "reports" / "local" / "emulator" / "mine.jsonl")
    found = [(record.problem, record.direction) for record in records]
    assert found == [
        ("n1c1h5w5-k1r3s3", "forward"), ("n1c1h6w6-k1r3s3", "backward_data"), ("n1c1h5w5-k1r3s3", "backward_weights"),
    ]  # fmt: skip
    page = (here / "reports" / "local" / "emulator" / "mine.md").read_text()
    assert "backward_data" in page
    assert "backward_weights" in page
    assert "n1c1h6w6" not in convbench("verify", *options, "--where", "direction == 'forward'")[1]
    assert "n1c1h5w5" not in convbench("verify", *options, "--where", "direction == 'backward_data'")[1]
    _, out, err = convbench("verify", *options, "--json", "--direction", "backward_data")
    assert [row["direction"] for row in json.loads(out)] == ["backward_data"] * 2
    told = "mine names forward (1), backward_weights (1); backward_data is computed, as --direction says"
    assert err.count(told) == 1
    status, out, _ = convbench(
        "tune", *options, "--trials", 1, "--gpu", "none", "--json", "--database", here / "tuned.jsonl"
    )
    assert status == 0
    assert [(row["problem"], row["direction"]) for row in json.loads(out)["tuned"]] == found


def test_the_direction_of_plain_problems_is_no_override(convbench):
    _, out, err = convbench("verify", PROBLEM, "--algorithm", "direct", "--json", "--direction", "backward_weights")
    assert [row["direction"] for row in json.loads(out)] == ["backward_weights"]
    assert "names" not in err


def test_a_benchdnn_command_line_is_one_quoted_word(convbench):
    assert convbench("show", "--mb=4 ic16ih7oc16oh7kh3ph1") == convbench("show", "n4c16h7w7-k16r3s3-pad1-bias")


def test_doctor_names_what_there_is_and_what_is_not(convbench):
    status, out, _ = convbench("doctor")
    assert status == 0
    assert "| numba-cuda | ok | 0.30" in squeezed(out)
    assert "| GPU | absent | no driver, for the test |" in squeezed(out)
    assert "a kernel compiles for sm_90" in out
    assert "| emulator | ok | a kernel runs on " in squeezed(out)
    assert "by numba-cuda 0.30" in out
    assert {finding["what"] for finding in json.loads(convbench("doctor", "--json")[1])} >= {"Python", "numpy", "GPU"}


def test_the_compiled_kernels_are_shown_and_removed(convbench, here, monkeypatch):
    kernels = here / "cache" / "convbench" / "emulator" / "0123456789abcdef"
    kernels.mkdir(parents=True)
    (kernels / "one").write_bytes(bytes(3 * 2**20))
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "cache"))
    status, out, err = convbench("cache")
    assert (status, err) == (0, "")
    assert out == f"{kernels.parent}: 1 compiled kernel, 3.0 MiB of at most 2.0 GiB\n"
    monkeypatch.setenv("CONVBENCH_CACHE_SIZE", "100MB")
    found = json.loads(convbench("cache", "info", "--json")[1])
    assert (found["kernels"], found["bytes"], found["limit"]) == (1, 3 * 2**20, 10**8)
    assert ": removed 1 compiled kernel" in convbench("cache", "clear")[1]
    assert json.loads(convbench("cache", "--json")[1])["kernels"] == 0
    status, out, err = convbench("cache", "clean")
    assert (status, out) == (2, "")
    assert err == "convbench: cache 'clean' is neither info nor clear; did you mean clear?\n"


@pytest.mark.parametrize(
    "words",
    [
        ("verify", "n1c1h4w4-k1r1s1"), ("bench", "n1c1h4w4-k1r1s1"), ("fuzz", "--examples", 1), ("gpu", "--out", "x"),
        ("profile", "direct", "n1c1h4w4-k1r1s1"), ("tune", "n1c1h4w4-k1r1s1"), ("run", "--cache-size", "2x", "x.py"),
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_a_size_of_the_cache_that_is_none_is_refused_before_anything_runs(convbench, monkeypatch, words):
    monkeypatch.setenv("CONVBENCH_CACHE_SIZE", "")
    status, out, err = convbench(*words, *(() if words[0] == "run" else ("--cache-size", "2x")))
    assert (status, out) == (2, "")
    message = "--cache-size (CONVBENCH_CACHE_SIZE) is a number of bytes such as 2GiB or 500MB, not '2x'"
    assert err == f"convbench: {message}\n"
