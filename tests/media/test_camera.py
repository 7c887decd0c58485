"""Frames in a virtual camera. pyvirtualcam is replaced: a test machine has no such device."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import pytest

from making_media import moving_pattern
from newscaster.errors import MediaError, MissingExtraError, OutputError
from newscaster.media import YuvFrame, is_camera, write_camera
from newscaster.media.color import ColourTags, FromRgb

SILENCE = np.zeros(1920, np.float32)


class Camera:
    """What pyvirtualcam opens: devices other than these do not exist."""

    opened: list[Camera]
    devices = ("/dev/video2", None)

    def __init__(self, width: int, height: int, fps: float, *, fmt: str, device: str | None) -> None:
        if device not in self.devices:
            raise RuntimeError("v4l2loopback: device not found\n")
        self.size, self.fps, self.fmt, self.device = (width, height), fps, fmt, device
        self.frames: list[np.ndarray] = []
        self.closed = False
        self.opened.append(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def send(self, frame: np.ndarray) -> None:
        width, height = self.size
        assert frame.dtype == np.uint8
        assert frame.flags.c_contiguous
        assert frame.size == width * height * 3 // 2  # as pyvirtualcam checks it
        self.frames.append(frame)


@pytest.fixture
def cameras(monkeypatch: pytest.MonkeyPatch) -> list[Camera]:
    Camera.opened = []
    module = SimpleNamespace(Camera=Camera, PixelFormat=SimpleNamespace(I420="I420"))
    monkeypatch.setitem(sys.modules, "pyvirtualcam", module)  # type: ignore[arg-type]
    return Camera.opened


def items(count: int, dropped: tuple[int, ...] = ()) -> Iterator[tuple[YuvFrame | None, Any]]:
    convert = FromRgb(ColourTags.for_height(64))
    for number, image in enumerate(moving_pattern(count)):
        yield None if number in dropped else YuvFrame(convert(image)), SILENCE


@pytest.mark.parametrize(("address", "device"), [("camera", None), ("camera:/dev/video2", "/dev/video2")])
def test_frames_are_shown(cameras: list[Camera], address: str, device: str | None) -> None:
    assert write_camera(address, items(6, dropped=(0, 3)), fps=Fraction(25)) == 4
    (camera,) = cameras
    assert (camera.size, camera.fps, camera.fmt, camera.device) == ((96, 64), 25.0, "I420", device)
    assert camera.closed
    given = [image for image, _ in items(6, dropped=(0, 3)) if image is not None]
    for frame, image in zip(camera.frames, given, strict=True):
        y, u, v = image.planes
        np.testing.assert_array_equal(frame[:64], y)
        np.testing.assert_array_equal(frame[64:80].reshape(32, 48), u)
        np.testing.assert_array_equal(frame[80:].reshape(32, 48), v)


def test_a_missing_device_is_an_error(cameras: list[Camera]) -> None:
    with pytest.raises(
        OutputError, match=r"the virtual camera '/dev/video9' cannot be opened \(v4l2loop.*modprobe"
    ):
        write_camera("camera:/dev/video9", items(2), fps=Fraction(25))


def test_a_missing_package_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)  # type: ignore[arg-type]
    with pytest.raises(MissingExtraError, match=r"newscaster\[camera\]"):
        write_camera("camera", items(2), fps=Fraction(25))


def test_no_frames_are_an_error(cameras: list[Camera]) -> None:
    with pytest.raises(MediaError, match="no frames"):
        write_camera("camera", items(2, dropped=(0, 1)), fps=Fraction(25))


def test_the_camera_closes_after_an_error(cameras: list[Camera]) -> None:
    def broken() -> Iterator[Any]:
        yield from items(3)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        write_camera("camera", broken(), fps=Fraction(25))
    assert cameras[0].closed


def test_addresses() -> None:
    assert all(map(is_camera, ("camera", "Camera", "camera:/dev/video0", "camera:OBS Virtual Camera")))
    assert not any(map(is_camera, ("camera.mp4", "./camera", "cameras", "udp://camera", "camera:")))


def test_the_real_package_takes_such_frames() -> None:
    """With a backend in place of a device: the shape is what pyvirtualcam checks itself."""
    pyvirtualcam = pytest.importorskip("pyvirtualcam", reason="the extra camera is not installed")
    sent: list[np.ndarray] = []

    class Backend:
        def __init__(self, **options: Any) -> None:
            self.options = options

        def close(self) -> None: ...

        def send(self, frame: np.ndarray) -> None:
            sent.append(frame.copy())

        def device(self) -> str:
            return "test"

        def native_fourcc(self) -> None:
            return None

    pyvirtualcam.register_backend("test", Backend)
    pyvirtualcam.camera.BACKENDS = {"test": Backend}
    assert write_camera("camera", items(3), fps=Fraction(25)) == 3
    assert len(sent) == 3
