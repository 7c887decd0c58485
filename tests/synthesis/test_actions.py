"""Named clips on cue, in drawn targets and in a live stream."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import newscaster
from making_moments import FPS, round_way, similarity
from newscaster.errors import InputError
from newscaster.face.frame_similarity import UNSEEN, FrameSimilarity
from newscaster.formats.named_clips import IDLE, LISTENING, NamedClip
from newscaster.synthesis.actions import MAX_PENDING, ActionGraph, ActionOrder
from newscaster.synthesis.options import Style
from tiny_anchor import speech_like, write_tiny_anchor

NOD = NamedClip(name="nod", start=200, stop=250)
WAVE = NamedClip(name="wave", start=300, stop=340)


def target() -> FrameSimilarity:
    return similarity(round_way(500))


def order(*clips: NamedClip, loops: bool = False) -> ActionOrder:
    graph = ActionGraph(target(), clips, loops=loops)
    plain: Iterator[int] = itertools.cycle(range(500))
    return ActionOrder(graph if clips else None, start=10, plain=plain)


def shown(actions: ActionOrder, frames: int, *, speaking: bool = True) -> list[tuple[int, str | None]]:
    return [(actions.next(speaking=speaking), actions.action) for _ in range(frames)]


def test_a_clip_is_shown_on_cue_alone() -> None:
    actions = order(NOD)
    assert actions.peek() == actions.peek() == 10
    frames = shown(actions, 3000)
    assert frames[0] == (10, None)
    assert not any(200 <= frame < 250 for frame, _ in frames)
    assert {action for _, action in frames} == {None}


def test_a_clip_plays_forward_once_and_its_cuts_do_not_show() -> None:
    actions = order(NOD)
    before = shown(actions, 40)
    actions.play("nod")
    frames = [*before, *shown(actions, 400)]
    runs = [[frame for frame, _ in run] for name, run in itertools.groupby(frames, lambda f: f[1]) if name]
    (played,) = runs
    assert played == list(range(played[0], played[-1] + 1))
    assert played[0] <= 200 + 0.3 * FPS
    assert played[-1] >= 249 - 0.3 * FPS
    first = next(at for at, (_, name) in enumerate(frames) if name)
    assert first - len(before) <= 3 * FPS
    moments, indices = target(), np.array([frame for frame, _ in frames])
    for at in (first, first + len(played)):
        direction = np.clip(indices[at - 1] - indices[at - 2], -1, 1)
        follows = indices[at - 1 : at] + direction
        assert moments.change(follows, indices[at : at + 1])[0] <= 1.5 * UNSEEN


def test_actions_wait_for_each_other() -> None:
    actions = order(NOD, WAVE)
    for name in ("nod", "wave", "nod"):
        actions.play(name)
    names = [name for name, _ in itertools.groupby(name for _, name in shown(actions, 900)) if name]
    assert names == ["nod", "wave", "nod"]


def test_waiting_actions_can_be_dropped() -> None:
    actions = order(NOD)
    actions.play("nod")
    actions.clear()
    assert {name for _, name in shown(actions, 200)} == {None}


def test_unknown_and_too_many_actions() -> None:
    actions = order(NOD, WAVE)
    with pytest.raises(InputError, match=r"'bow'; expected one of the anchor's clips: nod, wave\. Add one"):
        actions.play("bow")
    for _ in range(MAX_PENDING):
        actions.play("nod")
    with pytest.raises(InputError, match="the maximum"):
        actions.play("nod")
    with pytest.raises(InputError, match="the anchor has no clips"):
        order().play("nod")


def test_a_looping_target_goes_through_its_clips() -> None:
    actions = order(NOD, loops=True)
    assert [frame for frame, _ in shown(actions, 600)] == [(10 + k) % 500 for k in range(600)]
    actions.play("nod")
    played = [frame for frame, name in shown(actions, 300) if name]
    assert played[0] <= 207
    assert played == list(range(played[0], played[-1] + 1))


def test_loops_while_nobody_speaks_and_while_the_user_speaks() -> None:
    idle, listening = (
        NamedClip(name=IDLE, start=NOD.start, stop=NOD.stop),
        NamedClip(name=LISTENING, start=300, stop=400),
    )
    actions = order(idle, listening)
    assert {name for _, name in shown(actions, 100, speaking=True)} == {None}
    quiet = shown(actions, 500, speaking=False)
    assert {name for _, name in quiet[: int(FPS)]} == {None}  # a pause between two utterances is none
    assert {name for _, name in quiet[150:]} == {IDLE}
    assert all(200 <= frame < 250 for frame, name in quiet if name)
    actions.listening = True
    listens = shown(actions, 400, speaking=False)
    assert {name for _, name in listens[150:]} == {LISTENING}
    assert len({frame for frame, _ in listens[150:]}) > 60
    speaks = shown(actions, 400, speaking=True)
    assert {name for _, name in speaks[150:]} == {None}


def test_lips_of_speech_go_on_during_an_action(tmp_path: Path) -> None:
    clips = (NamedClip(name="nod", start=20, stop=32),)
    anchor = newscaster.open(write_tiny_anchor(tmp_path / "x.anchor", frames=60, clips=clips))
    with anchor.live(style=Style(watermark=False, target_start=25)) as live:
        assert live.actions == ("nod",)
        live.push(speech_like(4.0))
        live.flush()
        live.play("nod")
        frames = [*itertools.takewhile(lambda frame: live.busy, live.frames(paced=False))]
        during = [frame for frame in frames if frame.action == "nod"]
        assert len(during) >= 6
        assert all(frame.speaking and frame.synthesised for frame in during)
        # The mouth of the same frame of the target differs from the one at rest.
        renderer, graph = anchor._loaded.live_renderer, anchor._loaded.target.actions
        assert graph is not None
        moved = 0
        for frame in during:
            resting = [renderer.image(index, renderer.rest).rgb() for index in range(20, 32)]
            assert frame.image is not None
            moved += not any((frame.image.rgb() == image).all() for image in resting)
        assert moved >= len(during) - 1
        with pytest.raises(InputError, match="'bow'"):
            live.play("bow")
    with pytest.raises(InputError, match="closed"):
        live.play("nod")


def test_an_interruption_drops_actions_that_have_not_started(tmp_path: Path) -> None:
    clips = (NamedClip(name="nod", start=20, stop=32),)
    anchor = newscaster.open(write_tiny_anchor(tmp_path / "x.anchor", frames=60, clips=clips))
    with anchor.live() as live:
        live.play("nod")
        live.interrupt()
        assert not any(frame.action for frame in itertools.islice(live.frames(paced=False), 120))
