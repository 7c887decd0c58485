"""Live video to a virtual camera, which other programs use like a webcam. It carries no audio."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING

from newscaster.errors import MediaError, MissingExtraError, OutputError
from newscaster.texts import quoted

if TYPE_CHECKING:
    from newscaster.media.stream import LiveItem

_CAMERA = re.compile(r"camera(?::(.+))?", re.IGNORECASE | re.DOTALL)
_INSTALL = (
    "Install one: on Linux the kernel module v4l2loopback (modprobe v4l2loopback), on macOS and Windows OBS "
    "Studio, and start its virtual camera once"
)


def is_camera(address: str) -> bool:
    """Return whether an address is a virtual camera: "camera", or "camera:" and the name of the device."""
    return _CAMERA.fullmatch(address) is not None


def write_camera(address: str, items: Iterable[LiveItem], *, fps: Fraction) -> int:
    """Show frames in a virtual camera as they come, until the last. Their audio is dropped.

    Args:
        address: "camera" for the first free device, or "camera:/dev/video2", "camera:OBS Virtual Camera".
        items: frames of one size, each with its audio. If a frame is None, the previous one stays.
        fps: frames per second.

    Returns:
        Number of frames that were shown.

    Raises:
        MissingExtraError: pyvirtualcam is not installed.
        OutputError: there is no such device, or it cannot show frames of this size.
        MediaError: there are no frames.
    """
    match = _CAMERA.fullmatch(address)
    assert match is not None
    device: str | None = match[1]
    try:
        import pyvirtualcam
    except ImportError as error:
        raise MissingExtraError(purpose="a virtual camera", extra="camera", package="pyvirtualcam") from error
    images = (image for image, _ in items if image is not None)
    first = next(images, None)
    if first is None:
        raise MediaError(
            "there are no frames to show. Give speech, or keep the target video running for a while"
        )
    width, height = first.padded_size
    try:
        camera = pyvirtualcam.Camera(
            width, height, float(fps), fmt=pyvirtualcam.PixelFormat.I420, device=device
        )
    except RuntimeError as error:
        name = "a virtual camera" if device is None else f"the virtual camera {quoted(device)}"
        raise OutputError(f"{name} cannot be opened ({str(error).strip()}). {_INSTALL}") from error
    with camera:
        camera.send(first.i420())
        shown = 1
        for image in images:
            camera.send(image.i420())
            shown += 1
    return shown
