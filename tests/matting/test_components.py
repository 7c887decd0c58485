from __future__ import annotations

import numpy as np
import pytest

from newscaster.matting.components import bounding_box, components, find_people, holes, layout, spread

SIZE = (720, 1280)


def ellipse(mask: np.ndarray, x: float, y: float, width: float, height: float) -> None:
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
    mask[((columns - x) / width) ** 2 + ((rows - y) / height) ** 2 < 1] = 1


def person(mask: np.ndarray, x: float, *, scale: float = 1.0) -> None:
    """Head and shoulders in a mask of 256 x 256, down to its lower border."""
    ellipse(mask, x, 256 - 150 * scale, 22 * scale, 45 * scale)
    ellipse(mask, x, 256, 50 * scale, 120 * scale)


def whole(*people: tuple[float, float]) -> np.ndarray:
    mask = np.zeros((256, 256), np.float32)
    for x, scale in people:
        person(mask, x, scale=scale)
    return mask


def face_at(x: float) -> tuple[float, float, float, float]:
    """The face of `person(x)`, in pixels of a frame of SIZE."""
    center_x, center_y = x / 256 * SIZE[1], 106 / 256 * SIZE[0]
    return center_x - 60, center_y - 70, center_x + 60, center_y + 70


def test_spread_follows_a_winding_path_and_no_diagonal() -> None:
    rng = np.random.default_rng(3)
    allowed = rng.random((40, 50)) < 0.62
    allowed[20, 20] = True
    seed = np.zeros_like(allowed)
    seed[20, 20] = True
    naive, border = {(20, 20)}, [(20, 20)]
    while border:
        y, x = border.pop()
        for place in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
            inside = 0 <= place[0] < 40 and 0 <= place[1] < 50
            if inside and allowed[place] and place not in naive:
                naive.add(place)
                border.append(place)
    assert len(naive) > 200
    assert set(zip(*np.nonzero(spread(seed, allowed)), strict=True)) == naive


def test_a_hole_that_is_rather_person_is_filled_even_if_it_is_larger() -> None:
    for value, filled in ((0.6, True), (0.3, False)):
        mask = np.zeros((128, 128), np.float32)
        mask[14:114, 14:114] = 1
        mask[50:62, 50:62] = value  # 1.4 % of the person
        assert holes(mask).any() == filled


def test_components_come_by_size_and_make_the_whole() -> None:
    mask = np.random.default_rng(0).random((12, 12)) < 0.5
    parts = components(mask)
    sizes = [int(part.sum()) for part in parts]
    assert sizes == sorted(sizes, reverse=True)
    np.testing.assert_array_equal(np.sum(parts, axis=0), mask)


def test_small_holes_are_filled_and_gaps_beside_an_arm_are_not() -> None:
    mask = np.zeros((128, 128), np.float32)
    mask[20:, 20:100] = 1
    mask[40:42, 50:53] = 0  # an ear ring
    mask[60:65, 50:55] = 0.3  # a fold that the network is not sure of
    mask[80:110, 30:45] = 0  # between an arm and the body
    mask[120:, 60:64] = 0  # open to the border of the frame
    filled = holes(mask)
    assert filled[41, 51]
    assert filled[62, 52]
    assert not filled[80:110, 30:45].any()
    assert not filled[120:, 60:64].any()


def test_nobody() -> None:
    assert find_people(np.zeros((256, 256), np.float32), SIZE) is None
    speck = np.zeros((256, 256), np.float32)
    speck[10:14, 10:14] = 1
    assert find_people(speck, SIZE) is None


def test_everybody_is_kept_and_specks_are_not() -> None:
    mask = whole((60, 1.0), (190, 0.7))
    mask[20:28, 120:128] = 1  # a lamp
    people = find_people(mask, SIZE)
    assert people is not None
    assert people.keep[100, 30]
    assert people.keep[110, 95]
    assert not people.keep[12, 62]


def test_one_face_keeps_its_own_person() -> None:
    people = find_people(whole((60, 1.0), (190, 1.0)), SIZE, face=face_at(190))
    assert people is not None
    assert people.keep[100, 95]
    assert not people.keep[100, 30]
    assert people.box[0] > 0.5


def test_people_who_touch_are_parted_between_their_faces() -> None:
    faces = face_at(95), face_at(165)
    mask = whole((95, 1.0), (165, 1.0))
    assert len(components(mask > 0.5)) == 1
    left = find_people(mask, SIZE, face=faces[0], other_faces=[faces[1]])
    right = find_people(mask, SIZE, face=faces[1], other_faces=[faces[0]])
    assert left is not None
    assert right is not None
    assert not (left.keep & right.keep)[:, :64].any()
    assert left.keep[100, 47]
    assert right.keep[100, 82]
    assert not left.keep[100, 82]


def test_a_face_without_a_person_is_nobody() -> None:
    assert find_people(whole((60, 1.0)), SIZE, face=face_at(220)) is None


@pytest.mark.parametrize("size", [(1920, 1080), (720, 1280), (65, 33), (512, 512)])
def test_crops_lie_inside_the_frame_and_cover_the_people(size: tuple[int, int]) -> None:
    mask = np.zeros((128, 128), np.bool_)
    mask[20:, 30:110] = True
    people = find_people(np.repeat(np.repeat(mask, 2, 0), 2, 1).astype(np.float32), size)
    assert people is not None
    covered = np.zeros((128, 128), np.bool_)
    for crop in people.crops:
        left, top, right, bottom = crop.box
        assert 0 <= left < right <= 1 + 1e-9
        assert 0 <= top < bottom <= 1 + 1e-9
        covered[int(top * 128) : int(np.ceil(bottom * 128)), int(left * 128) : int(np.ceil(right * 128))] = (
            True
        )
    assert covered[mask].all()


def test_long_people_are_looked_at_in_squares() -> None:
    crops = layout((0.3, 0.1, 0.6, 1.0), [], (1920, 1080))
    assert len(crops) > 2
    for crop in crops[1:]:
        width, height = (crop.box[2] - crop.box[0]) * 1080, (crop.box[3] - crop.box[1]) * 1920
        assert width == pytest.approx(height)


def test_crops_stay_while_people_sway_and_follow_when_they_walk() -> None:
    first = find_people(whole((100, 1.0)), SIZE)
    swayed = find_people(whole((102, 1.0)), SIZE, before=first)
    walked = find_people(whole((130, 1.0)), SIZE, before=first)
    assert first is not None
    assert swayed is not None
    assert walked is not None
    assert swayed.crops == first.crops
    assert walked.crops != first.crops


def test_clean_drops_what_is_not_kept_and_fills_holes() -> None:
    mask = whole((100, 1.0))
    people = find_people(mask, SIZE)
    assert people is not None
    fine = np.repeat(np.repeat(mask, 2, axis=0), 3, axis=1)
    fine[20:40, 700:760] = 1
    fine[420:424, 290:296] = 0
    clean = people.clean(fine)
    assert clean.shape == fine.shape
    assert not clean[20:40, 700:760].any()
    assert clean[422, 293] == 1


def test_bounding_box() -> None:
    mask = np.zeros((10, 20), np.bool_)
    mask[2:5, 4:10] = True
    assert bounding_box(mask) == (0.2, 0.2, 0.5, 0.5)
