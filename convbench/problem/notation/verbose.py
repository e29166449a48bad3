"""Reads the lines that oneDNN prints with ONEDNN_VERBOSE=1, also when PyTorch runs it.

    line        onednn_verbose,v1,primitive,exec,ENGINE,PRIMITIVE,IMPLEMENTATION,PROP_KIND,TENSORS,ATTRIBUTES,AUXILIARY,
                DESCRIPTOR,TIME. oneDNN 2 leaves out `v1` and `primitive`; a time stamp may follow `v1`. The fields are
                found by their content. Text before `onednn_verbose` (or `dnnl_verbose`) is not read.
    convolution only lines that ran (`exec`) a `convolution` are problems. A `deconvolution` is refused; every other
                primitive, and every other line of the log, is an OtherOperationError.
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
from convbench.problem.notation.reading import OtherOperationError, Reading

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
    if primitive == ["deconvolution"]:
        reason = "a deconvolution is not read; it is the backward_data of the convolution from its output to its input"
        raise NotationError(text, text.index("deconvolution"), reason)
    if primitive != ["convolution"]:
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
    values = benchdnn.fields(text, *descriptor.span())
    grouped = values.grouped
    stored = tags.stored(*(tensors[name][5] for name in ("src", "wei", "dst")), grouped=grouped)
    problem = benchdnn.problem(
        values, dtype=dtype, bias="bia" in tensors and tensors["bia"][2] != "undef", stored=stored
    )
    return Reading(problem=problem, directions=_DIRECTIONS[kind], tags=stored.others)
