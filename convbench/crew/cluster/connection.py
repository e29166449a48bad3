"""A connection to a cluster of Dask distributed, or the start of one on this machine."""

import logging
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import dask
from distributed import Client, LocalCluster

from convbench.crew.cluster.address import Address
from convbench.crew.memory import default_bytes
from convbench.errors import ConvbenchError, message_of

CONNECT_S = 20.0  # how long to wait for an answer of the scheduler
MOST_STARTS = 3  # of a cluster on this machine
WORKERS_S = 60.0  # how long to wait for the first worker
# of a cluster that is started here: a worker whose connection is silent for so long is lost. A worker sends a sign of
# life each second; what runs here is done in other processes, which may take all cores.
SILENT = "60 s"
MUTE = logging.CRITICAL + 1  # distributed logs the loss of a connection as critical


@dataclass(frozen=True)
class Cluster:
    """A cluster that is connected.

    Parameters
    ----------
    client : of Dask distributed
    slots : tasks that the cluster does at once
    slots_of_host : tasks that one of its machines does at once, at most
    memory : bytes that each task may take
    close : ends the connection, and a cluster that was started for it
    start_workers : has a local cluster start so many workers more; another one is not ours to mend
    """

    client: Any
    slots: int
    slots_of_host: int
    memory: int
    close: Callable[[], None]
    start_workers: Callable[[int], None]


def connect(address: Address) -> Cluster:
    """The cluster of an address. If it is local, its workers are started.

    Raises ConvbenchError if there is no scheduler, or no worker.
    """
    for name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "distributed"]:
        logging.getLogger(name).setLevel(MUTE)  # a loss is told by the team
    with ExitStack() as stack:
        where: Any = address.scheduler
        if address.is_local:
            stack.enter_context(dask.config.set({"distributed.scheduler.worker-ttl": SILENT}))
            where = _started(address)
            stack.enter_context(where)
        client = stack.enter_context(_client(address, where))
        workers = client.scheduler_info(n_workers=-1)["workers"].values()

        def start_workers(missing: int) -> None:
            if address.is_local:
                where.scale(len(where.worker_spec) + missing)

        of_host: Counter[str] = Counter()
        for worker in workers:
            of_host[worker["host"]] += worker["nthreads"]
        limits = [worker["memory_limit"] // worker["nthreads"] for worker in workers if worker["memory_limit"]]
        most = max(of_host.values())
        return Cluster(
            client, slots=sum(of_host.values()), slots_of_host=most,
            memory=min(limits, default=default_bytes(most)), close=stack.pop_all().close, start_workers=start_workers,
        )  # fmt: skip


def _started(address: Address) -> LocalCluster:
    """A cluster on this machine. Its start is tried again if a worker ends during it."""
    for left in reversed(range(MOST_STARTS)):
        try:
            with _interrupts_ignored():
                return LocalCluster(
                    n_workers=address.workers, threads_per_worker=1, processes=True, memory_limit=0,
                    dashboard_address="127.0.0.1:0", silence_logs=MUTE, preload=[f"{__package__}.preload"],
                )  # fmt: skip
        except RuntimeError as error:
            if not left:
                raise ConvbenchError(
                    f"--cluster {address.text}: no cluster can be started here: {message_of(error)}"
                ) from None
    raise AssertionError  # the last try returns or raises


def _client(address: Address, where: Any) -> Any:
    client = None
    try:
        client = Client(where, timeout=CONNECT_S, set_as_default=False)
        client.wait_for_workers(address.workers or 1, timeout=WORKERS_S)
    except (OSError, ValueError, TypeError, RuntimeError) as error:  # a timeout is an OSError
        if client is not None:
            client.close()
        what = "no worker" if client is not None else "no scheduler"
        raise ConvbenchError(f"--cluster {address.text}: {what} answers: {message_of(error)}") from None
    return client


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Start processes that ignore Ctrl-C, which is their parent's."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread is interrupted
        yield
        return
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
