"""Workloads: named problems, with how often each occurs and where they come from.

The name of a list in `lists/`, a file, an ONNX model or a `torch.nn.Module` enters; a `Workload` of `Layer`s leaves.
Every reader of a source knows `Workload`, and `Workload` knows none of them; `sources` picks the reader.
"""

from convbench.workload.layer import Layer
from convbench.workload.sources import from_onnx, from_texts, from_torch, load, names
from convbench.workload.workload import Workload

__all__ = ["Layer", "Workload", "from_onnx", "from_texts", "from_torch", "load", "names"]
