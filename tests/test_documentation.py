"""The README and the guide are run: every block of code, in the order of its page, in one folder and one namespace.

Behind a fence's language stands what is not usual: `exit=1` or `exit=0,1` (the status of a shell block),
`raises=KernelFault` (of a Python block), `varies` (a text that is another one on another machine) and `emulated` (one
that is so with a GPU). Any other text must be in what the block before it printed; … leaves something out. A block
after "Save this as `FILE`:" is written to that file instead.
"""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sysconfig
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import onnx
import pytest
import typer

from cases.onnx_models import W, conv, model_of
from convbench import cli, devices, workload
from convbench.algorithm import registry
from convbench.algorithm.registry import names
from convbench.cli import app
from convbench.problem.notation import parse
from convbench.records import read_records

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
EMULATOR = ROOT / "convbench" / "emulator" / "README.md"
GUIDE_PAGES = [*sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("[!_]*/*.md"))]
PAGES = [README, EMULATOR, *GUIDE_PAGES]
GUIDE = {
    "index", "tutorial",
    *(
        f"how_to/{page}"
        for page in (
            "index", "install", "verify_your_kernel", "fuzz_your_kernel", "find_a_data_race", "run_without_a_gpu",
            "compare_algorithms", "share_the_work",
            "compare_two_runs", "read_a_report", "add_a_workload", "measure_on_a_gpu", "write_a_fast_kernel",
            "tune_an_algorithm", "inspect_machine_code", "find_why_a_kernel_is_slow", "give_an_error_model",
            "use_as_a_library", "draw_maps",
        )
    ),
    *(
        f"reference/{page}"
        for page in (
            "index", "command_line", "exit_status", "problems", "workloads", "algorithms", "devices", "records",
            "python_api",
        )
    ),
    *(
        f"explanation/{page}"
        for page in ("index", "correctness", "timing", "emulator", "ptx", "fuzzer", "fast_kernels", "layout")
    ),
}  # fmt: skip
NOT_RUN = {DOCS / "reference" / name for name in ("index.md", "command_line.md", "python_api.md")}  # nothing to run
RUN = "python", "bash"
USUAL = {"COLUMNS": "1000", "PYTEST_PLUGINS": "convbench.testing.plugin"}  # as in an environment with the package
SPHINX = "{toctree}", "{eval-rst}"  # what the build checks

# What takes minutes, and what runs in its place, in this process: the same on less. As written they are parsed.
SHORTER = {
    "verify n1c3h9w9-k4r3s3-pad1 n1c4h9w9-k4r3s3-g4": "verify n1c3h9w9-k4r3s3-pad1 --algorithm direct",
    "verify --workload lenet5 --device emulator-checked": (
        "verify --workload lenet5 --device emulator-checked --where 'c == 1' --algorithm direct"
    ),
    "verify n8c32h14w14-k32r3s3-pad1-float16-NHWC": "verify n2c4h5w5-k4r3s3-pad1-float16-NHWC --algorithm direct",
    "fuzz --corpus corpus --seconds 3600 --seed 1": (
        "fuzz --corpus corpus --seconds 1 --seed 1 --algorithm direct --direction forward --device simulator"
    ),
    "fuzz --seconds 60 --jobs 2": "fuzz --replay 'direct forward n1c1h1w1-k1r1s1 integers seed=0' --device emulator",
    "bench --workload resnet50 --batch 32 --algorithm implicit_gemm --algorithm winograd_4x4_3x3": (
        "bench --workload lenet5 --batch 2 --where 'c == 1' --algorithm direct --device emulator"
    ),
    "bench --workload resnet50 --batch 32 --resume": (
        "bench --workload lenet5 --batch 2 --where 'c == 1' --algorithm direct --device emulator --resume"
    ),
    'bench --workload model.onnx --where "r == 3 and stride == (1, 1)" --baselines': (
        'bench --workload model.onnx --where "r == 3 and stride == (1, 1)" --baselines --algorithm direct'
    ),
    "tune --workload resnet50 --batch 32 --algorithm implicit_gemm": (
        "tune --workload lenet5 --batch 2 --where 'c == 1' --algorithm direct --trials 2 --device emulator --gpu none"
    ),
    "gpu --out survey": "gpu --out survey --device emulator --algorithm direct --check n1c2h5w5-k2r3s3 --seconds 3",
    "report reports/local/*/resnet50-n32.jsonl --format html": (
        "report reports/local/emulator/lenet5-n2.jsonl --format markdown"
    ),
    "compare before after --threshold 3%": (
        "compare reports/local/emulator/lenet5-n2.jsonl reports/local/emulator --threshold 3%"
    ),
    "show n1c3h128w128-k4r5s5-bias --maps": "show n1c3h32w32-k4r5s5-bias --maps",
}


@dataclass(frozen=True, kw_only=True)
class Block:
    """What stands between two fences."""

    language: str
    options: dict[str, str] = field(default_factory=dict)
    text: str
    line: int
    file: str | None  # that it is to be saved as


def blocks(page: Path) -> list[Block]:
    found, before, opened, inside = [], "", None, []
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        if opened is None and line.startswith("```"):
            opened, inside = line[3:].split() or [""], []
        elif opened is not None and line == "```":
            saved = re.search(r"Save this as\s+`([\w.]+)`:\s*$", before)
            found.append(
                Block(
                    language=opened[0], options=dict(word.partition("=")[::2] for word in opened[1:]),
                    text="\n".join(inside) + "\n", line=number - len(inside), file=saved and saved[1],
                )
            )  # fmt: skip
            opened, before = None, ""
        elif opened is not None:
            inside.append(line)
        else:
            before += line + "\n"
    assert opened is None, f"{page.name}: the last fence is open"
    return found


def set_up(line: str) -> bool:
    """Whether a line makes an environment, which no test does; what it names must exist."""
    words = shlex.split(line, comments=True)
    match words:
        case ["pip", "install", target]:
            extras = re.fullmatch(r"\.\[([\w,]+)\]", target)[1].split(",")
            project = (ROOT / "pyproject.toml").read_text()
            assert all(re.search(rf"^{extra} = \[", project, re.MULTILINE) for extra in extras), line
        case ["python3", "-m", "pip", "install", "nox", "&&", "python3", "-m", "nox", "-s", session]:
            assert f"\ndef {session}(session" in (ROOT / "noxfile.py").read_text(), line
        case _:
            return False
    return True


def shortened(line: str) -> str:
    """What runs in the place of a line."""
    for long, short in SHORTER.items():
        if line.startswith(f"convbench {long}"):
            return line.replace(long, short, 1)
    return line


def commands(page: Path) -> list[str]:
    """Every line that starts our program."""
    lines = [line for block in blocks(page) if block.language == "bash" for line in block.text.splitlines()]
    return [line for line in lines if line.startswith("convbench ")]


class Reader:
    """Somebody who does what a page shows, in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.namespace, self.printed = folder, {"__name__": "page"}, ""

    def read(self, page: Path) -> None:
        for block in blocks(page):
            where = f"{page.name}, line {block.line}"
            if block.file is not None:
                (self.folder / block.file).write_text(block.text)
            elif block.language == "python":
                self.printed = self._python(block, where)
            elif block.language == "bash":
                self.printed = self._bash(block, where)
            elif block.language == "text":
                self._compare(block, where)

    def _python(self, block: Block, where: str) -> str:
        # messages about kernels name the file, and show its lines
        first = re.search(r"^def (\w+)", block.text, re.MULTILINE)
        file = self.folder / f"{first[1] if first else f'line_{block.line}'}.py"
        file.write_text(block.text)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            try:
                exec(compile(block.text, str(file), "exec"), self.namespace)
            except Exception as error:  # noqa: BLE001  (a page may raise what it likes, if it says so)
                assert type(error).__name__ == block.options.get("raises"), f"{where} raises {error!r}"
                return str(error)
        assert "raises" not in block.options, f"{where} raises nothing"
        return printed.getvalue()

    def _bash(self, block: Block, where: str) -> str:
        printed, lines = "", [line for line in block.text.splitlines() if not set_up(line)]
        for is_short, some in groupby(lines, key=lambda line: shortened(line) != line):
            if is_short:
                printed += "".join(self._in_this_process(shortened(line), where) for line in some)
            else:
                printed += self._in_a_shell("\n".join(some), block.options.get("exit", "0").split(","), where)
        return printed

    def _in_a_shell(self, script: str, allowed: list[str], where: str) -> str:
        path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder, env={**os.environ, "PATH": path, **USUAL}, capture_output=True, text=True,
        )  # fmt: skip
        assert str(done.returncode) in allowed, f"{where}: exit status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def _in_this_process(self, command: str, where: str) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as printed, pytest.raises(SystemExit) as ended:
            cli.main(shlex.split(command, comments=True)[1:])
        assert ended.value.code == 0, f"{where}: {command}"
        return printed.getvalue()

    def _compare(self, block: Block, where: str) -> None:
        if "varies" in block.options or ("emulated" in block.options and devices.cuda_fault() is None):
            return
        printed = " ".join(self.printed.replace(f"{self.folder}/", "").split())
        for piece in block.text.split("…"):
            words = " ".join(piece.split())
            assert words in printed, f"{where}: {words!r} is not in\n{self.printed}"
            printed = printed.partition(words)[2]


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """A reader whose algorithms are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    return Reader(tmp_path)


def test_the_guide_has_its_pages():
    assert {str(page.relative_to(DOCS).with_suffix("")) for page in GUIDE_PAGES} == GUIDE


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_fence_is_of_a_language_that_is_run_or_checked(page):
    found = blocks(page)
    assert found
    allowed = {*RUN, "text", *(() if page == README else SPHINX)}
    for block in found:
        assert block.language in allowed, f"{page.name}, line {block.line}: {block.language!r}"
        known = {"python": {"raises"}, "bash": {"exit"}, "text": {"varies", "emulated"}}.get(block.language, set())
        assert block.options.keys() <= known, f"{page.name}, line {block.line}: {block.options}"
    if page not in NOT_RUN:
        assert {block.language for block in found} & {*RUN}


@pytest.mark.parametrize("page", [EMULATOR, *GUIDE_PAGES], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_the_guide_runs(page, reader):
    reader.read(page)


def test_every_block_of_the_readme_runs_and_its_algorithm_is_measured(reader):
    onnx.save(model_of(conv(name="stem"), weights=W), reader.folder / "model.onnx")
    reader.read(README)
    (program,) = (block.text for block in blocks(README) if block.file == "my_pointwise.py")
    assert len([line for line in program.splitlines() if line.strip()]) <= 32
    (path,) = reader.folder.glob("reports/local/*/problems.jsonl")
    outcomes = {(record.algorithm, record.layer): record for record in read_records(path)[0]}
    mine = outcomes["my_pointwise", "n2c16h9w9-k8r1s1-bias"]
    assert mine.outcome == "passed"
    assert mine.exact
    assert mine.timing is not None
    refused = outcomes["my_pointwise", "n1c4h9w9-k4r3s3"]
    assert (refused.outcome, refused.reason) == ("refused", "it has dense 1 × 1 filters only")
    assert outcomes["direct", "n1c4h9w9-k4r3s3"].outcome == "passed"


def test_the_readmes_kernel_is_right_with_the_barrier_that_is_missing(reader):
    (block,) = (block for block in blocks(README) if "raises" in block.options)
    missing = "        half //= 2  # a barrier is missing here"
    mended = block.text.replace(missing, "        cuda.syncthreads()\n        half //= 2")
    assert mended != block.text
    reader._python(Block(language="python", text=mended, line=0, file=None), "the README, mended")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_is_one_as_it_is_written(page):
    """The program's own parser takes it, and what it names exists, though a shorter one may run in its place."""
    program = typer.main.get_command(app.app)
    for line in commands(page):
        _, name, *words = shlex.split(line, comments=True)
        given = program.commands[name].make_context(name, words).params
        if shortened(line) != line:
            assert given.get("workload") in (None, "model.onnx", *workload.names())
            asked = given.get("algorithm") or []
            assert {*([asked] if isinstance(asked, str) else asked)} <= {*names()}
            for text in given.get("problems") or []:
                parse(text)


def test_every_command_that_is_shortened_is_in_the_readme_or_the_guide():
    lines = [line for page in PAGES for line in commands(page)]
    for long in SHORTER:
        assert any(line.startswith(f"convbench {long}") for line in lines), long


def test_ci_runs_the_tests_by_the_readmes_command():
    assert "python3 -m nox -s tests" in README.read_text()
    assert "python3 -m nox -s tests" in (ROOT / ".ci" / "run").read_text()
