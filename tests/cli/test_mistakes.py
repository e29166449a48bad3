"""Wrong input gets one clear message, exit status 1 or 2 and no traceback, and loses no records."""

import json
from pathlib import Path

import pytest

from convbench.devices import selection
from convbench.records import read_records
from support.command_line import assert_refused
from support.running import squeezed

PROBLEM = "n1c2h5w5-k2r3s3-pad1"


def test_verifying_nothing_is_not_a_success(convbench):
    status, out, err = convbench("verify", PROBLEM, "--algorithm", "depthwise")
    assert status == 1
    assert "refused" in out
    assert "nothing passed" in err


WRONG_PLUGIN = """
from cases.wrong_algorithms import OffByOnePadding
from convbench import Algorithm, register
@register
class Mine(Algorithm):
    name, family = "mine_wrong", "direct"
    plans = {"forward": OffByOnePadding}
"""


@pytest.fixture
def wrong_plugin(here, monkeypatch):
    from convbench.algorithm import registry

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


@pytest.mark.parametrize(
    ("line", "told"),
    [('{"torn', "a torn last line"), ("foreign\n", "no record"), ("[" * 200_000 + "]" * 200_000 + "\n", "no record")],
)
def test_a_report_with_bad_lines_renders_the_rest_and_gives_status_2(convbench, here, line, told):
    convbench("bench", PROBLEM, "--gpu", "none", "--algorithm", "direct")
    path = here / "reports" / "local" / "emulator" / "problems.jsonl"
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
    path = here / "reports" / "local" / "emulator" / "problems.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("my shopping list\nmilk\n")
    status, _, err = convbench("bench", PROBLEM, "--gpu", "none", "--algorithm", "direct")
    assert status == 2
    assert "line 1" in err
    assert path.read_text() == "my shopping list\nmilk\n"


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("run", "-m"), ("run", "name a script, or a module with -m")),
        (("run", "-m", "--checked", "program.py"), ("the name of a module, not by --checked", "options come before")),
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
        (("bench", PROBLEM, "--gpu", "mine.toml"), ("mine.toml cannot be read",)),
        (("bench", PROBLEM, "--gpu", "t4", "--device", "simulator"), ("--gpu t4", "--device emulator")),
        (("verify", PROBLEM, "--device", "tpu"), ("'tpu'", "emulator, emulator-llvm, emulator-checked, simulator")),
        (("verify", PROBLEM, "--device", "cuda"), ("cuda was asked for", "no driver, for the test")),
        (("bench", PROBLEM, "--device", "cuda"), ("cuda was asked for",)),
        (("verify", PROBLEM, "--plugin", "none.py"), ("none.py", "no file")),
        (("verify", PROBLEM, "--plugin", "no_such_module"), ("no_such_module", "cannot be imported")),
        (("report", "none.jsonl"), ("none.jsonl", "No such file")),
        (("bench", PROBLEM, "--algorithm", "direct", "--out", "/dev/null/x"), ("cannot be", "/dev/null/x")),
    ],
)
def test_a_call_that_makes_no_sense_gets_one_message_and_status_2(convbench, here, words, parts):
    assert_refused(convbench(*words), *parts)
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


def test_two_files_of_one_name_are_told_apart_by_their_folders(convbench, here):
    for folder in ("a", "b"):
        convbench("bench", PROBLEM, "--gpu", "none", "--algorithm", "direct", "--out", folder)
    files = [f"{folder}/emulator/problems.jsonl" for folder in ("a", "b")]
    status, out, _ = convbench("report", *files, "--out", "pages", "--format", "markdown")
    assert status == 0
    assert "# convbench: b/emulator/problems against a/emulator/problems" in out
    assert {path.name for path in (here / "pages").iterdir()} == {"comparison.md"}
    status, out, _ = convbench("report", *files, "--json")
    assert (status, len(json.loads(out))) == (0, 2)


BROKEN_PLUGIN = """
import sys
from convbench import Algorithm, ErrorModel, Plan, register
class Idle(Plan):
    def run(self, x, y):
        pass
class Base(Algorithm):
    family = "direct"
    error_model = ErrorModel(exact_headroom=None)
    plans = {"forward": Idle}
@register
class Nothing(Base):
    name = "writes_nothing"
@register
class Limits(Base):
    name = "limits_raise"
    def limits(self, problem, direction):
        raise RuntimeError("my limits")
@register
class Configs(Base):
    name = "no_configs"
    def configs(self, problem, direction):
        return ()
@register
class Exits(Base):
    name = "exits"
    def plan(self, problem, device, **options):
        sys.exit(0)
"""


def test_whatever_a_plugin_does_is_recorded_and_the_rest_goes_on(convbench, here, monkeypatch):
    from convbench.algorithm import registry

    monkeypatch.setattr(registry, "_registered", {})
    (here / "broken.py").write_text(BROKEN_PLUGIN)
    names = ["writes_nothing", "limits_raise", "no_configs", "exits", "direct"]
    status, _, err = convbench(
        "bench", PROBLEM, "--gpu", "none", "--plugin", "broken.py", "--algorithm", ",".join(names)
    )
    assert status == 1
    assert "4 of 5 results are wrong or failed" in err
    records, bad = read_records(here / "reports" / "local" / "emulator" / "problems.jsonl")
    assert bad == []
    assert {r.algorithm: r.outcome for r in records} == dict(
        zip(names, ["wrong", "crashed", "crashed", "crashed", "passed"], strict=True)
    )
    reasons = {r.algorithm: str(r.reason) for r in records}
    assert "is nan" in reasons["writes_nothing"]
    told = "Limits.limits raised RuntimeError: my limits (in limits, broken.py, line 18)"
    assert reasons["limits_raise"] == told
    assert "Configs.configs" in reasons["no_configs"]
    assert "at least one config" in reasons["no_configs"]
    assert reasons["exits"] == "SystemExit: 0 (in plan, broken.py, line 28)"
    monkeypatch.setattr(registry, "_registered", {})
    status, out, _ = convbench("show", PROBLEM, "--plugin", "broken.py")
    assert status == 0
    assert f"it fails: {told}" in out


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
    monkeypatch.setattr(selection, "gpu_evidence", lambda root=Path("/"): "/dev/nvidia0")
    status, _, err = convbench("verify", PROBLEM)
    assert status == 2
    assert "/dev/nvidia0" in err
    assert "no driver, for the test" in err
    assert convbench("verify", PROBLEM, "--algorithm", "direct", "--device", "emulator")[0] == 0
    status, out, _ = convbench("doctor")
    assert status == 1
    assert "| GPU | broken |" in squeezed(out)


@pytest.fixture
def old_numba_cuda(monkeypatch):
    from convbench.emulator import front_end

    real = front_end.version
    monkeypatch.setattr(front_end, "version", lambda name: "0.30.3" if name == "numba-cuda" else real(name))


@pytest.mark.parametrize("device", [(), ("--device", "emulator"), ("--device", "emulator-checked")])
@pytest.mark.parametrize("command", ["verify", "bench"])
def test_another_numba_cuda_is_named_with_the_versions_that_will_do(convbench, here, old_numba_cuda, command, device):
    status, out, err = convbench(command, PROBLEM, *device)
    assert (status, out) == (2, "")
    assert err.startswith("convbench: device emulator")
    assert err.count("\n") == 1
    for part in ("numba-cuda 0.30.3 is installed", ">=0.30.4", "<0.31"):
        assert part in err
    assert not (here / "reports").exists()


def test_the_simulator_does_without_the_emulators_versions(convbench, old_numba_cuda):
    assert convbench("verify", PROBLEM, "--algorithm", "direct", "--device", "simulator")[0] == 0


def test_doctor_says_why_the_emulator_does_not_work(convbench, old_numba_cuda):
    status, out, _ = convbench("doctor")
    assert status == 1
    assert "| emulator | broken | device emulator cannot be used: numba-cuda 0.30.3 is installed" in squeezed(out)
    assert 'pip install "numba-cuda>=0.30.4,<0.31"' in out


def test_the_doctors_remedy_is_what_the_emulator_wants():
    from packaging.requirements import Requirement

    from convbench.cli.doctor import EMULATOR_REMEDY
    from convbench.emulator import front_end

    wanted = {Requirement(word.strip('"')) for word in EMULATOR_REMEDY.removeprefix("pip install ").split()}
    assert wanted == {Requirement(f"numba-cuda{front_end.NUMBA_CUDA}"), Requirement(f"numpy{front_end.NUMPY}")}


def test_doctor_says_why_numpy_2_5_will_not_do(convbench, monkeypatch):
    from convbench.cli import doctor

    real = doctor.version
    monkeypatch.setattr(doctor, "version", lambda name: "2.5.1" if name == "numpy" else real(name))
    status, out, _ = convbench("doctor")
    assert status == 1
    assert "| numpy | broken | 2.5.1 |" in squeezed(out)
    assert "numpy<2.5" in out


@pytest.mark.parametrize(
    ("words", "like"),
    [
        (("verify", PROBLEM, "--algorithm", "winograd_2x2"), "winograd_2x2_3x3"),
        (("verify", PROBLEM, "--algorithm", "Implicit-GEMM"), "implicit_gemm"),
        (("verify", PROBLEM, "--algorithm", "nunpy"), "numpy"),
        (("verify", "--workload", "resnet51"), "resnet50"),
        (("verify", PROBLEM, "--device", "emulatr"), "emulator"),
        (("verify", PROBLEM, "--direction", "backwards_data"), "backward_data"),
        (("tune", PROBLEM, "--search", "optunas"), "optuna"),
        (("bench", PROBLEM, "--cache", "worm"), "warm"),
        (("bench", PROBLEM, "--gpu", "h20"), "h200"),
        (("report", "x.jsonl", "--format", "htlm"), "html"),
        (("compare", "x", "y", "--cache", "colt"), "cold"),
        (("inspect", "direct", PROBLEM, "--arch", "sm_9O"), "sm_90"),
        (("fuzz", "--replay", f"direct foward {PROBLEM} integers seed=1"), "forward"),
        (("show", f"{PROBLEM}-strid2"), "stride"),
        (("show", f"{PROBLEM}-refelct"), "reflect"),
        (("show", f"{PROBLEM}-nhwc"), "NHWC"),
        (("show", f"{PROBLEM}-biass"), "bias"),
    ],
)
def test_an_unknown_name_gets_the_known_names_that_are_like_it(convbench, words, like):
    status, out, err = convbench(*words)
    assert (status, out) == (2, "")
    asked = err.partition("; did you mean ")[2].partition("?")[0]
    assert like in asked.split(" or ")


@pytest.mark.parametrize(
    "words", [("--algorithm", "zzzz"), ("--algorithm", "x" * 10_000), ("--device", "tpu"), ("--direction", "sideways")]
)
def test_a_name_that_is_like_none_gets_no_question(convbench, words):
    assert "did you mean" not in convbench("verify", PROBLEM, *words)[2]


def test_the_defaults_of_seconds_are_those_of_the_code():
    from convbench import devices
    from convbench.cli import measure
    from convbench.measurement import Effort

    assert Effort.for_device(devices.select("emulator")).max_seconds == measure.SECONDS
    assert Effort().max_seconds == measure.GPU_SECONDS


def test_the_help_of_bench_shows_the_default_of_seconds(convbench):
    _, out, _ = convbench("bench", "--help")
    assert "Default: 1 on a GPU, else 0.3." in " ".join(out.split())
