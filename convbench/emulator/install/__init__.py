"""Make numba-cuda launch on the emulator: its dispatcher, memory API and launch run unchanged, on host memory."""
