"""Python imports this when it starts, where this folder is in PYTHONPATH: the processes that tests start."""

import shim

shim.install()
