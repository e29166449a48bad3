"""What NVVM does to numba-cuda's code on its way to a GPU, for code that runs without NVVM."""
