"""What bounds on errors are computed from."""

import numpy as np
import pytest

from convbench.problem.notation import parse
from convbench.reference import error_model


def test_the_magnitude_of_the_same_data_is_computed_once(monkeypatch):
    calls, usual = [], error_model.compute
    monkeypatch.setattr(error_model, "compute", lambda *words: calls.append(words) or usual(*words))
    problem = parse("n1c3h5w6-k2r3s3-pad1-bias")
    x, w, bias = (np.random.default_rng(7).standard_normal(shape) for shape in ((1, 3, 5, 6), (2, 3, 3, 3), (2,)))
    first = error_model.elementwise_magnitude(problem, "forward", {"x": x, "w": w, "bias": bias})
    again = error_model.elementwise_magnitude(problem, "forward", {"x": -x, "w": w.copy(), "bias": bias + 1})
    assert again is first
    assert len(calls) == 1
    other = error_model.elementwise_magnitude(problem, "forward", {"x": 2 * x, "w": w, "bias": bias})
    np.testing.assert_array_equal(other, 2 * first)
    with pytest.raises(ValueError, match="read-only"):
        first += 1
