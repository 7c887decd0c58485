"""Whom footage is about, over several files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from footage import somebody
from newscaster.errors import FootageError
from newscaster.prepare.people import Person
from newscaster.prepare.persons import Seen, choose_known, choose_people, times_text


def person(who: int | None, *, x: float = 100, presence: float = 1.0, speaking: float = 1.0) -> Person:
    noise = 0.01 * np.random.default_rng(int(x)).standard_normal(128).astype(np.float32)
    return Person(
        np.array([[x - 40, 60, x + 40, 140]] * 4),
        (0.0, 1.0, 2.0, 3.0),
        presence=presence,
        descriptor=None if who is None else somebody(who) + noise,
        described=0 if who is None else 4,
        speaking=speaking,
    )


def file(name: str, *persons: Person, seconds: float = 10.0) -> Seen:
    return Seen(Path(f"/footage/{name}.mp4"), seconds, persons)


def chosen(*files: Seen, face: int | None = None) -> dict[str, int]:
    return {path.stem: people.chosen for path, people in choose_people(files, face).people.items()}


def test_one_person_in_all_files() -> None:
    choice = choose_people([file("a", person(1)), file("b", person(1, x=300))], None)
    assert len(choice.people) == 2
    assert choice.warnings == ()


def test_a_file_of_somebody_else_is_left_out_with_its_times() -> None:
    choice = choose_people([file("a", person(1)), file("b", person(1)), file("c", person(2))], None)
    assert [path.stem for path in choice.people] == ["a", "b"]
    assert choice.warnings == ("skipped: '/footage/c.mp4' shows someone else (0:00 to 0:03)",)


def test_a_corpus_of_thousands_of_files_is_compared_quickly() -> None:
    files = [file(f"clip{i}", person(1 if i % 10 else 2, x=i)) for i in range(3000)]
    choice = choose_people(files, None)
    assert [len(identity.members) for identity in choice.identities] == [2700, 300]
    assert len(choice.people) == 2700


def test_two_people_in_two_files_are_refused_by_name() -> None:
    with pytest.raises(FootageError, match=r"two people.*'a\.mp4' face=0.*'b\.mp4' face=0.*who consented"):
        choose_people([file("a", person(1)), file("b", person(2))], None)


def test_two_people_one_after_the_other_in_one_file_are_refused_unless_one_is_named() -> None:
    both = file("a", person(1, presence=0.5), person(2, presence=0.5))
    with pytest.raises(FootageError, match=r"not clear which one to follow.*face=0 \(leftmost\), face=1"):
        choose_people([both], None)
    assert chosen(both, face=1) == {"a": 1}


def test_in_every_file_the_same_person_is_followed() -> None:
    host_and_guest = file("talk", person(2), person(1, x=500, speaking=0.5))
    assert chosen(file("alone", person(1), seconds=60), host_and_guest) == {"alone": 0, "talk": 1}


def test_the_face_that_was_asked_for_must_be_one_person_too() -> None:
    with pytest.raises(FootageError, match="two people"):
        choose_people([file("a", person(1)), file("b", person(2))], 0)
    assert chosen(file("a", person(1), person(2)), file("b", person(1), person(3)), face=0) == {
        "a": 0,
        "b": 0,
    }


def test_missing_evidence_is_not_taken_for_the_same_person() -> None:
    choice = choose_people([file("a", person(1)), file("blurred", person(None))], None)
    assert [path.stem for path in choice.people] == ["a"]
    assert "blurred.mp4' shows the same person could not be measured" in choice.warnings[0]
    with pytest.raises(FootageError, match=r"the person in '/footage/blurred\.mp4' could not be measured"):
        choose_people([file("blurred", person(None))], None)


def test_a_file_without_a_face_is_left_out_of_many() -> None:
    choice = choose_people([file("a", person(1)), file("empty")], None)
    assert "no face was found in '/footage/empty.mp4'" in choice.warnings[0]
    with pytest.raises(FootageError, match="no face was found"):
        choose_people([file("empty")], None)


def test_a_known_person_is_found_among_others() -> None:
    persons = (person(2), person(1, x=300), person(None, x=500))
    assert choose_known(persons, somebody(1)) == 1
    assert choose_known(persons, somebody(7)) is None
    assert choose_known((), somebody(1)) is None


def test_times_are_written_as_spans() -> None:
    assert times_text([]) == ""
    assert times_text([75.0]) == "1:15 to 1:15"
    assert times_text([0.0, 0.04, 0.08, 30.0, 30.04]) == "0:00 to 0:00, 0:30 to 0:30"
    assert times_text([float(t) for t in range(0, 100, 10)]) == "0:00 to 1:30"
    assert times_text([t for k in range(5) for t in (100.0 * k, 100 * k + 1.0)]).endswith("and 2 more")
