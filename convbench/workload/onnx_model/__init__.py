"""Reads the convolutions of ONNX models.

A file or an `onnx.ModelProto` enters; a `Workload` leaves. `flat` makes one list of all nodes, `shapes` finds the sizes
of all tensors, and `model` makes a layer of each convolution. The package `onnx` is optional and imported late.
"""

from convbench.workload.onnx_model.model import read

__all__ = ["read"]
