from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from newscaster import media
from newscaster.prepare.people import Person
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.faces_found import FaceImage, anchor_image, face_images, write_faces


def test_the_anchor_comes_first_and_each_person_at_their_time(anchor: Anchor, tmp_path: Path) -> None:
    video = tmp_path / "v.mp4"
    frames = []
    for second in range(4):
        image = np.full((80, 120, 3), 60, np.uint8)
        image[20:60, 10:50] = (220, 40, 40) if second < 2 else (40, 40, 220)
        frames += [image] * 10
    media.write_video(video, frames, fps=Fraction(10), audio=None, crf=4)
    box = np.array([[10.0, 20.0, 50.0, 60.0]])
    persons = [Person(box, seconds=(0.0, 1.0)), Person(np.repeat(box, 2, axis=0), seconds=(2.0, 3.0))]
    first, (red, blue) = anchor_image(anchor.target), face_images(video, persons)
    assert first.caption == "the anchor"
    assert red.caption == "face=0  0:00 to 0:01"
    assert blue.caption == "face=1  0:02 to 0:03"
    middle = red.image.width // 2
    assert np.argmax(np.asarray(red.image)[middle, middle]) == 0
    assert np.argmax(np.asarray(blue.image)[middle, middle]) == 2
    beyond = [Person(box, seconds=(50.0,))]
    assert face_images(video, beyond) == []  # the video is shorter now


def test_no_file_of_a_users_own_is_replaced(tmp_path: Path) -> None:
    faces = [FaceImage("the anchor", Image.new("RGB", (220, 220), (200, 0, 0)))]
    video = tmp_path / "out.mp4"
    mine = tmp_path / "out.faces.png"
    Image.new("RGB", (2, 2)).save(mine)
    before = mine.read_bytes()
    assert write_faces(faces, video) == tmp_path / "out.faces-2.png"
    assert write_faces(faces * 2, video) == tmp_path / "out.faces-2.png"  # an older one made here
    assert mine.read_bytes() == before
    with Image.open(tmp_path / "out.faces-2.png") as image:
        assert image.width > 2 * 220
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.faces-2.png", "out.faces.png"]
