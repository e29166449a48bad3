"""A campaign whose jobs the workers of a cluster do."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from convbench.cli import options
from convbench.cli.asked import Elsewhere, absolute, uses_gpu, version
from convbench.cli.streams import tell

if TYPE_CHECKING:
    from convbench.crew import Workforce
    from convbench.fuzz import Hire, Inquiry, Job, Orders, Start


def on_cluster(
    where: str, orders: "Orders", plugins: list[str] | None, jobs: int | None, cache_size: str | None
) -> "tuple[Orders, Hire]":
    """The orders for the workers of a cluster, and what gives these workers. Raises ConvbenchError.

    Parameters
    ----------
    jobs : their number; None: as many as the cluster does at once
    """
    from convbench.crew.cluster import Address, Team, connect

    paths = absolute(plugins)
    elsewhere = Elsewhere(version(paths or ()))
    cluster = connect(Address.parse(where))
    memory = orders.memory or cluster.memory
    prepare = partial(_prepare, elsewhere, orders.device, paths, cache_size)
    orders = replace(orders, jobs=jobs or cluster.slots, memory=memory, prepare=prepare)

    def hire(start: "Start") -> "Workforce[Job | Inquiry]":
        return Team(cluster, start, memory=memory, fails_allocations=not orders.device.startswith("cuda"))

    return orders, hire


def device_name(device: str | None) -> str:
    """The name of the device that workers use: without one, a GPU if this machine has one, else the checked emulator.

    Nothing is made here of a GPU, which a worker needs for itself.
    """
    from convbench import devices

    if uses_gpu(device):
        return "cuda"
    return "emulator-checked" if device is None else devices.select(device).name


def _prepare(elsewhere: Elsewhere, device: str, plugins: list[str] | None, cache_size: str | None) -> None:
    """Called first in the process of each worker."""
    from convbench import devices

    options.keep_cache_within(cache_size)
    options.load_plugins(plugins)
    elsewhere.check(plugins or ())
    if uses_gpu(device):
        devices.claim_free(tell)
