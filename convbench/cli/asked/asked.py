"""The options that `verify`, `bench` and `tune` share, and the work that they ask for."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial, wraps
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Any, get_type_hints

from convbench.cli import options
from convbench.cli.asked.careful import Careful
from convbench.cli.asked.elsewhere import Elsewhere, absolute, digest, uses_gpu, version
from convbench.cli.asked.how import How, Tell
from convbench.cli.asked.isolation import Isolation
from convbench.cli.claims import claim_gpu
from convbench.cli.streams import tell, visible
from convbench.errors import ConvbenchError

if TYPE_CHECKING:
    from convbench.algorithm import Algorithm
    from convbench.devices import Device
    from convbench.measurement import Harness, IsolatedHarness, Job, Limits, Part
    from convbench.records import BegunFile
    from convbench.workload import Workload

Command = Callable[..., None]


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
    cluster: options.ClusterOption = None

    def prepare(self, how: "How | None" = None) -> "tuple[Harness, Workload, list[Job]]":
        """The harness, the workload and the jobs. Every mistake in a call is found here, before anything runs.

        The command has its GPU for itself from here on, unless a cluster does the jobs.

        The harness is a context manager, whose end ends its worker processes.
        """
        from convbench.measurement import jobs

        chosen, how = self.layers(), how or How()
        isolation = Isolation(
            mode=self.isolation, timeout=self.timeout, memory=self.memory, plugins=bool(self.plugin),
            cluster=self.cluster is not None,
        )  # fmt: skip
        harness: Harness
        if self.cluster is not None:
            options.load_plugins(self.plugin)
            todo = jobs(chosen, self.algorithms())
            return self._on_cluster(self.cluster, how, isolation.asked()), chosen, todo
        claim_gpu(self.device)
        harness = self.harness(how, tell)
        todo = jobs(chosen, self.algorithms())
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
        from convbench import devices
        from convbench.crew import Crew
        from convbench.measurement import IsolatedHarness, StartParts

        start = StartParts(partial(Asked.harness, replace(self, device=harness.device.name), how), limits)
        crew: Crew[Part] = Crew(
            start, memory=limits.memory, fails_allocations=not harness.device.is_gpu,
            after_loss=partial(devices.check_after_loss, harness.device.name),
        )  # fmt: skip
        return IsolatedHarness(harness, crew, visible=visible)

    def harness(self, how: How, tell: Tell, elsewhere: Elsewhere | None = None) -> "Harness":
        """A harness that runs algorithms in this process; a worker makes one, too. It registers the plugins'."""
        from convbench import devices

        options.keep_cache_within(self.cache_size)
        options.load_plugins(self.plugin)
        if elsewhere is None:
            return self.harness_for(devices.select(self.device), how, tell)
        elsewhere.check(self.plugin or ())
        return self.harness_for(elsewhere.device(self.device, tell), how, tell)

    def harness_for(self, device: "Device", how: How, tell: Tell = tell) -> "Harness":
        """A harness for a device."""
        from convbench.measurement import Harness

        return Harness(
            device, seed=self.seed, effort=how.effort(device), database=how.configs(device, tell),
            forecast=how.forecast(device),
        )  # fmt: skip

    def _on_cluster(self, where: str, how: How, limits: "Limits") -> "IsolatedHarness":
        """A harness whose jobs the workers of a cluster do. Raises ConvbenchError if there is none that can."""
        from convbench import devices
        from convbench.crew.cluster import Address, Team, connect
        from convbench.measurement import IsolatedHarness, StartParts, distant_device

        address = Address.parse(where)
        options.keep_cache_within(self.cache_size)
        device = devices.select(self.device) if address.is_local and not uses_gpu(self.device) else None
        same = replace(self, plugin=absolute(self.plugin))
        elsewhere = Elsewhere(version(same.plugin or ()))
        cluster = connect(address)
        try:
            limits = replace(limits, memory=limits.memory or cluster.memory)
            elsewhere = replace(elsewhere, slots=cluster.slots_of_host)
            if device is None:
                plain = partial(Asked.harness, same, replace(how, tuned=False, database=None), elsewhere=elsewhere)
                first: Team[Part] = Team(
                    cluster, StartParts(plain, limits), memory=limits.memory or 0, fails_allocations=False
                )
                device = distant_device(first)
            how = how.with_database(device)
            start = StartParts(partial(Asked.harness, same, how, elsewhere=elsewhere), limits)
            is_ranked = how.ranks and not device.is_gpu  # so that no time counts that the workers take
            what = f"{elsewhere.version} {device.name} {same.seed} {how} {digest(how.database)} {limits}"
            team: Team[Part] = Team(
                cluster, start, memory=limits.memory or 0, fails_allocations=not device.is_gpu,
                name=lambda part: f"convbench-{digest(what + part.content)}", alone=how.predicts and not is_ranked,
            )  # fmt: skip
            return IsolatedHarness(same.harness_for(device, how), team, visible=visible, apart=is_ranked)
        except BaseException:
            cluster.close()
            raise

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
