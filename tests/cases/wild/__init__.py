"""Kernels that try to crash the interpreter, by wild indices or by values without a result.

Each case is a function in the table of `launches`. `run` runs them in a process of its own, where a crash is seen.
"""
