"""Pictures: a PNG with something on it, or a clear reason."""

import struct
import sys

import pytest
from test_record import failed, record
from test_report import SIMULATOR, timed

from convbench.errors import ConvbenchError


def size_of(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_a_picture_grows_with_what_it_shows(tmp_path):
    from convbench.pictures import save_picture

    save_picture([record()], tmp_path / "one.png")
    layers = [timed(10.0 * i, layer=f"conv{i}", problem=f"n1c1h{i}w5-k1r1s1") for i in (1, 2, 3)]
    save_picture(layers, tmp_path / "three.png")
    save_picture([*layers, timed(5.0, device=SIMULATOR), failed("refused", algorithm="x")], tmp_path / "devices.png")
    heights = [size_of((tmp_path / f"{name}.png").read_bytes())[1] for name in ("one", "three", "devices")]
    assert heights[0] < heights[1] < heights[2]


def test_the_spec_names_the_clock_of_simulated_times_and_marks_the_limit():
    from convbench.pictures import chart

    spec = str(chart([timed(5.0, device=SIMULATOR)]).to_dict())
    assert "ms of CPU wall clock, simulated" in spec
    assert "1 is the limit" in spec
    assert "simulated" not in str(chart([timed(5.0)]).to_dict())


def test_there_is_no_picture_of_nothing(tmp_path):
    from convbench.pictures import save_picture

    with pytest.raises(ConvbenchError, match="nothing passed"):
        save_picture([failed()], tmp_path / "none.png")
    (tmp_path / "file").touch()
    with pytest.raises(ConvbenchError, match="cannot be written"):
        save_picture([record()], tmp_path / "file" / "none.png")


def test_without_the_extra_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "altair", None)
    monkeypatch.delitem(sys.modules, "convbench.pictures", raising=False)
    with pytest.raises(ConvbenchError, match=r"convbench\[report\]"):
        import convbench.pictures  # noqa: F401
