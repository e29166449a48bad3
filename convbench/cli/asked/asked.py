"""The options that `verify`, `bench` and `tune` share, and the work that they ask for."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial, wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from convbench.cli import options
from convbench.cli.asked.careful import Careful
from convbench.cli.asked.isolation import Isolation
from convbench.cli.claims import claim_gpu
from convbench.cli.streams import visible
from convbench.errors import ConvbenchError, UnknownNameError, did_you_mean

if TYPE_CHECKING:
    from convbench.algorithm import Algorithm
    from convbench.devices import Device
    from convbench.measurement import Effort, Harness, Job, Limits
    from convbench.profiling import Forecast
    from convbench.records import BegunFile
    from convbench.tuning import Database
    from convbench.workload import Workload

Command = Callable[..., None]
Tell = Callable[[str], None]
DEFAULT_GPU = "h200"  # whose times are predicted on a machine without a GPU


def tell(sentence: str) -> None:
    """Tell the user a sentence on standard error."""
    print(f"convbench: {sentence}", file=sys.stderr)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which problems, algorithms and device a command works on. Methods raise ConvbenchError for an impossible call."""

    problems: options.Problems = None
    workload: options.WorkloadOption = None
    input_: options.InputOption = None
    batch: options.BatchOption = None
    where: options.WhereOption = None
    shard: options.ShardOption = None
    strict: options.StrictOption = False
    algorithm: options.AlgorithmOption = None
    baselines: options.BaselinesOption = False
    device: options.DeviceOption = None
    direction: options.DirectionOption = None
    seed: options.SeedOption = 0
    plugin: options.PluginOption = None
    cache_size: options.CacheSizeOption = None
    isolation: options.IsolationOption = None
    timeout: options.TimeoutOption = None
    memory: options.MemoryOption = None

    def prepare(self, how: "How | None" = None) -> "tuple[Harness, Workload, list[Job]]":
        """The harness, the workload and the jobs. Every mistake in a call is found here, before anything runs.

        The command has its GPU for itself from here on.

        The harness is a context manager, whose end ends its worker processes.
        """
        from convbench.measurement import jobs

        chosen, how = self.layers(), how or How()
        claim_gpu(self.device)
        harness = self.harness(how, tell)
        todo = jobs(chosen, self.algorithms())
        isolation = Isolation(mode=self.isolation, timeout=self.timeout, memory=self.memory, plugins=bool(self.plugin))
        if (limits := isolation.limits(harness.device, chosen)) is not None:
            harness = self._isolated(harness, how, limits)
        return harness, chosen, todo

    def careful(
        self, harness: "Harness", chosen: "Workload", how: "How | None" = None, begun: "BegunFile | None" = None
    ) -> Careful:
        """What runs the jobs of a harness that `prepare` made, and notes them in a file before they begin."""

        def isolated() -> "Harness":
            limits = Isolation(mode="process", timeout=self.timeout, memory=self.memory, plugins=bool(self.plugin))
            found = limits.limits(harness.device, chosen)
            assert found is not None
            return self._isolated(harness, how or How(), found)

        return Careful(harness, isolated, begun)

    def _isolated(self, harness: "Harness", how: "How", limits: "Limits") -> "Harness":
        """A harness as the given one, whose jobs run in worker processes."""
        from convbench.measurement import IsolatedHarness

        make = partial(Asked.harness, replace(self, device=harness.device.name), how)
        return IsolatedHarness(harness, make, limits=limits, visible=visible)

    def harness(self, how: "How", tell: Tell) -> "Harness":
        """A harness that runs algorithms in this process; a worker makes one, too. It registers the plugins'."""
        from convbench import devices
        from convbench.measurement import Harness

        options.keep_cache_within(self.cache_size)
        options.load_plugins(self.plugin)
        device = devices.select(self.device)
        return Harness(
            device, seed=self.seed, effort=how.effort(device), database=how.configs(device, tell),
            forecast=how.forecast(device),
        )  # fmt: skip

    def layers(self) -> "Workload":
        """The problems, each once in each of its directions. What is skipped of a file is listed on standard error.

        With --strict it is an error.
        """
        from convbench import workload

        direction = None if self.direction is None else options.direction(self.direction)

        if bool(self.problems) == (self.workload is not None):
            raise ConvbenchError(
                f"give problems or --workload, one of the two; workloads are {', '.join(workload.names())}"
            )
        inputs = options.inputs(self.input_)
        if self.problems:
            if inputs:
                raise ConvbenchError("--input gives sizes of an ONNX model, and there is no --workload with a model")
            chosen = workload.from_texts(self.problems)
        else:
            chosen = workload.load(str(self.workload), inputs)
        if self.strict:
            options.refuse_skipped(chosen)
        for what in (*(f"skipped {what}" for what in chosen.skipped), *chosen.notes):
            print(f"convbench: {what}", file=sys.stderr)
        if direction is not None:
            others = {named: count for named, count in chosen.directions().items() if named != direction}
            if chosen.directed and others:
                what = chosen.name
                if self.problems:
                    what = self.problems[0] if len(self.problems) == 1 else "the list of problems"
                told = others if self.problems else [f"{named} ({count})" for named, count in others.items()]
                options.tell_override(what, direction, told)
            chosen = chosen.with_direction(direction)
        if self.batch is not None:
            chosen = chosen.with_batch(self.batch)
        if self.where is not None:
            chosen = chosen.where(self.where)
        chosen = chosen.distinct()
        return chosen if self.shard is None else self._sharded(chosen, self.shard)

    def _sharded(self, whole: "Workload", shard: str) -> "Workload":
        """One shard of a workload. Its share of the work is told on standard error."""
        part = whole.shard(shard)
        share = sum(layer.problem.macs for layer in part.layers) / sum(layer.problem.macs for layer in whole.layers)
        told = f"{len(part.layers)} of {len(whole.layers)} layers, {share:.1%} of the multiply-adds".replace("%", " %")
        print(f"convbench: shard {shard}: {told}", file=sys.stderr)
        return part

    @property
    def suffix(self) -> str:
        """The end of the name of a file of results: a shard has a file of its own."""
        return "" if self.shard is None else f"-shard-{self.shard.replace('/', '-of-')}"

    def algorithms(self) -> "list[Algorithm]":
        """The algorithms that were asked for, else all that can be loaded; then the baselines, with --baselines."""
        from convbench.algorithm import registry

        wanted = dict.fromkeys(",".join(self.algorithm).split(",") if self.algorithm else ())
        chosen = [registry.get(name) for name in wanted] if self.algorithm else options.available_algorithms()
        if self.baselines:
            chosen += [registry.get(name) for name in registry.baseline_names() if name not in wanted]
        return chosen


@dataclass(frozen=True, kw_only=True)
class How:
    """How often the algorithms run, and with which configs. Methods raise ConvbenchError for an impossible call."""

    cache: str | None = None
    samples: int | None = None
    seconds: float | None = None
    tuned: bool = False  # whether configs come from a database
    database: Path | None = None  # the file to use instead of the device's own
    predicts: bool = False  # whether times are predicted for a GPU
    gpu: str | None = None  # the GPU's name, or `options.NO_GPU`; None: the device itself, or else the default
    ranks: bool = False  # whether predicted times take the place of measured ones, which no GPU lets them do

    def configs(self, device: "Device", tell: Tell = tell) -> "Database | None":
        """The tuned configs for a device; None if the call uses none. `tell` is called with each faulty entry."""
        from convbench.tuning import Database, default_path

        if not self.tuned:
            if self.database is not None:
                raise ConvbenchError("--untuned uses no database, but --database names one: give only one of the two")
            return None
        if self.database is not None and not self.database.is_file():
            raise ConvbenchError(f"--database {self.database} is no file; `convbench tune` creates one")
        path = self.database or default_path(device.describe()["name"])
        return Database(path, tell)

    def forecast(self, device: "Device") -> "Forecast | None":
        """What predicts times for the GPU; None if the call asks for none, or if there is none to predict for."""
        if not self.predicts or self.gpu == options.NO_GPU:
            return None
        from convbench import profiling

        if self.ranks and device.is_gpu:
            if self.gpu is None:
                return None
            raise ConvbenchError(
                f"--gpu {self.gpu}: configs are ranked by the times that are measured on {device.describe()['name']}; "
                "leave --gpu out, or use --device emulator"
            )
        is_simulator, name = device.name == "simulator", str(device.describe()["name"])
        if is_simulator and self.gpu is not None:
            raise ConvbenchError(
                f"--gpu {self.gpu}: the simulator compiles nothing, so no time can be predicted; leave --gpu out, or "
                "use --device emulator"
            )
        if is_simulator:
            return None
        own = profiling.chip_of_device(name) if device.is_gpu else None
        if self.gpu is None and device.is_gpu and own is None:
            told = f"no time is predicted, because {name} is not in the table of GPUs; --gpu names one that is"
            print(f"convbench: {told}", file=sys.stderr)
            return None
        chip = own if self.gpu is None and own is not None else profiling.chip(self.gpu or DEFAULT_GPU)
        return profiling.Forecast(chip, is_device=chip == own)

    def effort(self, device: "Device") -> "Effort":
        """How many samples to take on a device, within what time, and in which states of the cache."""
        from convbench.measurement import Effort
        from convbench.records import CACHES, Cache

        effort = Effort.for_device(device)
        if self.cache is not None:
            known: dict[str, tuple[Cache, ...]] = {**{cache: (cache,) for cache in CACHES}, "both": CACHES}
            if self.cache not in known:
                like = did_you_mean(self.cache, known)
                raise UnknownNameError(f"cache {self.cache!r} is unknown; there are {', '.join(known)}{like}")
            effort = replace(effort, caches=known[self.cache])
        if self.samples is not None:
            effort = replace(effort, maximum=self.samples, minimum=min(effort.minimum, self.samples))
        if self.seconds is not None:
            effort = replace(effort, max_seconds=self.seconds)
        return effort


def takes_asked(*without: str) -> Callable[[Command], Command]:
    """A decorator for a command whose first parameter is an `Asked`.

    Typer sees the fields of `Asked` as the first options of the command, except those named in `without`.
    """
    hints = get_type_hints(Asked, include_extras=True)
    shared = [
        Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name])
        for field in fields(Asked)
        if field.name not in without
    ]

    def decorate(command: Command) -> Command:
        @wraps(command)
        def run(**given: Any) -> None:
            command(Asked(**{option.name: given.pop(option.name) for option in shared}), **given)

        own = [
            option.replace(kind=Parameter.KEYWORD_ONLY)
            for option in list(signature(command, eval_str=True).parameters.values())[1:]
        ]
        run.__signature__ = Signature([*shared, *own])  # type: ignore[attr-defined]
        run.__annotations__ = {option.name: option.annotation for option in (*shared, *own)}
        return run

    return decorate
