"""The devices on which every intrinsic is tested."""

import pytest

from support.devices import DEVICES


@pytest.fixture(params=DEVICES)
def device(request):
    """Both emulators and the simulator in turn, instead of the device of the other tests."""
    return DEVICES[request.param]
