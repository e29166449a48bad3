"""Programs about what algorithms do to the processes that they run in, each started by a nox session of its name.

All write tables to reports/emulator: `faults` what misbehaves, `kills` what is killed at random moments, `isolation`
what processes cost, `sample` what many layers take.
"""
