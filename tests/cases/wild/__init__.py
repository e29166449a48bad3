"""Kernels that try to bring the interpreter down."""
