"""mmdet3d: the overlap of rotated boxes on the GPU, by its own function, against polygons that are clipped here."""

import bare
import numpy as np
import pytest

boxes_of = bare.module("mmdet3d.evaluation.functional.kitti_utils.rotate_iou")


def corners(box):
    x, y, width, height, angle = box
    cos, sin = np.cos(angle), np.sin(angle)
    offsets = np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)]) * [width / 2, height / 2]
    return offsets @ np.array([[cos, -sin], [sin, cos]]) + [x, y]  # clockwise


def cross(a, b):
    return a[0] * b[1] - a[1] * b[0]


def area(polygon):
    return abs(sum(cross(a, b) for a, b in zip(polygon, np.roll(polygon, -1, 0), strict=True))) / 2


def clipped(polygon, by):
    """The part of a convex polygon inside another, whose corners go the same way round."""
    sign = np.sign(cross(by[1] - by[0], by[2] - by[1]))
    for a, b in zip(by, np.roll(by, -1, 0), strict=True):
        sides = [sign * cross(b - a, corner - a) for corner in polygon]
        found = []
        for number, corner in enumerate(polygon):
            before, side, other = polygon[number - 1], sides[number], sides[number - 1]
            if (side > 0) != (other > 0):
                found.append(before + (corner - before) * other / (other - side))
            if side > 0:
                found.append(corner)
        if not found:
            return 0.0
        polygon = found
    return area(np.array(polygon))


@pytest.mark.parametrize("criterion", [-1, 0, 1])
def test_overlaps(criterion):
    rng = np.random.default_rng(1)
    some, others = (
        np.column_stack([rng.uniform(0, 6, (n, 2)), rng.uniform(1, 4, (n, 2)), rng.uniform(-3, 3, n)]) for n in (70, 30)
    )
    found = boxes_of.rotate_iou_gpu_eval(some, others, criterion)
    assert found.shape == (70, 30)
    for i, box in enumerate(some):
        for j, other in enumerate(others):
            inside, own, its = clipped(corners(box), corners(other)), box[2] * box[3], other[2] * other[3]
            whole = {-1: own + its - inside, 0: its, 1: own}[criterion]  # its kernel takes the second box first
            assert found[i, j] == pytest.approx(inside / whole, abs=2e-3)
