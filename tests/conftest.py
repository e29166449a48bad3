"""Fixtures, and the Hypothesis profiles, which set how many examples a property test gets.

`quick` is the default, for CI. `pytest --hypothesis-profile=thorough` runs 25 times as many examples.
"""

import gc
import os
import shutil
import signal
import tempfile
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from convbench import cli, devices
from convbench.algorithm import Algorithm, registry
from convbench.devices import Device, selection
from support.strategies import RELATIVES

# files of few tests that take long: they start many processes or a browser, or compile many kernels
LONG = (
    "algorithms/test_packed.py", "cli/test_examples.py", "cli/test_processes.py", "devices/test_devices.py",
    "emulator/test_mutants.py", "emulator/test_wild.py", "fuzz/test_mutants.py", "fuzz/test_mutants_by_hand.py",
    "install/test_profiles.py", "install/test_program.py", "report/test_page_browser.py", "report/test_page_large.py",
    "test_clone.py", "test_documentation.py",
)  # fmt: skip

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

settings.register_profile("quick", max_examples=120, deadline=None, derandomize=True, suppress_health_check=SLOW)
settings.register_profile("thorough", max_examples=5000, deadline=None, suppress_health_check=SLOW)
settings.load_profile("quick")

# background jobs of a shell ignore SIGINT, and processes that a test starts would inherit this
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Keep compiled kernels in a new folder, which all processes of this run share, so that no old kernel is tested."""
    if not hasattr(config, "workerinput"):  # only processes started by xdist have it
        folder = tempfile.mkdtemp(prefix="convbench-")
        os.environ["XDG_CACHE_HOME"] = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_collection_finish() -> None:
    """Search for garbage less often, and not among the modules and tests, which live to the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group tests for xdist's `--dist loadgroup`: by algorithm if they have one, else by file.

    The tests of a group share a process, which compiles their kernels and makes their fixtures once. The groups that
    take minutes come first, so that all processes end at about the same time.
    """
    names, groups = set(registry.names()), dict[str, list[pytest.Item]]()
    for item in items:
        values = getattr(item, "callspec", None) and item.callspec.params.values()
        found = names.intersection(value for value in values or () if isinstance(value, str))
        group = min(found, default=str(item.path))
        item.add_marker(pytest.mark.xdist_group(group))
        groups.setdefault(group, []).append(item)
    ordered = sorted(groups, key=lambda group: (group not in names, not group.endswith(LONG), -len(groups[group])))
    items[:] = chain.from_iterable(groups[group] for group in ordered)


@pytest.fixture(scope="session")
def device() -> Device:
    """The GPU where there is one, else the emulator."""
    return devices.select()


@pytest.fixture(scope="session", params=registry.names())
def algorithm(request: pytest.FixtureRequest) -> Algorithm:
    """Every registered algorithm in turn."""
    return registry.get(request.param)


@pytest.fixture(scope="session", params=[name for name in registry.names() if name not in chain(*RELATIVES.values())])
def relatives(request: pytest.FixtureRequest) -> tuple[Algorithm, ...]:
    """Every registered algorithm in turn, together with the algorithms that share its examples."""
    return tuple(map(registry.get, (request.param, *RELATIVES.get(request.param, ()))))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder and no visible GPU, so that tests are the same on any machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(selection, "cuda_fault", lambda: "no driver, for the test")
    monkeypatch.setattr(selection, "gpu_evidence", lambda root=Path("/"): None)
    return tmp_path


@pytest.fixture
def convbench(here, capsys, monkeypatch):
    """Run a command in this process: (status, standard output, standard error).

    Algorithms of plugins are forgotten afterwards: other tests run all that there are.
    """
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(word) for word in words])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run
