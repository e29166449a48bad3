"""Run the Numba CUDA kernels of this process on the emulator: importing this package installs it.

    import convbench.emulator.install

numba-cuda's dispatcher, memory API and launches run unchanged, on a driver whose one device is in host memory. The
module can be called, to choose options: `convbench.emulator.install(checked=True)`. They are those of `Options`, and
environment variables set them too, for example CONVBENCH_CHECKED=1.

`settings` has the options in use (`options`). `host_driver` is the driver, with `host_memory`. `modules` loads PTX,
with `cubin` beside it. `launches` stands in the place of numba-cuda's launch, and `quick` repeats one; `habits` are
notes and no faults, and `captures` are other memory that a kernel reaches. `told` explains a fault, `findings`
collects faults, and `report` tells them when a program ends. `hooks` concerns tracebacks and processes.
"""

import atexit
import sys
from types import ModuleType
from typing import Any

from convbench.emulator.errors import UnsupportedError
from convbench.emulator.install.options import Options

_installed: list[bool] = []


class _Door(ModuleType):
    """The module itself, which can be called."""

    def __call__(self, **options: Any) -> None:
        """Install the emulator, if it is not yet, and set options. Raises OptionError."""
        from convbench.emulator.install import settings

        settings.choose(**options)
        _install()


def _install() -> None:
    """Make numba-cuda use the emulator, once in a process."""
    if _installed:
        return
    from numba.cuda import config

    if config.ENABLE_CUDASIM:
        raise UnsupportedError(
            "NUMBA_ENABLE_CUDASIM=1 is set, so that numba.cuda is Numba's simulator: unset it to use the emulator"
        )
    from numba.cuda.cudadrv import driver

    if driver.driver.devices:
        raise UnsupportedError(
            "this process has used a GPU already: import convbench.emulator.install before the first use of numba.cuda"
        )
    from convbench.emulator.install import hooks, launches, report

    launches.install()
    hooks.install()
    atexit.register(report.tell_at_exit)
    _installed.append(True)


def _install_as_the_environment_says() -> None:
    from convbench.emulator.install import settings

    settings.use(Options.of_environment())
    _install()


sys.modules[__name__].__class__ = _Door
_install_as_the_environment_says()
