"""The convolution algorithms: Numba CUDA kernels, and how they are launched. One module each."""
