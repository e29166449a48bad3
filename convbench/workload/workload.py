"""Defines the workload: layers under one name, with their source."""

from collections import Counter
from dataclasses import dataclass, replace

from convbench.problem import ConvProblem, Direction
from convbench.workload.layer import Layer, printable


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Layers under one name."""

    name: str
    source: str
    layers: tuple[Layer, ...]
    skipped: tuple[str, ...] = ()  # convolutions of the source that are not among the layers: the name and the reason
    directed: bool = False  # whether the source names directions; the layers of another are all forward
    notes: tuple[str, ...] = ()  # what a problem does not have: where sizes come from, what was read in another way

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", printable(self.name))

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all layers, each counted as often as it occurs."""
        return sum(layer.count * layer.problem.macs for layer in self.layers)

    def distinct(self) -> "Workload":
        """The same work with one layer for each problem and direction.

        Its name has all names of the layers that it stands for, and its count is their sum.
        """
        same: dict[tuple[ConvProblem, Direction], list[Layer]] = {}
        for layer in self.layers:
            same.setdefault(layer.work, []).append(layer)
        layers = tuple(
            Layer(
                name=", ".join(dict.fromkeys(layer.name for layer in group)),
                problem=problem,
                count=sum(layer.count for layer in group),
                direction=direction,
            )
            for (problem, direction), group in same.items()
        )
        return replace(self, layers=layers)

    def directions(self) -> dict[Direction, int]:
        """How many layers each direction has, with repeated layers counted as often as they occur."""
        found: Counter[Direction] = Counter()
        for layer in self.layers:
            found[layer.direction] += layer.count
        return dict(found)

    def with_direction(self, direction: Direction) -> "Workload":
        """The same problems in one direction.

        A problem that occurs in several directions is one layer of the network, such as in the log of a training.
        Of its layers, only those of the direction with the highest count are kept, so that it is not counted twice.
        """
        counts: dict[ConvProblem, Counter[Direction]] = {}
        for layer in self.layers:
            counts.setdefault(layer.problem, Counter())[layer.direction] += layer.count
        kept = {problem: count.most_common(1)[0][0] for problem, count in counts.items()}
        layers = tuple(
            replace(layer, direction=direction) for layer in self.layers if layer.direction == kept[layer.problem]
        )
        return replace(self, layers=layers)

    def where(self, condition: str) -> "Workload":
        """The layers for which a condition in pandas' query syntax is true, such as "r == 3 and stride == (1, 1)".

        `convbench.workload.where` lists the columns and the errors.
        """
        from convbench.workload.where import select  # seldom needed; saves start-up time

        return replace(self, layers=select(self.layers, condition))

    def with_batch(self, n: int) -> "Workload":
        """The same layers with another batch size; the workload's name gets the suffix -n and the size."""
        layers = tuple(replace(layer, problem=replace(layer.problem, n=n)) for layer in self.layers)
        return replace(self, name=f"{self.name}-n{n}", layers=layers)

    def shard(self, text: str) -> "Workload":
        """The layers of one shard, such as "3/16"; it has the same name. Raises ConvbenchError."""
        from convbench.workload.shards import Shard  # seldom needed; saves start-up time

        return replace(self, layers=Shard.parse(text).of(self.layers))
