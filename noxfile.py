"""Every task a person or CI runs, by name: `python -m nox -s tests`, `python -m nox -l` for the list.

Each session makes its own environment, so that a fresh clone needs Python and nox alone.
"""

from pathlib import Path

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
PARALLEL = "-n", "auto", "--dist", "loadgroup", "--no-loadscope-reorder"  # in the order of tests/conftest.py
RUNS = {"PYTHONPATH": "tests"}  # for the programs in tests/runs, which share cases with the tests

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.sessions = ["lint", "typecheck", "tests"]


def install(session: nox.Session, *groups: str, extras: str = "cu13,report", editable: bool = False) -> None:
    """Install this project with the compiler of an extra, and the packages of some dependency groups.

    An `editable` project is imported from here. Processes that tests start do so anyway, and Numba caches the
    emulator's own functions beside their source: with a copy, each of them would be compiled twice.
    """
    project = f".[{extras}]"
    session.install(*(("-e", project) if editable else (project,)), *nox.project.dependency_groups(PROJECT, *groups))


@nox.session
def bench(session: nox.Session) -> None:
    """Verify and time ResNet-18 (or what is given after --), and write the records and pages to reports/local."""
    install(session)
    session.run("convbench", "bench", *(session.posargs or ["--workload", "resnet18"]), "--html")


@nox.session
def gallery(session: nox.Session) -> None:
    """Measure the committed results of reports/ again, on this machine, and render their pages: minutes."""
    install(session)
    for workload, device in (("resnet18", "emulator"), ("lenet5", "simulator")):
        Path("reports", device, f"{workload}.jsonl").unlink(missing_ok=True)
        session.run(
            "convbench", "bench", "--workload", workload, "--device", device, "--out", "reports", "--html",
        )  # fmt: skip


@nox.session
def gpu(session: nox.Session) -> None:
    """A survey of the GPU in under nine minutes, into reports/survey (or where what is given after -- says)."""
    install(session, extras="cu13,torch")
    session.run("convbench", "gpu", *(session.posargs or ["--out", "reports/survey"]))


@nox.session
def tests(session: nox.Session) -> None:
    """The test suite, on the GPU if there is one, else emulated; a report's page in Chromium if there is one.

    CONVBENCH_BROWSER=required makes a missing Chromium a failure, as CI has it.
    """
    install(session, "test", editable=True)
    session.run("pytest", *PARALLEL, *session.posargs)


@nox.session
def thorough(session: nox.Session) -> None:
    """The property tests with 25 times the examples: hours."""
    install(session, "test", editable=True)
    session.run("pytest", *PARALLEL, "--hypothesis-profile=thorough", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Kernels with one small edit each, fuzzed until a case fails: a table, and failure where too many survive."""
    install(session, "test")
    session.run("python", "-m", "runs.mutation", *session.posargs, env=RUNS)


@nox.session
def false_alarms(session: nox.Session) -> None:
    """100,000 random cases, of which none may fail, and a histogram of how much of the error bounds they use."""
    install(session, "test")
    session.run("python", "-m", "runs.false_alarms", *session.posargs, env=RUNS)


@nox.session
def faults(session: nox.Session) -> None:
    """Algorithms that end their process, hang, or leave it in a mess, in every command: a table, minutes."""
    install(session, "test")
    session.run("python", "-m", "runs.crew.faults", *session.posargs, env=RUNS)


@nox.session
def kills(session: nox.Session) -> None:
    """500 times, at a random moment, kill a command or one of its processes; nothing may be lost: 15 minutes."""
    install(session, "test", editable=True)
    session.run("python", "-m", "runs.crew.kills", *session.posargs, env=RUNS)


@nox.session
def isolation(session: nox.Session) -> None:
    """What processes of their own cost the algorithms, and what a second worker gains: a table, most of an hour."""
    install(session, "test", editable=True)
    session.run("python", "-m", "runs.crew.isolation", *session.posargs, env=RUNS)


@nox.session
def sample(session: nox.Session) -> None:
    """Verify 200 of timm's layers by every algorithm, in four merged shards: half an hour."""
    install(session, "test", editable=True)
    session.run("python", "-m", "runs.crew.sample", *session.posargs, env=RUNS)


@nox.session
def configs(session: nox.Session) -> None:
    """Every kernel that every algorithm offers, launched once on the checked emulator: minutes."""
    install(session, "test")
    session.run("python", "-m", "runs.every_config", *session.posargs, env=RUNS)


@nox.session
def onnx_files(session: nox.Session) -> None:
    """The layers of ONNX files that ship inside packages, against the shapes that onnxruntime sees: a table."""
    install(session, "onnx_files", extras="onnx")
    session.run("python", "-m", "runs.onnx_files", *session.posargs, env=RUNS)


@nox.session
def parsers(session: nox.Session) -> None:
    """Readers of text from outside, fed with 1,000,000 malformed inputs by Atheris: a table, at most 30 minutes."""
    install(session, "test", "parsers", extras="cu13,report,onnx")
    session.run("python", "-m", "runs.parsers", *session.posargs, env=RUNS)


@nox.session
def upstream(session: nox.Session) -> None:
    """numba-cuda's own tests on the emulator, as PTX and as LLVM code, each against its expected outcome: minutes.

    The tables are tests/upstream/expected_ptx.csv and expected.csv. More tests pass as PTX.
    """
    install(session, "upstream")
    for code in ("ptx", "llvm"):
        env = {"PYTHONPATH": "tests/upstream", "CONVBENCH_CODE": code}
        session.run("pytest", "-c", "tests/upstream/pytest.ini", *session.posargs, env=env)


@nox.session
def clients(session: nox.Session) -> None:
    """CUDA programs of other packages, such as stumpy and NeMo, on the emulator, fast and checked: a table, minutes."""
    install(session, "clients", extras="cu13")
    session.install("--no-deps", *nox.project.dependency_groups(PROJECT, "clients_alone"))
    for mode in ("emulator", "checked"):
        words = "-c", "tests/clients/pytest.ini", "tests/clients", f"--cuda={mode}"
        session.run("pytest", *words, *session.posargs)


@nox.session
def foreign_ptx(session: nox.Session) -> None:
    """PTX of nvcc, NVRTC, CuPy, Triton and numba-cuda-mlir on the emulator, compared with NumPy: minutes."""
    install(session, "foreign_ptx", extras="cu13")
    session.run("pytest", "-c", "tests/foreign/pytest.ini", "tests/foreign", *session.posargs)


@nox.session
def patterns(session: nox.Session) -> None:
    """Checked mode on patterns of public kernels, right and with a mistake, as LLVM code and as PTX: minutes."""
    install(session, "test", extras="cu13")
    session.run("python", "-m", "runs.patterns", *session.posargs, env=RUNS)


@nox.session
def emulator_speed(session: nox.Session) -> None:
    """What the emulator costs, against njit and Numba's simulator: a table, and failure where a promise is broken."""
    install(session)
    session.run("python", "-m", "runs.emulator_benchmark", env=RUNS)


@nox.session
def ptx_values(session: nox.Session) -> None:
    """Scalar PTX instructions on the emulator, against an oracle of the ISA and what ptxas folds: minutes."""
    install(session, "test")
    session.run("python", "-m", "runs.ptx_values", *session.posargs, env=RUNS)


@nox.session
def predictions(session: nox.Session) -> None:
    """Predicted times beside published ones, which are in the folder that is given, to reports/predicted: minutes."""
    install(session, "test", extras="cu13,inspect")
    session.run("python", "-m", "runs.predictions", *session.posargs, env=RUNS)


@nox.session
def profiles(session: nox.Session) -> None:
    """Profiles of the default kernels, and times with and without packed products, to reports/predicted: minutes."""
    install(session, "test", extras="cu13,inspect")
    session.run("python", "-m", "runs.profiles", env=RUNS)
    session.run("python", "-m", "runs.packed", env=RUNS)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules and format. import-linter: which folder may import which, and no circle."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", env={"PYTHONPATH": "."})


@nox.session
def typecheck(session: nox.Session) -> None:
    """Mypy, strict."""
    install(session, "typecheck")
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """The guide as HTML, in docs/_build: a warning is an error."""
    install(session, "docs", extras="cu13")
    session.run("sphinx-build", "-W", "--keep-going", "-E", "-b", "html", "docs", "docs/_build", *session.posargs)


@nox.session
def package(session: nox.Session) -> None:
    """Build the wheel, and see that what is in it works without the source tree."""
    session.install("build")
    wheels = str(Path(session.create_tmp()).resolve())
    session.run("python", "-m", "build", "--wheel", "--outdir", wheels, ".", silent=True)
    session.install(*map(str, Path(wheels).glob("*.whl")))
    session.chdir(wheels)
    session.run("convbench", "list")
