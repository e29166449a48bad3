"""Reads workloads: lists of named problems, such as the convolutions of a network, with how often each occurs.

The name of a list in `lists/`, a file, a log of another program, an ONNX model or a `torch.nn.Module` enters; a
`Workload` of `Layer`s leaves. There is one module for each kind of source, and `sources` picks the right one. They all
import `Workload`, and `Workload` imports none of them.
"""

from convbench.workload.layer import Layer
from convbench.workload.sources import from_onnx, from_texts, from_torch, load, names
from convbench.workload.workload import Workload

__all__ = ["Layer", "Workload", "from_onnx", "from_texts", "from_torch", "load", "names"]
