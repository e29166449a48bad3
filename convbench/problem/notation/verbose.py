"""Reads the lines that oneDNN prints with ONEDNN_VERBOSE=1, also when PyTorch runs it.

    line        onednn_verbose,v1,primitive,exec,ENGINE,PRIMITIVE,IMPLEMENTATION,PROP_KIND,TENSORS,ATTRIBUTES,AUXILIARY,
                DESCRIPTOR,TIME. oneDNN 2 leaves out `v1` and `primitive`; a time stamp may follow `v1`. The fields are
                found by their content. Text before `onednn_verbose` (or `dnnl_verbose`) is not read.
    convolution only lines that ran (`exec`) a `convolution` or `deconvolution` are problems. Every other primitive, and
                every other line of the log, is an OtherOperationError.
    deconvolution  the problem whose gradient by the data it computes: src is dy, dst is dx. Forward is backward_data,
                and the other way round. The first two axes of wei (the second and third with groups) are exchanged, in
                its tag too. The bias is no part of the problem.
    direction   the propagation kind. `backward` is both gradients.
    tensors     NAME:DTYPE:PROPERTIES:KIND:TAG:STRIDES:FLAGS of src, wei, bia and dst, separated by spaces; oneDNN 2
                writes NAME_DTYPE. The dtypes must be one. A `bia` of dtype `undef` is no bias.
    descriptor  as in benchdnn, without a name

Source: oneDNN, doc/performance/verbose.md, and src/common/verbose.cpp.
"""

import re

from convbench.errors import NotationError
from convbench.problem.fields import Direction
from convbench.problem.notation import benchdnn, tags
from convbench.problem.notation.reading import TURNED, OtherOperationError, Reading

_START = re.compile(r"(?:onednn|dnnl|mkldnn)_verbose,")
_TENSOR = re.compile(r"\b(src|wei|bia|dst)[:_](\w+):(\w*):(\w*):([^:\s,]*)")
_DESCRIPTOR = re.compile(r"(?<=,)(?=\w*ic[0-9])(?=\w*oc[0-9])(?=\w*mb[0-9])\w+(?=,|$)")
_DIRECTIONS: dict[str, tuple[Direction, ...]] = {
    "forward_training": ("forward",),
    "forward_inference": ("forward",),
    "forward": ("forward",),
    "backward_data": ("backward_data",),
    "backward_weights": ("backward_weights",),
    "backward": ("backward_data", "backward_weights"),
}
# the letters of the axes of wei in a tag, without and with groups
_EXCHANGED = (str.maketrans("abAB", "baBA"), str.maketrans("bcBC", "cbCB"))


def looks_like(text: str) -> bool:
    """Whether the text is a line of oneDNN's log."""
    return bool(_START.search(text))


def read(text: str) -> Reading:
    """The problem, direction and memory formats of a line; raises NotationError or ProblemError."""
    start = _START.search(text)
    assert start is not None  # looks_like
    fields = text[start.end() :].split(",")
    if "exec" not in fields[:5]:
        raise OtherOperationError(text, start.start(), "other lines of oneDNN's log")
    if "graph" in fields[: fields.index("exec")]:
        raise OtherOperationError(text, start.start(), "graph partition")  # its primitives have lines of their own
    primitive = fields[fields.index("exec") + 2 :][:1]
    if primitive not in (["convolution"], ["deconvolution"]):
        raise OtherOperationError(text, start.start(), primitive[0] if primitive else "other lines of oneDNN's log")
    kind = next((field for field in fields if field in _DIRECTIONS), None)
    if kind is None:
        raise NotationError(text, start.end(), f"no propagation kind: one of {', '.join(_DIRECTIONS)} is missing")
    if "dw:k" in text:
        raise NotationError(text, text.index("dw:k"), "a second, depthwise convolution is fused to this one")
    descriptor = _DESCRIPTOR.search(text, start.end())
    if not descriptor:
        raise NotationError(text, len(text), "no descriptor such as mb2_ic32oc32_ih14oh14kh3sh1dh0ph1_iw14ow14kw3sw1")
    tensors = {found[1]: found for found in _TENSOR.finditer(text, start.end(), descriptor.start())}
    if lacking := [name for name in ("src", "wei", "dst") if name not in tensors]:
        raise NotationError(text, descriptor.start(), f"the memory descriptors lack {', '.join(lacking)}")
    dtypes = [tensors[name][2] for name in ("src", "wei", "dst")]
    dtype = tags.one_dtype(":".join(dtypes))
    if dtype is None:
        raise NotationError(text, tensors["src"].start(2), f"{':'.join(dtypes)}: {tags.DTYPE_RULE}")
    values, directions = benchdnn.fields(text, *descriptor.span()), _DIRECTIONS[kind]
    source, weights, destination = (tensors[name][5] for name in ("src", "wei", "dst"))
    bias = "bia" in tensors and tensors["bia"][2] != "undef"
    if primitive == ["deconvolution"]:
        values, directions = values.turned(), tuple(TURNED.get(direction, direction) for direction in directions)
        source, destination = destination, source
        bias = False
        if re.fullmatch("[a-eA-E0-9]+", weights):  # not a word, such as "any"
            weights = weights.translate(_EXCHANGED[values.grouped])
    stored = tags.stored(source, weights, destination, grouped=values.grouped)
    problem = benchdnn.problem(values, dtype=dtype, bias=bias, stored=stored)
    return Reading(problem=problem, directions=directions, tags=stored.others)
