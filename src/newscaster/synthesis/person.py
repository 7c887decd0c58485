"""A person whose mouth can be rewritten on any frames: face, networks, name and consent.

An anchor is one, with a target video of its own (`loading`). A person in a given video is another one, made
from that video itself (`person_of_video`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from newscaster.formats.anchor import AnchorFace
from newscaster.inference import Session
from newscaster.provenance import Statement
from newscaster.speech.encoder import SpeechEncoder
from newscaster.speech.voice_activity import VoiceActivity
from newscaster.synthesis.articulation import AS_TRAINED, Articulation
from newscaster.synthesis.background import background_change
from newscaster.synthesis.gate import AHEAD_STEPS
from newscaster.synthesis.labelling import label_text
from newscaster.synthesis.motion import MotionStream
from newscaster.synthesis.motion_log import SynthesisedFrames
from newscaster.synthesis.options import Style
from newscaster.synthesis.person_info import PersonInfo
from newscaster.synthesis.renderer import Renderer
from newscaster.synthesis.signing import PersonOrigin, SpeechSource, statement
from newscaster.watermark import id_of


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedPerson:
    """The loaded parts of a person. Thread-safe."""

    info: PersonInfo
    face: AnchorFace
    """Its poses and landmarks are those of the frames that the person is known from."""
    origin: PersonOrigin
    encoder: SpeechEncoder | None
    """None if the features need none."""
    motion: Session
    activity: VoiceActivity
    renderer: Renderer

    @property
    def is_bundled(self) -> bool:
        """Whether this is the person of the bundled anchor."""
        return False

    def motion_stream(
        self,
        *,
        fps: Fraction,
        articulation: Articulation = AS_TRAINED,
        ahead_steps: int = AHEAD_STEPS,
        look_ahead_ms: int | None = None,
    ) -> MotionStream:
        """Return a new stream from audio to mouth shapes. See :meth:`newscaster.Anchor.motion_stream`.

        `fps` are the frames per second of the video.
        """
        return MotionStream(
            self.motion,
            features=self.info.features,
            encoder=self.encoder,
            basis=self.face.basis,
            fps=fps,
            context_steps=self.info.context_steps,
            activity=self.activity,
            ahead_steps=ahead_steps,
            articulation=articulation,
            look_ahead_ms=look_ahead_ms,
        )

    def dub_statement(
        self,
        title: str,
        *,
        frames: SynthesisedFrames,
        speech: SpeechSource,
        style: Style,
        fps: Fraction,
        source: tuple[str, str],
    ) -> Statement:
        """Return the claims about a given video whose lips were rewritten.

        `source` is its name and its sha256, `fps` its frame rate.
        """
        return statement(
            title,
            person=self.info,
            origin=replace(self.origin, target_sha256=None),
            frames=frames,
            speech=speech,
            label=self.label_text(style),
            watermark=id_of(self.origin.person_id) if style.watermark else None,
            background=background_change(style.background),
            fps=fps,
            source=source,
        )

    def label_text(self, style: Style) -> str | None:
        """Return the text of the label; None: there is none."""
        return label_text(style.label, bundled=self.is_bundled)
