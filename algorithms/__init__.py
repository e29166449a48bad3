"""The convolution algorithms: Numba CUDA kernels and how they are launched. Each family has a folder."""
