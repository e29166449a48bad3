"""Kernels with one planted bug each, and the same kernels without it."""
