"""The completions that a shell offers for the value of an option."""

from collections.abc import Callable, Iterable


def workloads(incomplete: str) -> list[str]:
    """Names of workloads. Paths of files are left to the shell itself."""
    from convbench import workload

    return _beginning(workload.names(), incomplete)


def algorithms(incomplete: str) -> list[str]:
    """Names of algorithms and baselines. In a list with commas, the last name is completed."""
    from convbench.algorithm import registry

    before, comma, last = incomplete.rpartition(",")
    names = [*registry.names(), *registry.baseline_names()]
    return [f"{before}{comma}{name}" for name in _beginning(names, last)]


def one_of(names: Iterable[str]) -> Callable[[str], list[str]]:
    """A function that completes a text to one of the given names."""
    return lambda incomplete: _beginning(names, incomplete)


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
