"""Imported first in each worker process of a local cluster: Ctrl-C is its parent's."""

import signal

signal.signal(signal.SIGINT, signal.SIG_IGN)
