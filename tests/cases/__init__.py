"""What tests are run on: kernels, algorithms and data, right and deliberately wrong."""
