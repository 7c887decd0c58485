"""What is shown behind a person: parsed from one value, and put behind each frame.

`matting` has the mattes and their arithmetic, `media.backdrop` images and videos, `target_matte` the matte of
an anchor's target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, Protocol

from PIL import ImageColor

from newscaster.errors import InputError, MediaError, OutputError
from newscaster.matting.blur import BackgroundBlur
from newscaster.matting.planes import FrameMatte
from newscaster.media import YuvFrame, containers
from newscaster.media.backdrop import Backdrop, constant_planes, open_backdrop
from newscaster.texts import quoted

Kind = Literal["file", "colour", "blur", "alpha"]
_WORDS: dict[str, Kind] = {"blur": "blur", "alpha": "alpha"}
_KEY_GREEN = (0, 255, 0)
_FILL = (16, 128, 128)


@dataclass(frozen=True, kw_only=True)
class Background:
    """What is shown behind the person."""

    kind: Kind
    path: Path | None = None
    """Of an image or a video."""
    rgb: tuple[int, int, int] = (0, 0, 0)
    """Of a colour."""

    @staticmethod
    def of(value: str | Path | None) -> Background | None:
        """Parse a background; None: the footage's own.

        Args:
            value: "blur", "alpha", a colour, or the path of an image or a video. A colour is #rrggbb or a
                CSS name, but "green" is #00ff00, the green that chroma keys expect. "./green" is a file.

        Raises:
            InputError: it is none of these.
            MediaError: there is no such file.
        """
        if value is None:
            return None
        text = str(value)
        if isinstance(value, str):
            if (kind := _WORDS.get(text.lower())) is not None:
                return Background(kind=kind)
            if text.lower() == "green":
                return Background(kind="colour", rgb=_KEY_GREEN)
            if (rgb := _colour(text)) is not None:
                return Background(kind="colour", rgb=rgb)
        path = Path(value)
        if path.is_file():
            return Background(kind="file", path=path)
        if isinstance(value, Path) or path.suffix or len(path.parts) > 1:
            raise MediaError(f"the background '{path}' is no file. Give an existing image or video")
        raise InputError(
            f"the background is {quoted(text)}; expected a colour (#rrggbb or a CSS name), the file of an "
            "image or a video, blur or alpha"
        )

    def check_file(self, *, like: YuvFrame, fps: Fraction) -> None:
        """Check that the image or the video can be read.

        Args:
            like: a frame of the result.
            fps: its frames per second.

        Raises:
            MediaError: it cannot.
        """
        if self.path is not None:
            open_backdrop(self.path, like=like, fps=fps)

    def check_container(self, container: containers.Container | None, *, live: bool = False) -> None:
        """Check that an output can carry this background.

        Raises:
            OutputError: it needs alpha, which the container cannot carry.
        """
        if self.kind != "alpha" or (container is not None and container.alpha_codec is not None):
            return
        name = "this output" if container is None else container.suffix or container.muxer
        raise OutputError(
            f"{name} cannot carry alpha; accepted are "
            f"{containers.listed(containers.alpha_suffixes(live=live))}. Write to such a file, or give a "
            "colour, such as green"
        )


def check_plain_background(value: str | None) -> None:
    """Check a background that is neither a file nor transparent.

    Raises:
        InputError: it is no colour, and not "blur".
    """
    if value is None or value.lower() == "blur" or value.lower() == "green" or _colour(value) is not None:
        return
    raise InputError(f"the background is {quoted(value)}; expected a colour (#rrggbb or a CSS name) or blur")


def background_change(value: str | Path | None) -> str | None:
    """Return what happens to the footage's own background, as the manifest states it; None: nothing.

    Args:
        value: as for :meth:`Background.of`; checked before.
    """
    if value is None:
        return None
    return {"blur": "blurred", "alpha": "removed"}.get(str(value).lower(), "replaced")


def _colour(text: str) -> tuple[int, int, int] | None:
    """Return a colour as RGB; None if it is none.

    Raises:
        InputError: it is partly transparent.
    """
    try:
        rgb = ImageColor.getrgb(text)
    except ValueError:
        return None
    if len(rgb) > 3:
        raise InputError(
            f"the background {quoted(text)} has an opacity; expected #rrggbb, or alpha for a transparent one"
        )
    return rgb[0], rgb[1], rgb[2]


class FrameMattes(Protocol):
    """Mattes by the frame number of a target."""

    def frame(self, index: int) -> FrameMatte:
        """Return the matte of a frame."""


class Compositor:
    """Puts a background behind the person of one stream of frames.

    Args:
        background: what is shown.
        mattes: of the target's frames.
        like: frame `first` of the target: its size and colour space.
        first: its number.
        fps: frames per second of the result.

    Raises:
        MediaError: the image or the video cannot be read.
    """

    def __init__(
        self, background: Background, mattes: FrameMattes, *, like: YuvFrame, first: int = 0, fps: Fraction
    ) -> None:
        self._mattes = mattes
        self._backdrop: Backdrop | None = None
        self._blur: BackgroundBlur | None = None
        self._constant: tuple[int, int, int] | None = None
        self._fill = _FILL
        if background.path is not None:
            self._backdrop = open_backdrop(background.path, like=like, fps=fps)
        elif background.kind == "colour":
            self._constant = constant_planes(background.rgb, like)
        elif background.kind == "blur":
            self._blur = BackgroundBlur(like)
        else:
            self._fill = mattes.frame(first).edge_colour(like) or _FILL

    def put_behind(self, image: YuvFrame, *, index: int, number: int) -> YuvFrame:
        """Replace the background of a frame, in place; return it.

        Args:
            image: frame `index` of the target, with its new mouth.
            index: number in the target.
            number: number in the result; selects the frame of a video.
        """
        matte = self._mattes.frame(index)
        if self._backdrop is not None:
            matte.composite(image, self._backdrop.planes(number))
        elif self._constant is not None:
            matte.composite(image, self._constant)
        elif self._blur is not None:
            matte.composite(image, self._blur.planes(image, matte))
        else:
            matte.cut_out(image, self._fill)
        return image

    def on_all(self, images: Iterable[YuvFrame], indices: Iterable[int]) -> Iterator[YuvFrame]:
        """Yield frames of the target, in the order of `indices`, with the new background."""
        for number, (image, index) in enumerate(zip(images, indices, strict=False)):
            yield self.put_behind(image, index=index, number=number)


def open_compositor(
    background: Background,
    mattes: Callable[[], FrameMattes],
    *,
    like: YuvFrame,
    first: int = 0,
    fps: Fraction,
) -> Compositor:
    """Return a compositor. Errors of the background are raised before `mattes` computes them."""
    background.check_file(like=like, fps=fps)
    return Compositor(background, mattes(), like=like, first=first, fps=fps)
