"""The command line: what it prints, where it writes, and that every mistake gets one clear message and status 2."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from convbench import cli, devices
from convbench.record import read_records

PROBLEM = "n1c2h5w5-k2r3s3-pad1"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder, and no GPU, so that the same is tested on any machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(devices, "cuda_fault", lambda: "no driver, for the test")
    monkeypatch.setattr(devices, "gpu_evidence", lambda root=Path("/"): None)
    return tmp_path


@pytest.fixture
def convbench(here, capsys):
    """Run a command in this process: (status, standard output, standard error)."""

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(word) for word in words])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def squeezed(table: str) -> str:
    """A table without the spaces that align it."""
    return re.sub(" +", " ", table)


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


def test_verifying_nothing_is_not_a_success(convbench):
    status, out, err = convbench("verify", PROBLEM, "--algorithm", "depthwise")
    assert status == 1
    assert "refused" in out
    assert "nothing passed" in err


WRONG_PLUGIN = """
from wrong_algorithms import OffByOnePadding
from convbench import Algorithm, register
@register
class Mine(Algorithm):
    name, family = "mine_wrong", "direct"
    def make_plan(self, problem, device, config):
        return OffByOnePadding(problem, device)
"""


@pytest.fixture
def wrong_plugin(here, monkeypatch):
    from convbench import registry

    monkeypatch.setattr(registry, "_registered", {})
    (here / "mine.py").write_text(WRONG_PLUGIN)
    return here / "mine.py"


@pytest.mark.parametrize("command", ["verify", "bench"])
def test_a_wrong_algorithm_gives_status_1(convbench, wrong_plugin, command):
    words = (command, PROBLEM, "--plugin", wrong_plugin, "--algorithm", "mine_wrong", "--algorithm", "direct")
    status, out, err = convbench(*words)
    assert status == 1
    assert "elements are wrong" in out
    assert "1 of 2 results are wrong or failed" in err


def test_bench_records_and_reports(convbench, here):
    status, out, _ = convbench("bench", PROBLEM, "--algorithm", "direct", "--algorithm", "depthwise")
    assert status == 0
    path = here / "reports" / "simulator" / "problems.jsonl"
    records, bad = read_records(path)
    assert bad == []
    assert [(r.algorithm, r.outcome) for r in records] == [("direct", "passed"), ("depthwise", "refused")]
    page = path.with_suffix(".md").read_text()
    assert page in out
    assert "simulated" in page
    assert "reports/simulator/problems.jsonl" in out


def test_bench_in_json_tells_where_the_records_are(convbench, here):
    status, out, _ = convbench("bench", PROBLEM, "--algorithm", "direct", "--out", "elsewhere", "--json")
    told = json.loads(out)
    assert status == 0
    assert told["outcomes"] == {"passed": 1}
    assert read_records(here / told["records"])[0]
    assert (here / told["report"]).is_file()


def test_resume_skips_what_is_recorded(convbench, here):
    convbench("bench", PROBLEM, "--algorithm", "direct")
    path = here / "reports" / "simulator" / "problems.jsonl"
    before = path.read_text()
    status, _, _ = convbench("bench", PROBLEM, "--algorithm", "direct", "--algorithm", "im2col_gemm", "--resume")
    assert status == 0
    after = path.read_text()
    assert after.startswith(before)
    assert [r.algorithm for r in read_records(path)[0]] == ["direct", "im2col_gemm"]
    convbench("bench", PROBLEM, "--algorithm", "direct", "--algorithm", "im2col_gemm", "--resume")
    assert path.read_text() == after
    convbench("bench", PROBLEM, "--algorithm", "direct")
    assert [r.algorithm for r in read_records(path)[0]] == ["direct", "im2col_gemm", "direct"]


def test_resume_goes_on_behind_a_torn_line(convbench, here):
    convbench("bench", PROBLEM, "--algorithm", "direct")
    path = here / "reports" / "simulator" / "problems.jsonl"
    with path.open("a") as file:
        file.write('{"problem":"n1')
    status, _, err = convbench("bench", PROBLEM, "--algorithm", "direct", "--algorithm", "im2col_gemm", "--resume")
    assert status == 0
    assert "line 2: a torn last line" in err
    records, bad = read_records(path)
    assert [r.algorithm for r in records] == ["direct", "im2col_gemm"]
    assert len(bad) == 1
    status, _, err = convbench("bench", PROBLEM, "--algorithm", "implicit_gemm", "--resume")
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
    convbench("bench", PROBLEM, "--algorithm", "direct")
    path = here / "reports" / "simulator" / "problems.jsonl"
    page = path.with_suffix(".md").read_text()
    path.with_suffix(".md").unlink()
    status, out, _ = convbench("report", path)
    assert (status, path.with_suffix(".md").read_text()) == (0, page)
    assert page in out
    assert convbench("report", path, "--out", "pages")[0] == 0
    assert (here / "pages" / "problems.md").read_text() == page
    assert json.loads(convbench("report", path, "--json")[1])[0]["algorithm"] == "direct"


def test_a_report_with_a_picture_shows_it(convbench, here):
    convbench("bench", PROBLEM, "--algorithm", "direct")
    path = here / "reports" / "simulator" / "problems.jsonl"
    assert convbench("report", path, "--picture")[0] == 0
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert "(problems.png)" in path.with_suffix(".md").read_text()


def test_lenet5_is_verified_and_timed_by_every_algorithm_in_three_minutes(convbench, here):
    start = time.monotonic()
    status, out, _ = convbench("bench", "--workload", "lenet5")
    assert time.monotonic() - start < 180
    assert status == 0
    records, _ = read_records(here / "reports" / "simulator" / "lenet5.jsonl")
    outcomes = {(r.layer, r.algorithm): r.outcome for r in records}
    refused = {("C1", "winograd_2x2_3x3"), ("C1", "winograd_4x4_3x3"), ("C3", "winograd_2x2_3x3"),
               ("C3", "winograd_4x4_3x3"), ("C3", "depthwise")}  # fmt: skip
    assert len(outcomes) == 16
    assert {key for key, outcome in outcomes.items() if outcome == "refused"} == refused
    assert {outcome for key, outcome in outcomes.items() if key not in refused} == {"passed"}
    assert "| C1 " in out


@pytest.mark.parametrize(("line", "told"), [('{"torn', "a torn last line"), ("foreign\n", "no record")])
def test_a_report_with_bad_lines_renders_the_rest_and_gives_status_2(convbench, here, line, told):
    convbench("bench", PROBLEM, "--algorithm", "direct")
    path = here / "reports" / "simulator" / "problems.jsonl"
    content = path.read_text() + line
    path.write_text(content)
    path.with_suffix(".md").unlink()
    status, out, err = convbench("report", path)
    assert status == 2
    assert f"problems.jsonl, line 2: {told}" in err
    assert err.count("\n") == 1
    assert "| line" not in out
    assert "direct" in path.with_suffix(".md").read_text()
    assert path.read_text() == content


def test_nothing_is_appended_to_a_foreign_file(convbench, here):
    path = here / "reports" / "simulator" / "problems.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("my shopping list\nmilk\n")
    status, _, err = convbench("bench", PROBLEM, "--algorithm", "direct")
    assert status == 2
    assert "line 1" in err
    assert path.read_text() == "my shopping list\nmilk\n"


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("show", "n1c0h5w5-k1r3s3"), ("c is 0", "at least 1")),
        (("show", "n1c1h5w5-k1r3s3-pad-1"), ("padding is", "negative")),
        (("show", "n1c3h5w5-k4r3s3-g2"), ("groups is 2", "divide c = 3")),
        (("show", "n1c1h2w5-k1r3s3"), ("spans 3 in height", "only 2")),
        (("show", "n1c1h5w5-k1r3"), ("position 13", "s missing")),
        (("show", "n1c1h5w5-k1r3s3-oops"), ("position 16", "oops")),
        (("show", "-n 1 -c 1 -Q 7"), ("position",)),
        (("show", "mb1ic1ih5oc1kh3zz9"), ("position",)),
        (("show", PROBLEM, "--direction", "sideways"), ("sideways", "backward_data")),
        (("verify", PROBLEM, "--algorithm", "magic"), ("'magic'", "direct_tiled")),
        (("verify", "--workload", "resnet51"), ("'resnet51'", "resnet50")),
        (("verify", PROBLEM, "--workload", "lenet5"), ("one of the two",)),
        (("verify",), ("one of the two", "lenet5")),
        (("verify", PROBLEM, "--batch", "0"), ("n is 0",)),
        (("verify", PROBLEM, "--device", "tpu"), ("'tpu'", "simulator")),
        (("verify", PROBLEM, "--device", "cuda"), ("cuda was asked for", "no driver, for the test")),
        (("bench", PROBLEM, "--device", "cuda"), ("cuda was asked for",)),
        (("verify", PROBLEM, "--plugin", "none.py"), ("none.py", "no file")),
        (("verify", PROBLEM, "--plugin", "no_such_module"), ("no_such_module", "cannot be imported")),
        (("report", "none.jsonl"), ("none.jsonl", "No such file")),
        (("bench", PROBLEM, "--algorithm", "direct", "--out", "/dev/null/x"), ("cannot be", "/dev/null/x")),
    ],
)
def test_a_call_that_makes_no_sense_gets_one_message_and_status_2(convbench, here, words, parts):
    status, out, err = convbench(*words)
    assert status == 2
    assert out == ""
    assert err.startswith("convbench: ")
    assert "Traceback" not in err
    for part in parts:
        assert part in err
    assert not (here / "reports").exists()


def test_a_page_is_never_written_over_what_is_no_page(convbench, here):
    (here / "notes.md").write_text("mine\n")
    status, _, err = convbench("report", "notes.md")
    assert (status, (here / "notes.md").read_text()) == (2, "mine\n")
    assert "would be written over" in err
    (here / "notes.txt").write_text("mine\n")
    (here / "notes.md").unlink()
    assert convbench("report", "notes.txt")[0] == 2
    assert not (here / "notes.md").exists()


def test_two_files_of_one_name_are_not_rendered_to_one_page(convbench, here):
    for folder in ("a", "b"):
        convbench("bench", PROBLEM, "--algorithm", "direct", "--out", folder)
    files = [f"{folder}/simulator/problems.jsonl" for folder in ("a", "b")]
    assert convbench("report", *files, "--out", "pages")[0] == 2
    assert not (here / "pages").exists()
    status, out, _ = convbench("report", *files, "--json")
    assert (status, len(json.loads(out))) == (0, 2)


def test_another_batch_has_its_own_file(convbench, here):
    (here / "mine.txt").write_text(f"{PROBLEM}\n")
    convbench("bench", "--workload", "mine.txt", "--algorithm", "direct")
    convbench("bench", "--workload", "mine.txt", "--algorithm", "direct", "--batch", 2)
    assert {path.name for path in (here / "reports" / "simulator").glob("*.jsonl")} == {"mine.jsonl", "mine-n2.jsonl"}


def test_resume_does_not_take_another_seed_for_done(convbench, here):
    convbench("bench", PROBLEM, "--algorithm", "direct")
    convbench("bench", PROBLEM, "--algorithm", "direct", "--seed", 5, "--resume")
    records, _ = read_records(here / "reports" / "simulator" / "problems.jsonl")
    assert [record.seed for record in records] == [0, 5]


def test_algorithms_may_be_listed_with_commas(convbench):
    _, out, _ = convbench("verify", PROBLEM, "--algorithm", "direct,im2col_gemm", "--json")
    assert [row["algorithm"] for row in json.loads(out)] == ["direct", "im2col_gemm"]


def test_a_benchdnn_command_line_is_one_quoted_word(convbench):
    assert convbench("show", "--mb=4 ic16ih7oc16oh7kh3ph1") == convbench("show", "n4c16h7w7-k16r3s3-pad1-bias")


BROKEN_PLUGIN = """
import sys
from convbench import Algorithm, ErrorModel, Plan, register
class Idle(Plan):
    def run(self, x, y):
        pass
class Base(Algorithm):
    family = "direct"
    error_model = ErrorModel(exact_headroom=None)
    def make_plan(self, problem, device, config):
        return Idle(problem, device)
@register
class Nothing(Base):
    name = "writes_nothing"
@register
class Limits(Base):
    name = "limits_raise"
    def limits(self, problem):
        raise RuntimeError("my limits")
@register
class Configs(Base):
    name = "no_configs"
    def configs(self, problem):
        return ()
@register
class Exits(Base):
    name = "exits"
    def make_plan(self, problem, device, config):
        sys.exit(0)
"""


def test_whatever_a_plugin_does_is_recorded_and_the_rest_goes_on(convbench, here, monkeypatch):
    from convbench import registry

    monkeypatch.setattr(registry, "_registered", {})
    (here / "broken.py").write_text(BROKEN_PLUGIN)
    names = ["writes_nothing", "limits_raise", "no_configs", "exits", "direct"]
    status, _, err = convbench("bench", PROBLEM, "--plugin", "broken.py", "--algorithm", ",".join(names))
    assert status == 1
    assert "4 of 5 results are wrong or failed" in err
    records, bad = read_records(here / "reports" / "simulator" / "problems.jsonl")
    assert bad == []
    assert {r.algorithm: r.outcome for r in records} == dict(
        zip(names, ["wrong", "crashed", "crashed", "crashed", "passed"], strict=True)
    )
    reasons = {r.algorithm: str(r.reason) for r in records}
    assert "is nan" in reasons["writes_nothing"]
    assert reasons["limits_raise"] == "RuntimeError: my limits"
    assert reasons["exits"] == "SystemExit: 0"
    monkeypatch.setattr(registry, "_registered", {})
    status, out, _ = convbench("show", PROBLEM, "--plugin", "broken.py")
    assert status == 0
    assert "it fails: RuntimeError: my limits" in out


@pytest.mark.parametrize("body", ["import sys; sys.exit(3)", "1 / 0", "def"])
def test_a_plugin_that_cannot_be_imported_is_named(convbench, here, body):
    (here / "bad.py").write_text(body)
    status, _, err = convbench("list", "--plugin", "bad.py")
    assert status == 2
    assert "plugin bad.py cannot be imported" in err


@pytest.mark.parametrize("words", [("verify", PROBLEM, "--oops"), ("dance",), ("verify", PROBLEM, "--seed", "x")])
def test_unknown_options_and_commands_give_status_2(convbench, words):
    status, _, err = convbench(*words)
    assert status == 2
    assert "Traceback" not in err


def test_a_broken_gpu_is_named_and_not_replaced(convbench, monkeypatch):
    monkeypatch.setattr(devices, "gpu_evidence", lambda root=Path("/"): "/dev/nvidia0")
    status, _, err = convbench("verify", PROBLEM)
    assert status == 2
    assert "/dev/nvidia0" in err
    assert "no driver, for the test" in err
    assert convbench("verify", PROBLEM, "--algorithm", "direct", "--device", "simulator")[0] == 0
    status, out, _ = convbench("doctor")
    assert status == 1
    assert "| GPU | broken |" in squeezed(out)


def test_doctor_names_what_there_is_and_what_is_not(convbench):
    status, out, _ = convbench("doctor")
    assert status == 0
    assert "| numba-cuda | ok | 0.30" in squeezed(out)
    assert "| GPU | absent | no driver, for the test |" in squeezed(out)
    assert "a kernel compiles for sm_90" in out
    assert {finding["what"] for finding in json.loads(convbench("doctor", "--json")[1])} >= {"Python", "numpy", "GPU"}


def test_doctor_says_why_numpy_2_5_will_not_do(convbench, monkeypatch):
    from convbench import doctor

    real = doctor.version
    monkeypatch.setattr(doctor, "version", lambda name: "2.5.1" if name == "numpy" else real(name))
    status, out, _ = convbench("doctor")
    assert status == 1
    assert "| numpy | broken | 2.5.1 |" in squeezed(out)
    assert "numpy<2.5" in out


# ---- in processes of their own


def test_help_answers_at_once():
    """Half a second is promised. Processor time is measured, for the machine may be busy with other tests."""
    taken = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-m", "convbench", "--help"], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert "verify" in done.stdout
    assert 0 < min(taken) < 0.5


@pytest.mark.parametrize(
    "statement", ["import convbench", "import convbench; convbench.parse('n1c1h5w5-k1r3s3')", "import convbench.cli"]
)
def test_importing_the_suite_does_not_import_numba(statement):
    code = (
        f"import sys; {statement}; print([m for m in sys.modules if m.split('.')[0] in ('numba', 'pandas', 'numpy')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_ctrl_c_keeps_what_was_measured_and_resume_goes_on(tmp_path):
    """The words and statuses of a real interrupt: two quick results, then one that takes long."""
    (tmp_path / "work.txt").write_text("n1c1h4w4-k1r3s3\nn2c8h40w40-k8r3s3-pad1\n")
    command = [sys.executable, "-m", "convbench", "bench", "--workload", "work.txt", "--device", "simulator"]
    command += ["--algorithm", "direct", "--algorithm", "im2col_gemm"]
    path = tmp_path / "reports" / "simulator" / "work.jsonl"
    running = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_text().count("\n") >= 2):
        assert time.monotonic() < deadline, "no records within a minute"
        assert running.poll() is None
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in err
    assert "interrupted" in err
    assert str(path.relative_to(tmp_path)) in err
    assert "--resume" in err
    records, bad = read_records(path)
    assert bad == []
    assert 2 <= len(records) < 4
    assert records[0].problem in out
    assert path.with_suffix(".md").is_file()
    kept = path.read_text()
    (tmp_path / "work.txt").write_text("n1c1h4w4-k1r3s3\nn1c1h4w5-k1r3s3\n")
    again = subprocess.run([*command, "--resume"], cwd=tmp_path, capture_output=True, text=True, env=os.environ)
    assert again.returncode == 0, again.stderr
    assert path.read_text().startswith(kept)
    assert len(read_records(path)[0]) == len(records) + 2


@pytest.mark.parametrize(("redirection", "status"), [("> /dev/full", 2), (">&-", 0), ("| head -1", 0)])
def test_an_output_that_cannot_be_written_gives_no_traceback(redirection, status):
    command = f"{sys.executable} -m convbench show {PROBLEM} {redirection}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert done.returncode == status


def test_a_terminal_without_unicode_gives_no_traceback():
    command = [sys.executable, "-m", "convbench", "show", PROBLEM]
    done = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii"}, check=True)
    assert b"the filter is" in done.stdout or b"yes" in done.stdout


def test_a_full_disk_keeps_what_was_recorded(tmp_path):
    """A limit on the size of files is as good as a full disk, and harmless: 4 KiB hold a few of the ten records."""
    algorithms = "direct,im2col_gemm,depthwise,direct_tiled,implicit_gemm"
    command = (
        f"{sys.executable} -m convbench bench {PROBLEM} n1c1h3w3-k1r1s1 --device simulator --algorithm {algorithms}"
    )
    done = subprocess.run(
        ["bash", "-c", f"trap '' XFSZ; ulimit -f 4; {command}"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "cannot be written" in done.stderr
    records, _ = read_records(tmp_path / "reports" / "simulator" / "problems.jsonl")
    assert 1 <= len(records) < 10
    assert records[0].algorithm == "direct"
