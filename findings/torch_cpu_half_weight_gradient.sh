#!/usr/bin/env bash
# PyTorch 2.13.0, CPU: the gradient of conv2d by its weights adds up the images of a batch in float16.
#
# Forward, every sum over channels and taps is kept in float32 and rounded once: the error is at most one rounding (1.00
# unit roundoffs of the exact result), whatever the batch. The gradient by the weights is summed in float32 within an
# image, but the sums of the images are added in float16. bfloat16 does the same where oneDNN does not compute it.
#
# Seen, largest error of dw in unit roundoffs of the exact element: 0.92 for 1 image in float16, 4758.93 for 64 images
# (an element whose images nearly cancel), with oneDNN and without; 1144.08 for 64 images in bfloat16 without oneDNN.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet torch==2.13.0 numpy==2.4.6
"$folder/bin/python" - <<'PYTHON'
import warnings

import torch

warnings.simplefilter("ignore")


def roundoffs(dtype, images, onednn=True):
    """Largest errors of y and dw, in unit roundoffs of the exact result of the same numbers."""
    torch.manual_seed(0)
    x, dy = (torch.rand(images, 2, size, size, dtype=torch.float64).mul(2).sub(1).to(dtype) for size in (8, 6))
    w = torch.ones(2, 2, 3, 3, dtype=dtype)

    def gradient(x, dy, w):
        mask = [False, True, False]
        return torch.ops.aten.convolution_backward(dy, x, w, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, mask)[1]

    def error(got, exact):
        return ((got.double() - exact).abs() / exact.abs()).max().item() / (torch.finfo(dtype).eps / 2)

    with torch.backends.mkldnn.flags(enabled=onednn):
        y, dw = torch.nn.functional.conv2d(x, w), gradient(x, dy, w)
    exact = torch.nn.functional.conv2d(x.double(), w.double()), gradient(x.double(), dy.double(), w.double())
    return error(y, exact[0]), error(dw, exact[1])


for dtype, images, onednn in (
    (torch.float16, 1, True), (torch.float16, 64, True), (torch.float16, 64, False), (torch.bfloat16, 64, False),
):
    y, dw = roundoffs(dtype, images, onednn)
    print(f"{dtype}, {images} images, oneDNN {onednn}: y {y:.2f} roundoffs, dw {dw:.2f}")
    assert y < 1.1, "forward is no longer summed in float32"
    assert dw < 1.1 if images == 1 else dw > 5, "the images are no longer added in half precision"
PYTHON
