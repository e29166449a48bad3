"""The balanced job bounds of closed networks of queues.

Source: Lazowska et al. 1984, "Quantitative system performance", section 5.4.
"""

from collections.abc import Sequence


def balanced(
    centres: Sequence[float], latency: float, customers: int, common: Sequence[float] = (), networks: int = 1
) -> tuple[float, float]:
    """The balanced job bounds: the least and the most time in which a closed network serves all that it has to do.

    Parameters
    ----------
    centres : how long each resource is occupied in all
    latency : how long the customers wait for no resource, if all of them wait at once
    customers : how many are in the network at once
    common : how long each resource is occupied that several such networks have together
    networks : how many networks these are
    """
    work, most = _sum_and_most(centres, common)
    if not work:
        return latency, latency
    alone = (sum(centres) + sum(common) / networks) / customers + latency
    behind = (customers - 1) / customers  # of the time of a resource, those who find others in front of them
    number = len(centres) + len(common)
    low = alone + behind * work / number / (1 + customers * latency / work)
    high = alone + behind * most / (1 + latency / work)
    return max(most, low), max(most, high)


def most_of_groups(
    centres: Sequence[float],
    latency: float,
    groups: int,
    members: int,
    common: Sequence[float] = (),
    networks: int = 1,
) -> float:
    """The most time of a network in which the members of a group wait for each other again and again.

    Then they ask for the same resources at the same time. So a group is one customer. What it takes alone is what its
    members take as a network of their own. It is no less than what they would take if they did not wait for each other.
    """
    work, most = _sum_and_most(centres, common)
    if not work:
        return latency
    parts = [time / groups for time in centres], [time / groups / networks for time in common]
    _, alone = balanced([*parts[0], *parts[1]], latency, members)
    _, apart = balanced(centres, latency, groups * members, common, networks)
    return max(apart, alone + (groups - 1) / groups * most / (1 + latency / work))


def _sum_and_most(centres: Sequence[float], common: Sequence[float]) -> tuple[float, float]:
    return sum(centres) + sum(common), max([*centres, *common], default=0.0)
