"""The balanced job bounds of a closed network of queues.

Source: Lazowska et al. 1984, "Quantitative system performance", section 5.4.
"""


def balanced(centres: list[float], latency: float, customers: int) -> tuple[float, float]:
    """The balanced job bounds: the least and the most time in which a closed network serves all that it has to do.

    Parameters
    ----------
    centres : how long each resource is occupied in all
    latency : how long the customers wait for no resource, if all of them wait at once
    customers : how many are in the network at once
    """
    work, most = sum(centres), max(centres, default=0.0)
    if not work:
        return latency, latency
    alone = work / customers + latency
    behind = (customers - 1) / customers  # of the time of a resource, those who find others in front of them
    low = alone + behind * work / len(centres) / (1 + customers * latency / work)
    high = alone + behind * most / (1 + latency / work)
    return max(most, low), max(most, high)
