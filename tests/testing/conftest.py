"""The fixture of the plugin, which is not loaded where the package is not installed."""

from convbench.testing.plugin import emulator

__all__ = ["emulator"]
