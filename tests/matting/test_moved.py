"""The matte of an image that a mesh moves: as the moved image's own, small, and refused if damaged."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from newscaster.matting import Matte
from newscaster.matting.moved import (
    MAX_ERROR_PX,
    MAX_FIELDS,
    TOLERANCE_PX,
    Mesh,
    MovedImage,
    decode_moved,
    encode_moved,
)
from newscaster.matting.planes import OPAQUE, FrameMatte
from newscaster.matting.store import MatteStore, MatteWriter, joined, without_frames
from newscaster.media import YuvFrame
from newscaster.media.backdrop import constant_planes
from newscaster.media.color import ColourTags, FromRgb
from newscaster.types import ArrayF32
from tiny_anchor import tiny_matte

SIZE = WIDTH, HEIGHT = 240, 160
COLUMNS, ROWS = np.linspace(0, WIDTH, 21).round().astype(int), np.linspace(0, HEIGHT, 12).round().astype(int)
RED, GREY = np.array((200, 40, 60)), np.array((150, 150, 170))


def yuv(image: np.ndarray) -> YuvFrame:
    return YuvFrame(FromRgb(ColourTags.for_height(HEIGHT))(image), SIZE)


def disc(right: float = 0.0, down: float = 0.0) -> np.ndarray:
    """Alpha (H, W) of a disc with a soft edge, moved."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    distance = np.hypot(x - WIDTH / 2 - right, y - HEIGHT / 2 - down) - 40
    part = np.clip(0.5 - distance / 9, 0, 1)
    return np.rint(255 * part * part * (3 - 2 * part)).astype(np.uint8)


def frame(alpha: np.ndarray) -> np.ndarray:
    weight = alpha[..., None] / 255
    return np.rint(weight * RED + (1 - weight) * GREY).astype(np.uint8)


def own_matte(alpha: np.ndarray) -> FrameMatte:
    red = np.ascontiguousarray(np.broadcast_to(RED.astype(np.uint8), (HEIGHT, WIDTH, 3)))
    return FrameMatte.of(Matte(alpha, red, True), yuv(frame(alpha)))


def image_matte() -> FrameMatte:
    return own_matte(disc())


def grids(moves: list[tuple[float, float]]) -> np.ndarray:
    """The disc moves by these pixels; the border of the image does not."""
    places = np.stack(np.meshgrid(COLUMNS, ROWS), axis=-1).astype(float)
    x, y = places[..., 0], places[..., 1]
    fade = np.clip(np.minimum.reduce([x, WIDTH - x, y, HEIGHT - y]) / 24, 0, 1)[..., None]
    return np.stack([places - fade * move for move in moves])


MOVES = [(0.0, 0.0), (3.0, 0.0), (-2.5, 1.25), (0.6, -3.3), (4.0, 4.0)]


def moved() -> tuple[MovedImage, ArrayF32]:
    return MovedImage.of(image_matte(), grids(MOVES), COLUMNS, ROWS)


def stored() -> bytes:
    image, coefficients = moved()
    buffer = io.BytesIO()
    with MatteWriter(buffer, size=SIZE, image=encode_moved(image)) as writer:
        for row in coefficients:
            writer.add_moved(row)
    return buffer.getvalue()


def full_alpha(matte: FrameMatte) -> np.ndarray:
    assert matte.luma is not None
    return matte.luma.full_alpha().astype(int)


def test_alpha_moves_with_the_image() -> None:
    image, coefficients = moved()
    for move, row in zip(MOVES, coefficients, strict=True):
        assert np.abs(full_alpha(image.frame(row)) - disc(*move)).max() <= 5, move


def composite_errors(matte: FrameMatte, alpha: np.ndarray) -> list[int]:
    """Largest errors of Y, U and V over blue, in levels."""
    target, blue = yuv(frame(alpha)), (20, 30, 120)
    matte.composite(target, constant_planes(blue, target))
    weight = alpha[..., None] / 255
    wanted = yuv(np.rint(weight * RED + (1 - weight) * blue).astype(np.uint8))
    return [
        int(np.abs(new.astype(int) - true).max())
        for new, true in zip(target.planes, wanted.planes, strict=True)
    ]


def test_no_old_background_is_left_in_moved_frames() -> None:
    """Nearly as good as the matte of each frame itself, in luma and chroma."""
    image, coefficients = moved()
    for move, row in zip(MOVES, coefficients, strict=True):
        alpha = disc(*move)
        errors, best = composite_errors(image.frame(row), alpha), composite_errors(own_matte(alpha), alpha)
        assert np.subtract(errors, best).max() <= 3, (move, errors, best)


def test_every_sample_of_chroma_is_outside_only_if_its_pixels_are() -> None:
    image, coefficients = moved()
    for row in coefficients:
        matte = image.frame(row)
        assert matte.luma is not None
        assert matte.chroma is not None
        alpha, half = full_alpha(matte), matte.chroma.full_alpha()
        pairs = alpha.reshape(HEIGHT // 2, 2, WIDTH // 2, 2)
        assert (pairs.max(axis=(1, 3))[half == 0] == 0).all()
        assert (pairs.min(axis=(1, 3))[half == 255] == 255).all()


def test_a_mesh_needs_few_fields() -> None:
    mesh, coefficients = Mesh.fit(grids(MOVES), COLUMNS, ROWS, exact=np.ones((12, 21), np.bool_))
    assert coefficients.shape == (5, 2)
    errors = [mesh.grid(row) - grid for row, grid in zip(coefficients, grids(MOVES), strict=True)]
    assert np.abs(errors).max() <= TOLERANCE_PX + 1e-4
    decoded, rest = Mesh.decode(memoryview(mesh.encode() + b"rest"), (HEIGHT, WIDTH))
    assert bytes(rest) == b"rest"
    assert np.array_equal(decoded.grid(coefficients[3]), mesh.grid(coefficients[3]))


def test_a_still_image_needs_none() -> None:
    image, coefficients = MovedImage.of(image_matte(), grids([(0.0, 0.0)] * 3), COLUMNS, ROWS)
    assert coefficients.shape == (3, 0)
    assert np.array_equal(full_alpha(image.frame(coefficients[2])), disc())


def test_motion_of_many_fields_may_differ_by_more() -> None:
    """As that of a lively head, which has more of them than are stored."""
    shaken = 0.008 * np.random.default_rng(0).normal(size=(200, 12, 21, 2)) + grids([(0.0, 0.0)])
    mesh, coefficients = Mesh.fit(shaken, COLUMNS, ROWS, exact=np.ones((12, 21), np.bool_))
    assert coefficients.shape == (200, MAX_FIELDS)
    errors = [mesh.grid(row) - grid for row, grid in zip(coefficients, shaken, strict=True)]
    assert TOLERANCE_PX < np.abs(errors).max() <= MAX_ERROR_PX + 1e-4


def test_motion_without_order_is_refused() -> None:
    shaken = np.random.default_rng(0).normal(size=(200, 12, 21, 2)) + grids([(0.0, 0.0)])
    with pytest.raises(ValueError, match="128 fields describe the motion within"):
        Mesh.fit(shaken, COLUMNS, ROWS, exact=np.ones((12, 21), np.bool_))


def test_only_nodes_at_the_edge_count() -> None:
    """What shakes deep inside the person, or far outside, costs nothing."""
    shaken = grids([(0.0, 0.0)] * 200)
    rng = np.random.default_rng(0)
    shaken[:, 5:7, 9:12] += rng.normal(size=(200, 2, 3, 2))
    shaken[:, 1:3, 1:3] += rng.normal(size=(200, 2, 2, 2))
    assert MovedImage.of(image_matte(), shaken, COLUMNS, ROWS)[1].shape == (200, 0)


def test_an_opaque_image_cannot_be_moved() -> None:
    with pytest.raises(ValueError, match="opaque"):
        MovedImage.of(OPAQUE, grids(MOVES), COLUMNS, ROWS)


def test_the_store_is_small_and_reads_at_any_place() -> None:
    data, (image, coefficients) = stored(), moved()
    store = MatteStore(data)
    assert (len(store), store.size) == (5, SIZE)
    for index in (4, 0, 2):
        found, wanted = store.frame(index), image.frame(coefficients[index])
        assert found.luma is not None
        assert wanted.luma is not None
        assert np.array_equal(full_alpha(found), full_alpha(wanted))
        assert np.array_equal(found.luma.difference, wanted.luma.difference)


def test_frames_are_taken_out_and_appended() -> None:
    data = stored()
    own = tiny_matte(3, SIZE)
    both = MatteStore(joined(data, own))
    assert len(both) == 8
    assert np.array_equal(full_alpha(both.frame(3)), full_alpha(MatteStore(data).frame(3)))
    assert np.array_equal(full_alpha(both.frame(7)), full_alpha(MatteStore(own).frame(2)))
    assert without_frames(joined(data, own), 5, 8) == data
    fewer = MatteStore(without_frames(data, 1, 3))
    assert np.array_equal(full_alpha(fewer.frame(1)), full_alpha(MatteStore(data).frame(3)))
    with pytest.raises(ValueError, match="pixels"):
        joined(data, tiny_matte(1, (96, 80)))


def with_shared(data: bytes, shared: bytes) -> bytes:
    """The stored mattes with another image."""
    before = len(MatteStore(data).image or b"")
    offsets = np.frombuffer(data[-20 - 8 * 6 : -20], "<u8").astype(int) + (len(shared) - before)
    frames = data[12 + before : -20 - 8 * 6]
    head = data[:8] + len(shared).to_bytes(4, "little")
    return head + shared + frames + offsets.astype("<u8").tobytes() + data[-20:]


def test_damaged_files_are_refused() -> None:
    data = stored()
    shared = bytes(MatteStore(data).image or b"")
    assert MatteStore(with_shared(data, shared)).frame(0)
    bad = [data[:-1], b"NCMATTE1" + data[8:], data[:-8] + b"NCMATTE1", data[:9] + b"\xff" + data[10:]]
    bad += [data[:12] + data[-20:], data[:8] + data[-20:]]
    bad += [with_shared(data, part) for part in (b"", shared[:9], shared[:40], shared[:-7], shared + b"x")]
    bad.append(with_shared(data, encode_moved(moved()[0])[: -len(image_matte().encode())] + OPAQUE.encode()))
    for place, value in ((0, 1), (0, 200), (4, 255), (6, 0), (12, 99), (12 + 2 * 21, 99)):
        torn = bytearray(shared)
        torn[place] = value
        bad.append(with_shared(data, bytes(torn)))
    scale = 10 + 2 * 33
    bad += [
        with_shared(data, shared[:scale] + np.array([value], "<f4").tobytes() + shared[scale + 4 :])
        for value in (np.nan, np.inf, 1e9)
    ]
    for part in bad:
        with pytest.raises(ValueError, match=r"it|its|a matte"):
            MatteStore(part)


@pytest.mark.parametrize("row", [np.zeros(1), np.zeros(3), [0.0, np.nan], [0.0, 2.0], [np.inf, 0.0]])
def test_damaged_coefficients_are_refused(row: list[float]) -> None:
    image, _ = moved()
    buffer = io.BytesIO()
    with MatteWriter(buffer, size=SIZE, image=encode_moved(image)) as writer:
        writer.add_moved(np.array(row, np.float32))
    with pytest.raises(ValueError, match="a matte"):
        MatteStore(buffer.getvalue()).frame(0)


def test_a_moved_frame_needs_an_image() -> None:
    buffer = io.BytesIO()
    with MatteWriter(buffer, size=SIZE) as writer:
        writer.add_moved(np.zeros(2, np.float32))
    with pytest.raises(ValueError, match="kind 3"):
        MatteStore(buffer.getvalue()).frame(0)


def test_random_meshes_are_refused_or_read() -> None:
    """Folded and scattered meshes, too: whatever they show, it has the size of the frame."""
    image, coefficients = moved()
    mesh = image.mesh
    encoded = image.matte.encode()
    rng = np.random.default_rng(0)
    for number in range(40):
        fields = mesh.fields.copy()
        places = rng.integers(0, fields.size, 30)
        fields.reshape(-1)[places] = rng.integers(-32768, 32768, 30)
        scales = mesh.scales * np.float32(10.0 ** rng.integers(-3, 3))
        torn = bytearray(Mesh(mesh.columns, mesh.rows, fields, scales).encode() + encoded)
        if number % 2:
            for place in rng.integers(0, len(torn), 2):
                torn[place] = rng.integers(0, 256)
        try:
            found = decode_moved(memoryview(bytes(torn)), (HEIGHT, WIDTH))
        except ValueError:
            continue
        target = yuv(frame(disc()))
        found.frame(np.resize(coefficients[number % 5], len(found.mesh.scales))).composite(
            target, (16, 128, 128)
        )


def test_a_bomb_is_refused() -> None:
    image, _ = moved()
    encoded = image.mesh.encode()
    packed = zlib.compress(bytes(100_000_000), 9)
    head = encoded[:6] + len(packed).to_bytes(4, "little") + encoded[10 : 10 + 2 * 33 + 8]
    with pytest.raises(ValueError, match="cut short or too long"):
        Mesh.decode(memoryview(head + packed), (HEIGHT, WIDTH))


def test_pictures_are_sampled_as_pillow_does() -> None:
    """Against Pillow's own mesh of the doubled image."""
    image, coefficients = moved()
    grid = 2 * image.mesh.grid(coefficients[2]).astype(float) - 0.5
    tiles = []
    for i, j in np.ndindex(11, 20):
        corners = grid[i, j], grid[i + 1, j], grid[i + 1, j + 1], grid[i, j + 1]
        box = int(COLUMNS[j]), int(ROWS[i]), int(COLUMNS[j + 1]), int(ROWS[i + 1])
        tiles.append((box, tuple(np.concatenate(corners).tolist())))
    doubled = Image.fromarray(image._alpha)
    wanted = np.asarray(doubled.transform(SIZE, Image.Transform.MESH, tiles, Image.Resampling.BILINEAR))
    assert np.abs(full_alpha(image.frame(coefficients[2])) - wanted).max() <= 1


def test_moved_frames_are_kept_while_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    data, moved, made = stored(), MovedImage.frame, []

    def counted(self: MovedImage, coefficients: np.ndarray) -> FrameMatte:
        made.append(coefficients)
        return moved(self, coefficients)

    monkeypatch.setattr(MovedImage, "frame", counted)
    size = MatteStore(data, kept_bytes=0).frame(0).nbytes
    assert size > 0
    for kept_bytes, expected in ((0, 6), (size + size // 2, 5), (10 * size, 3)):
        store = MatteStore(data, kept_bytes=kept_bytes)
        made.clear()
        twice = [[full_alpha(store.frame(index)) for index in range(3)] for _ in range(2)]
        assert len(made) == expected
        np.testing.assert_array_equal(twice[0], twice[1])
