"""Selection of the one person of the footage, over time and over files, by face descriptors.

The person is the one who is visible for longest and speaks. If that is clear, files of other people are
skipped. Otherwise the footage is refused, and the message names the people: consent is one person's.

Descriptors are compared in memory; nothing here is written to disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from newscaster.errors import FootageError
from newscaster.prepare.grouping import max_distance
from newscaster.prepare.people import People, Person, choose_person, heaviest, several_warning
from newscaster.tracking.descriptor import DESCRIPTOR_SIZE, descriptor_distance
from newscaster.types import ArrayF32

MAX_RUNNER_UP = 0.6
"""Maximum weight of the second person relative to the first; with more, the selection is not clear."""
_FILES_NAMED = 3
_TIMES_NAMED = 3
UNMEASURED = (
    "could not be measured: the faces are too small, blurred or turned away (16 pixels between the outer eye "
    "corners are needed, and 80 are good)"
)


@dataclass(frozen=True)
class Seen:
    """The people in one file."""

    path: Path
    seconds: float
    """Length of the file."""
    persons: tuple[Person, ...]


@dataclass(frozen=True)
class Member:
    """One person of one file."""

    file: Seen
    number: int
    """From the left."""

    @property
    def person(self) -> Person:
        return self.file.persons[self.number]

    @property
    def weight(self) -> float:
        """Seconds in which the person is visible, reduced if the mouth does not follow the audio."""
        best = max(person.speaking for person in self.file.persons)
        return max(self.file.seconds, 1e-3) * self.person.weight / max(best, 1e-3)

    def __str__(self) -> str:
        times = times_text(self.person.seconds)
        return f"'{self.file.path.name}' face={self.number}{f' ({times})' if times else ''}"


@dataclass(frozen=True)
class Identity:
    """One person over all files."""

    members: tuple[Member, ...]

    @property
    def weight(self) -> float:
        return sum(member.weight for member in self.members)

    @property
    def descriptor(self) -> ArrayF32:
        """Mean descriptor (128,) over all members' frames."""
        described = [m.person for m in self.members if m.person.descriptor is not None]
        means = np.stack([p.descriptor for p in described if p.descriptor is not None])
        counts = [p.described for p in described]
        return np.asarray(np.average(means, axis=0, weights=counts), np.float32)

    @property
    def described(self) -> int:
        return sum(member.person.described for member in self.members)

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.members[:_FILES_NAMED]))
        more = f" and {len(self.members) - _FILES_NAMED} more" if len(self.members) > _FILES_NAMED else ""
        return shown + more


@dataclass(frozen=True)
class Choice:
    """The selected person of each file, and warnings about skipped files."""

    people: dict[Path, People]
    identities: tuple[Identity, ...]
    """All people that were compared; the one with the largest weight first."""
    unmeasured: tuple[Seen, ...] = ()
    """Files whose person has no descriptor."""
    warnings: tuple[str, ...] = ()


def identities_of(members: Sequence[Member]) -> tuple[Identity, ...]:
    """Merge members with similar descriptors; the identity with the largest weight comes first.

    Each member joins the closest identity so far, in descending order of described frames. Then identities
    with similar means are merged. The time is members times identities: a corpus has thousands of files.
    """
    groups: list[list[Member]] = []
    means = np.zeros((0, DESCRIPTOR_SIZE), np.float32)
    counts: list[int] = []
    described = [member for member in members if member.person.descriptor is not None]
    for member in sorted(described, key=lambda m: -m.person.described):
        assert member.person.descriptor is not None
        distances = descriptor_distance(means, member.person.descriptor)
        best = int(distances.argmin()) if len(distances) else -1
        if best < 0 or distances[best] > max_distance(counts[best], member.person.described):
            groups.append([member])
            counts.append(member.person.described)
            means = np.concatenate([means, member.person.descriptor[None]])
            continue
        groups[best].append(member)
        total = counts[best] + member.person.described
        means[best] += (member.person.descriptor - means[best]) * member.person.described / total
        counts[best] = total
    identities = _merge([Identity(tuple(group)) for group in groups])
    return tuple(sorted(identities, key=lambda identity: -identity.weight))


def _merge(identities: list[Identity]) -> list[Identity]:
    """Merge identities with similar means, the closest first."""
    while len(identities) > 1:
        means = np.stack([identity.descriptor for identity in identities])
        best, pair = float("inf"), (0, 0)
        for b in range(1, len(identities)):
            distances = descriptor_distance(means[:b], means[b])
            a = int(distances.argmin())
            limit = max_distance(identities[a].described, identities[b].described)
            if distances[a] <= limit and distances[a] < best:
                best, pair = float(distances[a]), (a, b)
        if not np.isfinite(best):
            break
        a, b = pair
        identities[a] = Identity(identities[a].members + identities[b].members)
        del identities[b]
    return identities


def choose_people(files: Sequence[Seen], face: int | None, *, others: bool = False) -> Choice:
    """Select the person of the footage, in every file that shows them.

    Args:
        files: the people in each file.
        face: number of the face in every file, from the left; None selects the person who is visible and
            speaks most.
        others: whether there were more files, which could not be read; a file without a face is then skipped.

    Raises:
        FootageError: there is no face; none has the number ``face``; the selection is not clear; or no
            descriptor could be measured.
    """
    warnings, seen = [], []
    for file in files:
        try:
            choose_person(file.persons, face, file.path)
            seen.append(file)
        except FootageError as error:
            if file.persons or (len(files) == 1 and not others):
                raise
            warnings.append(f"skipped: {error}")
    members = [
        Member(file, number)
        for file in seen
        for number in (range(len(file.persons)) if face is None else [face])
    ]
    identities = identities_of(members)
    if not identities:
        if seen:
            raise FootageError(f"the person in '{seen[0].path}' {UNMEASURED}. Give sharper or larger footage")
        return Choice({}, (), (), tuple(warnings))
    refuse_if_unclear(identities)
    people, unmeasured = {}, []
    main: dict[Path, list[Member]] = {}
    for member in identities[0].members:
        main.setdefault(member.file.path, []).append(member)
    for file in seen:
        own = main.get(file.path)
        if own:
            people[file.path] = People(file.persons, heaviest(file.persons, [m.number for m in own]))
            if face is None and len(file.persons) > 1:
                warnings.append(several_warning(people[file.path], file.path))
        elif any(person.descriptor is not None for person in _candidates(file, face)):
            times = ", ".join(times_text(person.seconds) for person in _candidates(file, face))
            warnings.append(f"skipped: '{file.path}' shows someone else ({times})")
        else:
            unmeasured.append(file)
            warnings.append(f"skipped: whether '{file.path}' shows the same person {UNMEASURED}")
    return Choice(people, identities, tuple(unmeasured), tuple(warnings))


def _candidates(file: Seen, face: int | None) -> Sequence[Person]:
    return file.persons if face is None else file.persons[face : face + 1]


def refuse_if_unclear(identities: Sequence[Identity]) -> None:
    """Raise FootageError if two people have similar weights."""
    if is_clear(identities):
        return
    first, second = identities[:2]
    files = {member.file.path for member in first.members + second.members}
    advice = (
        "Select the one who consented with face=0 (leftmost), face=1 and so on, or give footage of them alone"
        if len(files) == 1
        else "Give only the footage of the one who consented"
    )
    raise FootageError(
        f"the footage shows two people about equally, and it is not clear which one to follow: one in "
        f"{first}; the other in {second}. {advice}"
    )


def is_clear(identities: Sequence[Identity]) -> bool:
    """Return whether the footage is clearly about the first of these people."""
    return len(identities) < 2 or identities[1].weight <= MAX_RUNNER_UP * identities[0].weight


def choose_known(persons: Sequence[Person], known: ArrayF32) -> int | None:
    """Return the number of the person of a file with a known descriptor (128,); None if there is none."""
    agreeing = [
        number
        for number, person in enumerate(persons)
        if person.descriptor is not None
        and float(descriptor_distance(person.descriptor, known)) <= max_distance(person.described)
    ]
    return heaviest(persons, agreeing) if agreeing else None


def times_text(seconds: Sequence[float]) -> str:
    """Describe the times at which a person is visible, from sampled frames: ``0:00 to 0:07, 0:12 to 0:14``.

    >>> times_text([0.0, 1.0, 2.0, 9.0, 10.0])
    '0:00 to 0:02, 0:09 to 0:10'
    """
    if not len(seconds):
        return ""
    times = np.sort(np.asarray(seconds, np.float64))
    gaps = np.diff(times)
    usual = float(np.median(gaps)) if len(gaps) else 1.0
    ends = np.flatnonzero(gaps > 1.75 * max(usual, 1e-6))
    starts, stops = [0, *(ends + 1).tolist()], [*ends.tolist(), len(times) - 1]
    spans = [f"{clock(times[a])} to {clock(times[b])}" for a, b in zip(starts, stops, strict=True)]
    more = f" and {len(spans) - _TIMES_NAMED} more" if len(spans) > _TIMES_NAMED else ""
    return ", ".join(spans[:_TIMES_NAMED]) + more


def clock(seconds: float) -> str:
    """Format minutes and seconds: 75 is 1:15."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
