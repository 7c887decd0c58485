"""Whom footage is about: one person over time and over files, by face descriptors.

The person is whoever is seen for longest and speaks. If that is clear, files of other people are left out;
otherwise the footage is refused, and the message names the people. Consent is one person's.

Descriptors are compared in memory; nothing here is written to disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from newscaster.errors import FootageError
from newscaster.prepare.grouping import max_distance
from newscaster.prepare.people import People, Person, choose_person, heaviest, several_warning
from newscaster.tracking.descriptor import DESCRIPTOR_SIZE, descriptor_distance

Floats = npt.NDArray[np.float32]

MAX_RUNNER_UP = 0.6
"""Of the first person's weight: with more, it is not clear which of two people is meant."""
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
        """Seconds in which the person is seen, less for a mouth that does not follow the audio."""
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
    def descriptor(self) -> Floats:
        """(128,), the mean over all members' frames."""
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
    """Who is followed in each file, and what was left out."""

    people: dict[Path, People]
    identities: tuple[Identity, ...]
    """Everybody who was compared, the heaviest first."""
    unmeasured: tuple[Seen, ...] = ()
    """Files whose person has no descriptor."""
    warnings: tuple[str, ...] = ()


def identities_of(members: Sequence[Member]) -> tuple[Identity, ...]:
    """Join members whose descriptors agree; the heaviest identity comes first.

    Each member joins the closest identity so far, those described most often first. Then identities whose
    means agree are joined. This takes members times identities: a corpus has thousands of files.
    """
    groups: list[list[Member]] = []
    means = np.zeros((0, DESCRIPTOR_SIZE), np.float32)
    counts: list[int] = []
    described = [member for member in members if member.person.descriptor is not None]
    for member in sorted(described, key=lambda m: -m.person.described):
        assert member.person.descriptor is not None
        apart = descriptor_distance(means, member.person.descriptor)
        best = int(apart.argmin()) if len(apart) else -1
        if best < 0 or apart[best] > max_distance(counts[best], member.person.described):
            groups.append([member])
            counts.append(member.person.described)
            means = np.concatenate([means, member.person.descriptor[None]])
            continue
        groups[best].append(member)
        total = counts[best] + member.person.described
        means[best] += (member.person.descriptor - means[best]) * member.person.described / total
        counts[best] = total
    identities = _joined([Identity(tuple(group)) for group in groups])
    return tuple(sorted(identities, key=lambda identity: -identity.weight))


def _joined(identities: list[Identity]) -> list[Identity]:
    """Join identities whose means agree, the closest first."""
    while len(identities) > 1:
        means = np.stack([identity.descriptor for identity in identities])
        best, pair = float("inf"), (0, 0)
        for b in range(1, len(identities)):
            apart = descriptor_distance(means[:b], means[b])
            a = int(apart.argmin())
            limit = max_distance(identities[a].described, identities[b].described)
            if apart[a] <= limit and apart[a] < best:
                best, pair = float(apart[a]), (a, b)
        if not np.isfinite(best):
            break
        a, b = pair
        identities[a] = Identity(identities[a].members + identities[b].members)
        del identities[b]
    return identities


def choose_people(files: Sequence[Seen], face: int | None, *, others: bool = False) -> Choice:
    """The person whom footage is about, in every file that shows them.

    Args:
        files: who is in each.
        face: which face is meant in every file, from the left; None is whoever is seen and speaks most.
        others: whether there were more files, which could not be read: one without a face is then left out.

    Raises:
        FootageError: nobody is seen; ``face`` is not there; it is not clear who is meant; or who it is could
            not be measured.
    """
    warnings, seen = [], []
    for file in files:
        try:
            choose_person(file.persons, face, file.path)
            seen.append(file)
        except FootageError as error:
            if file.persons or (len(files) == 1 and not others):
                raise
            warnings.append(f"left out: {error}")
    members = [
        Member(file, number)
        for file in seen
        for number in (range(len(file.persons)) if face is None else [face])
    ]
    identities = identities_of(members)
    if not identities:
        if seen:
            raise FootageError(
                f"who is seen in '{seen[0].path}' {UNMEASURED}. Give sharper or larger footage"
            )
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
        elif any(person.descriptor is not None for person in _asked(file, face)):
            who = ", ".join(times_text(person.seconds) for person in _asked(file, face))
            warnings.append(f"left out: '{file.path}' shows somebody else ({who})")
        else:
            unmeasured.append(file)
            warnings.append(f"left out: whether '{file.path}' shows the same person {UNMEASURED}")
    return Choice(people, identities, tuple(unmeasured), tuple(warnings))


def _asked(file: Seen, face: int | None) -> Sequence[Person]:
    return file.persons if face is None else file.persons[face : face + 1]


def refuse_if_unclear(identities: Sequence[Identity]) -> None:
    """Raise FootageError if two people are seen about as much."""
    if is_clear(identities):
        return
    first, second = identities[:2]
    files = {member.file.path for member in first.members + second.members}
    advice = (
        "Name the one who consented with face=0 (leftmost), face=1 and so on, or give footage of them alone"
        if len(files) == 1
        else "Give only the footage of the one who consented"
    )
    raise FootageError(
        f"the footage shows two people about as much, and it is not clear who is meant: one in {first}; the "
        f"other in {second}. {advice}"
    )


def is_clear(identities: Sequence[Identity]) -> bool:
    """Whether the first of these people is the one whom the footage is about."""
    return len(identities) < 2 or identities[1].weight <= MAX_RUNNER_UP * identities[0].weight


def choose_known(persons: Sequence[Person], known: Floats) -> int | None:
    """The number of the person of a file who agrees with a known descriptor (128,); None if nobody does."""
    agreeing = [
        number
        for number, person in enumerate(persons)
        if person.descriptor is not None
        and float(descriptor_distance(person.descriptor, known)) <= max_distance(person.described)
    ]
    return heaviest(persons, agreeing) if agreeing else None


def times_text(seconds: Sequence[float]) -> str:
    """When somebody is seen, of the times of sampled frames: ``0:00 to 0:07, 0:12 to 0:14``.

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
    """Minutes and seconds: 75 is 1:15."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
