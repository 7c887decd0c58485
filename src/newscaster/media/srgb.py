"""Still images of any mode as RGB in the colour space sRGB: backgrounds, photographs."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms


def eight_bits(image: Image.Image) -> Image.Image:
    """Return an image with 8 bits for a value; of 16-bit grey, the upper ones, rounded."""
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image, np.float64)
    return Image.fromarray((values / 257).clip(0, 255).round().astype(np.uint8))


def split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return the colours of an 8-bit image, RGB, CMYK or grey, and its alpha; None: it is opaque."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return image.convert("RGB"), image.getchannel("A")
    return image if image.mode in ("RGB", "CMYK", "L") else image.convert("RGB"), None


def converted_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    """Convert from a colour profile to sRGB; None if it is damaged or of another kind of image."""
    try:
        return ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
