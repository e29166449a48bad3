"""Fixtures, and the budgets: how many examples a property test gets is set here, by Hypothesis profiles.

`quick` is the default and fits CI; `pytest --hypothesis-profile=thorough` looks 25 times longer. Tests that run kernels
get a fixed share of the profile's examples (`running.on_device`).
"""

import pytest
from hypothesis import HealthCheck, settings

from convbench import devices, registry
from convbench.algorithm import Algorithm
from convbench.devices.device import Device

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

settings.register_profile("quick", max_examples=200, deadline=None, derandomize=True, suppress_health_check=SLOW)
settings.register_profile("thorough", max_examples=5000, deadline=None, suppress_health_check=SLOW)
settings.load_profile("quick")


@pytest.fixture(scope="session")
def device() -> Device:
    """The GPU where there is one, else the simulator."""
    return devices.select()


@pytest.fixture(scope="session", params=registry.names())
def algorithm(request: pytest.FixtureRequest) -> Algorithm:
    """Every registered algorithm in turn."""
    return registry.get(request.param)
