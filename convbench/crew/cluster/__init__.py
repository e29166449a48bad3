"""Workers on many machines, by Dask distributed: a team does what a crew does, and outlives a lost machine.

    team = Team(connect(Address.parse("tcp://scheduler:8786")), start, memory=…, fails_allocations=True)

Each worker of the cluster has a crew of one process for what it is given. So no task ends a worker of the cluster, and
Dask has to handle nothing but the loss of a machine.

The import raises ConvbenchError if Dask distributed, an extra, is not installed.
"""

from convbench.errors import ConvbenchError

try:
    import distributed  # noqa: F401
except ImportError as error:
    raise ConvbenchError(f'--cluster needs Dask distributed ({error}): pip install "convbench[cluster]"') from None

from convbench.crew.cluster.address import Address
from convbench.crew.cluster.connection import Cluster, connect
from convbench.crew.cluster.team import Team

__all__ = ["Address", "Cluster", "Team", "connect"]
