"""Baselines: the convolutions of other libraries, measured beside the project's own, on the same data and clock.

Each is an `Algorithm` that calls a library: cuDNN, PyTorch, NumPy or SciPy. The entry-point group
`convbench.baselines` registers them. They run only when they are asked for, by `--baselines` or by name, and reports
compare the other algorithms with them. Each names the precision in which it multiplies.
"""
