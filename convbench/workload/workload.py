"""The workload: layers under one name, with where they come from."""

from dataclasses import dataclass, replace

from convbench.problem import ConvProblem
from convbench.workload.layer import Layer, printable


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Layers under one name."""

    name: str
    source: str
    layers: tuple[Layer, ...]
    skipped: tuple[str, ...] = ()  # what else the source has of the kind of a convolution: its name, and why not

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", printable(self.name))

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all layers, each as often as it occurs."""
        return sum(layer.count * layer.problem.macs for layer in self.layers)

    def distinct(self) -> "Workload":
        """The same work with each problem once, under all its names, as often as all of them occur."""
        same: dict[ConvProblem, list[Layer]] = {}
        for layer in self.layers:
            same.setdefault(layer.problem, []).append(layer)
        layers = tuple(
            Layer(
                name=", ".join(dict.fromkeys(layer.name for layer in group)),
                problem=problem,
                count=sum(layer.count for layer in group),
            )
            for problem, group in same.items()
        )
        return replace(self, layers=layers)

    def where(self, condition: str) -> "Workload":
        """The layers that a condition in pandas' query syntax is true of: "r == 3 and stride == (1, 1)".

        `convbench.workload.where` says which columns there are, and what it raises.
        """
        from convbench.workload.where import select  # which few ask for, and the command line does not wait for

        return replace(self, layers=select(self.layers, condition))

    def with_batch(self, n: int) -> "Workload":
        """The same layers at another batch size."""
        layers = tuple(replace(layer, problem=replace(layer.problem, n=n)) for layer in self.layers)
        return replace(self, name=f"{self.name}-n{n}", layers=layers)
