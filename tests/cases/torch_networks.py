"""Small PyTorch networks of common kinds, each with the shape of an input, and modules with unusual forward methods."""

import torch
from torch import nn


class Residual(nn.Module):
    """The basic block of a ResNet."""

    def __init__(self, c, k, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(c, k, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(k)
        self.conv2 = nn.Conv2d(k, k, 3, 1, 1, bias=False)
        self.down = nn.Identity() if stride == 1 else nn.Conv2d(c, k, 1, stride)

    def forward(self, x):
        return torch.relu(self.conv2(torch.relu(self.bn1(self.conv1(x)))) + self.down(x))


def resnet_like():
    stem = nn.Sequential()
    stem.add_module("stem", nn.Conv2d(3, 8, 7, 2, 3, bias=False))
    stem.add_module("pool", nn.MaxPool2d(3, 2, 1))
    for number, (c, k, stride) in enumerate([(8, 8, 1), (8, 8, 1), (8, 16, 2)]):
        stem.add_module(str(number), Residual(c, k, stride))
    return stem, (1, 3, 64, 64)


class Inverted(nn.Module):
    """The inverted bottleneck of a MobileNet: expand, depthwise, squeeze and excite, project."""

    def __init__(self, c, k, taps, stride):
        super().__init__()
        wide = 3 * c
        self.expand, self.bn = nn.Conv2d(c, wide, 1, bias=False), nn.BatchNorm2d(wide)
        self.depthwise = nn.Conv2d(wide, wide, taps, stride, taps // 2, groups=wide, bias=False)
        self.reduce, self.widen = nn.Conv2d(wide, 4, 1), nn.Conv2d(4, wide, 1)
        self.project = nn.Conv2d(wide, k, 1)
        self.adds = stride == 1 and c == k

    def forward(self, x):
        y = self.depthwise(nn.functional.hardswish(self.bn(self.expand(x))))
        y = y * torch.sigmoid(self.widen(torch.relu(self.reduce(y.mean((2, 3), keepdim=True)))))
        y = self.project(y)
        return y + x if self.adds else y


def mobilenet_like():
    blocks = [Inverted(8, 8, 3, 1), Inverted(8, 12, 5, 2), Inverted(12, 12, 5, 1), Inverted(12, 12, 5, 1)]
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5))
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), *blocks, head), (2, 3, 33, 35)


class Shuffled(nn.Module):
    """A grouped 1 × 1 convolution, and a shuffle of its channels by views whose shapes contain the batch size."""

    def __init__(self):
        super().__init__()
        self.grouped = nn.Conv2d(8, 8, 1, groups=2)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)

    def forward(self, x):
        x = self.grouped(x)
        n, c, h, w = x.shape
        return self.depthwise(x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w))


class AlongRows(nn.Module):
    """One-dimensional convolutions over the rows of an image, whose number the exported graph computes."""

    def __init__(self):
        super().__init__()
        self.along = nn.Conv1d(8, 4, 5, stride=2, dilation=2, padding=3)

    def forward(self, x):
        return self.along(x.flatten(2))


def shufflenet_like():
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2), Shuffled(), Shuffled(), AlongRows()), (2, 3, 17, 19)


class UNet(nn.Module):
    """A small UNet: one level down, one up by a transposed convolution, and the skip between them."""

    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.bottom = nn.Conv2d(6, 12, 3, padding="same", dilation=2)
        self.up = nn.ConvTranspose2d(12, 6, 2, stride=2)
        self.head = nn.Conv2d(12, 2, 1)

    def forward(self, x):
        skip = self.down(x)
        return self.head(torch.cat([skip, self.up(self.bottom(nn.functional.max_pool2d(skip, 2)))], 1))


def unet_like():
    return UNet(), (2, 3, 16, 24)


class TextNetwork(nn.Module):
    """A network of texts: an embedding of integers, and convolutions of several widths over it."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.widths = nn.ModuleList(nn.Conv1d(6, 4, width) for width in (2, 3))
        self.head = nn.Linear(8, 3)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None = None):
        x = self.embedding(ids).transpose(1, 2)
        if mask is not None:
            x = x * mask
        return self.head(torch.cat([torch.relu(conv(x)).amax(2) for conv in self.widths], 1))


def text_like():
    return TextNetwork(), torch.zeros((2, 9), dtype=torch.int64)


class Calling(nn.Module):
    """A module that is a function of its input, with parts that the function may use."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs):
        return self.function(self, *inputs)


class Standardised(nn.Conv2d):
    """A subclass of Conv2d with its own forward method, as weight standardisation has."""

    def forward(self, x):
        return nn.functional.conv2d(
            nn.functional.pad(x, (1, 0, 1, 0)), self.weight - self.weight.mean(), None, self.stride
        )
