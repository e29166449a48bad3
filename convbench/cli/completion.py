"""What a shell may complete an option's value with."""

from collections.abc import Callable, Iterable


def workloads(incomplete: str) -> list[str]:
    """Names of workloads; a file's path is the shell's own business."""
    from convbench import workload

    return _beginning(workload.names(), incomplete)


def algorithms(incomplete: str) -> list[str]:
    """Names of algorithms and baselines, after a comma too."""
    from convbench.algorithm import registry

    before, comma, last = incomplete.rpartition(",")
    names = [*registry.names(), *registry.baseline_names()]
    return [f"{before}{comma}{name}" for name in _beginning(names, last)]


def one_of(names: Iterable[str]) -> Callable[[str], list[str]]:
    """What completes with one of some names."""
    return lambda incomplete: _beginning(names, incomplete)


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
