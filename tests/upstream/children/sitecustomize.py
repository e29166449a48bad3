"""Python imports this module at start if its folder is in PYTHONPATH, as in the processes that tests start."""

import convbench.emulator

convbench.emulator.install()
