"""Photographs in many forms, and the refusals."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw

from newscaster.errors import FootageError, MediaError
from newscaster.still import Photo, find_face, photo, read_photo, upright
from synthetic_faces import anchor_frames, paste


def gradient(width: int = 120, height: int = 100) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 2, y * 2, (x + y)], axis=-1).astype(np.uint8)


def large_face() -> np.ndarray:
    frame = anchor_frames(1)[0]
    return np.asarray(Image.fromarray(frame).resize((frame.shape[1] * 2, frame.shape[0] * 2)))


def test_pixels_are_those_of_the_file(tmp_path: Path) -> None:
    Image.fromarray(gradient()).save(tmp_path / "a.png")
    photo_read = read_photo(tmp_path / "a.png")
    assert (photo_read.pixels == gradient()).all()
    assert photo_read.notes == ()


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned to the right when shown
    Image.fromarray(gradient()).save(tmp_path / "a.png", exif=exif)
    assert (read_photo(tmp_path / "a.png").pixels == np.rot90(gradient(), -1)).all()


def test_colour_profiles_are_converted(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"none").replace(b"bXYZ", b"rXYZ").replace(b"none", b"bXYZ")
    for name, data, colour in (("a", profile, (40, 120, 200)), ("b", swapped, (200, 120, 40))):
        Image.new("RGB", (100, 100), (40, 120, 200)).save(tmp_path / f"{name}.png", icc_profile=data)
        photo_read = read_photo(tmp_path / f"{name}.png")
        assert photo_read.pixels[0, 0] == pytest.approx(colour, abs=2)
        assert photo_read.notes == ()


def test_a_damaged_profile_is_noted(tmp_path: Path) -> None:
    Image.fromarray(gradient()).save(tmp_path / "a.png", icc_profile=b"no profile at all")
    photo_read = read_photo(tmp_path / "a.png")
    assert (photo_read.pixels == gradient()).all()
    assert "profile" in photo_read.notes[0]


def test_transparent_pixels_lie_over_grey(tmp_path: Path) -> None:
    rgba = np.dstack([gradient(), np.zeros((100, 120), np.uint8)])
    rgba[:, 60:, 3] = 255
    Image.fromarray(rgba).save(tmp_path / "a.png")
    pixels = read_photo(tmp_path / "a.png").pixels
    assert (pixels[:, :60] == 128).all()
    assert (pixels[:, 60:] == gradient()[:, 60:]).all()


def test_sixteen_bits_and_palettes(tmp_path: Path) -> None:
    grey = gradient()[..., 0]
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "a.png")
    assert (read_photo(tmp_path / "a.png").pixels == grey[..., None]).all()
    palette = Image.fromarray(gradient()).quantize(16)
    palette.save(tmp_path / "b.png")
    assert (read_photo(tmp_path / "b.png").pixels == np.asarray(palette.convert("RGB"))).all()


def test_large_photographs_are_reduced_to_even_sides(tmp_path: Path) -> None:
    Image.new("RGB", (4001, 301), (10, 20, 30)).save(tmp_path / "a.jpg")
    photo_read = read_photo(tmp_path / "a.jpg")
    assert photo_read.pixels.shape == (154, 2048, 3)
    assert "2048x154" in photo_read.notes[0]
    Image.fromarray(gradient(121, 101)).save(tmp_path / "b.png")
    assert read_photo(tmp_path / "b.png").pixels.shape == (100, 120, 3)


def test_bad_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MediaError, match="no such file"):
        read_photo(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(MediaError, match="is not an image"):
        read_photo(tmp_path / "text.png")
    data = io.BytesIO()
    Image.fromarray(gradient()).save(data, "PNG")
    (tmp_path / "cut.png").write_bytes(data.getvalue()[:-200])
    with pytest.raises(MediaError, match="cannot be read"):
        read_photo(tmp_path / "cut.png")
    frames = [Image.new("RGB", (100, 100), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(MediaError, match="several images"):
        read_photo(tmp_path / "moving.gif")
    Image.new("RGB", (100, 50)).save(tmp_path / "small.png")
    with pytest.raises(MediaError, match="100x50"):
        read_photo(tmp_path / "small.png")
    with pytest.raises(MediaError, match="cannot be read"):
        read_photo(tmp_path)
    monkeypatch.setattr(photo, "MAX_PHOTO_PIXELS", 5000)
    Image.fromarray(gradient()).save(tmp_path / "bomb.png")
    with pytest.raises(MediaError, match="120x100 pixels"):
        read_photo(tmp_path / "bomb.png")


def test_the_face_is_found() -> None:
    image = large_face()
    landmarks = find_face(image, name="a.png")
    assert landmarks.shape == (478, 3)
    assert find_face(image, name="a.png", face=0) == pytest.approx(landmarks)
    with pytest.raises(FootageError, match="face=1"):
        find_face(image, name="a.png", face=1)


def test_no_face_and_small_faces_are_refused() -> None:
    with pytest.raises(FootageError, match=r"no face was found in 'a\.png'"):
        find_face(np.full((200, 200, 3), 90, np.uint8), name="a.png")
    small = Image.fromarray(large_face()).resize((200, 160))
    with pytest.raises(FootageError, match="pixels high; accepted are 96"):
        find_face(np.asarray(small), name="a.png")


def test_one_of_several_faces_is_selected() -> None:
    frame = large_face()
    canvas = np.full((500, 1200, 3), 120, np.uint8)
    paste(canvas, frame, 300, height=400)
    paste(canvas, frame[:, ::-1], 900, height=400)
    with pytest.raises(FootageError, match=r"shows 2 faces.*face=0 \(leftmost\) to 1"):
        find_face(canvas, name="a.png")
    assert find_face(canvas, name="a.png", face=0)[:, 0].mean() < 500
    assert find_face(canvas, name="a.png", face=1)[:, 0].mean() > 700


def test_a_covered_mouth_is_refused() -> None:
    image = large_face()
    landmarks = find_face(image, name="a.png")
    low, high = landmarks[[61, 0], :2].min(axis=0), landmarks[[291, 17], :2].max(axis=0)
    covered = Image.fromarray(image)
    box = (*(low - np.array([40, 15])).tolist(), *(high + np.array([40, 60])).tolist())
    ImageDraw.Draw(covered).rectangle(box, fill=(20, 160, 60))
    with pytest.raises(FootageError, match=r"mouth of the face in 'a\.png' is covered"):
        find_face(np.asarray(covered), name="a.png")


def test_a_profile_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    image = large_face()
    points = find_face(image, name="a.png").astype(np.float64)
    turn = np.radians(-40.0)  # the face looks to this side already
    turned = points.copy()
    turned[:, 0] = np.cos(turn) * points[:, 0] + np.sin(turn) * points[:, 2]
    turned[:, 2] = np.cos(turn) * points[:, 2] - np.sin(turn) * points[:, 0]
    monkeypatch.setattr(photo, "_find_faces", lambda _: [turned.astype(np.float32)])
    with pytest.raises(FootageError, match=r"turned by 4\d degrees"):
        find_face(image, name="a.png")


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_photograph_that_was_turned_is_set_upright(turns: int) -> None:
    image = large_face()
    lying = Photo(np.ascontiguousarray(np.rot90(image, turns)), ("a note",))
    turned = upright(lying)
    assert (turned.pixels == image).all()
    assert turned.notes[0] == "a note"
    if turns == 0:
        assert turned is lying
    else:
        assert ("upside down" if turns == 2 else "on its side") in turned.notes[1]
    find_face(turned.pixels, name="a.png")


def test_a_tilted_face_is_not_turned() -> None:
    tilted = Image.fromarray(large_face()).rotate(30, fillcolor=(120, 120, 120))
    lying = Photo(np.asarray(tilted))
    assert upright(lying) is lying


def test_faces_that_are_too_small_or_missing_turn_nothing() -> None:
    small = Image.fromarray(large_face()).resize((200, 160)).rotate(180)
    for pixels in (np.asarray(small), np.full((200, 200, 3), 90, np.uint8)):
        lying = Photo(pixels)
        assert upright(lying) is lying


def test_the_largest_face_decides_which_way_is_up() -> None:
    frame = large_face()
    canvas = np.full((600, 1200, 3), 120, np.uint8)
    paste(canvas, frame, 800, height=560)
    paste(canvas, frame[::-1], 220, height=300)
    lying = Photo(canvas)
    assert upright(lying) is lying
    turned = upright(Photo(np.ascontiguousarray(canvas[::-1, ::-1])))
    assert (turned.pixels == canvas).all()
