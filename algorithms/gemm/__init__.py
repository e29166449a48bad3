"""Convolution as a matrix product."""
