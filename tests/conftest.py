"""Fixtures, and the budgets: how many examples a property test gets is set here, by Hypothesis profiles.

`quick` is the default and fits CI; `pytest --hypothesis-profile=thorough` looks 25 times longer.
"""

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

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

settings.register_profile("quick", max_examples=200, deadline=None, derandomize=True, suppress_health_check=SLOW)
settings.register_profile("thorough", max_examples=5000, deadline=None, suppress_health_check=SLOW)
settings.load_profile("quick")

# a shell's background jobs ignore Ctrl-C, and so would every process that a test starts
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Compiled kernels are kept in a folder of this run, which all its processes share: nothing stale is tested."""
    if not hasattr(config, "workerinput"):  # set where xdist started this process
        folder = tempfile.mkdtemp(prefix="convbench-")
        os.environ["XDG_CACHE_HOME"] = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With xdist's `--dist loadgroup`, tests of one algorithm share a process, and others that of their file.

    It compiles their kernels, and makes their fixtures, once.
    """
    names = set(registry.names())
    for item in items:
        values = getattr(item, "callspec", None) and item.callspec.params.values()
        found = names.intersection(value for value in values or () if isinstance(value, str))
        item.add_marker(pytest.mark.xdist_group(min(found, default=str(item.path))))


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
    """Every registered algorithm in turn, with those that its examples are shared with."""
    return tuple(map(registry.get, (request.param, *RELATIVES.get(request.param, ()))))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder, and no GPU, so that the same is tested on any machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(selection, "cuda_fault", lambda: "no driver, for the test")
    monkeypatch.setattr(selection, "gpu_evidence", lambda root=Path("/"): None)
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
