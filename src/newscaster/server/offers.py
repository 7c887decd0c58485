"""WebRTC offers of clients: validated, and rewritten with the necessary parts only, before aiortc reads them.

An offer is untrusted input. An offer that passes can be answered, and its answer cannot fail later, in a task
that no one awaits. See RFC 8866 (SDP) and RFC 9429 (offers of browsers).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from aiortc import RTCDtlsFingerprint, RTCIceCandidate, RTCRtpSender
from aiortc.rtcrtpparameters import (
    RTCRtpCodecParameters,
    RTCRtpHeaderExtensionParameters,
    RTCRtpParameters,
)
from aiortc.sdp import GroupDescription, MediaDescription, SessionDescription

from newscaster.server.http_errors import RefusedError
from newscaster.texts import quoted

MAX_CHARACTERS = 64_000
MAX_LINES = 1000
MAX_SECTIONS = 4
_KINDS = ("audio", "video")
_RECEIVING = ("recvonly", "sendrecv")
_DIRECTIONS = (*_RECEIVING, "sendonly", "inactive")
_NEXT = "Send the SDP of an RTCPeerConnection that receives audio and video, as its createOffer() makes it"
_MID = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,16}")
_ICE_USERNAME = re.compile(r"[A-Za-z0-9+/]{4,256}")
_ICE_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}")
_FINGERPRINT_BYTES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_DYNAMIC_TYPES = range(96, 128)
_STATIC_TYPES = {"audio/pcmu": 0, "audio/pcma": 8, "audio/g722": 9}
_EXTENSION_IDS = range(1, 15)
_FORMAT_PARAMETERS = ("apt", "packetization-mode", "profile-level-id", "level-asymmetry-allowed")
_CANDIDATES = ("a=candidate:", "a=end-of-candidates", "a=ice-options:")


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A valid offer."""

    sdp: str
    """The rewritten offer."""
    mids: dict[str, str]
    """Section on which the client receives each kind, `audio` and `video`."""
    codecs: dict[str, str]
    """The codec that each kind is sent in, the first one that the client accepts: `video/vp8`."""


def read_offer(sdp: str) -> Offer:
    """Validate an offer, and keep its necessary parts.

    All its addresses are dropped: the client connects to the studio, not the other way round. Packets go only
    to the source of the client's own packets, never to an address that it names, and no local name has to be
    resolved. aioice needs an address, and gets one (port 9, "discard") that does not answer.

    Raises:
        RefusedError: the offer cannot be used.
    """
    offered = _parsed(sdp)
    if not 0 < len(offered.media) <= MAX_SECTIONS:
        raise _refused(f"it has {len(offered.media)} media sections; expected 2, at most {MAX_SECTIONS}")
    mids = [media.rtp.muxId for media in offered.media]
    if len(set(mids)) < len(mids):
        raise _refused("two of its media sections have the same a=mid, or none")
    rewritten = SessionDescription()
    rewritten.type, rewritten.origin = "offer", "- 0 0 IN IP4 127.0.0.1"
    rewritten.group = _bundles(offered.group, mids)
    rewritten.media = [_section(media) for media in offered.media]
    received: dict[str, str] = {}
    codecs: dict[str, str] = {}
    for media in rewritten.media:
        if media.direction in _RECEIVING:
            received.setdefault(media.kind, media.rtp.muxId)
            codecs.setdefault(media.kind, media.rtp.codecs[0].mimeType.lower())
    if received.keys() != set(_KINDS):
        raise _refused("it does not ask to receive audio and video")
    return Offer(sdp=str(rewritten), mids=received, codecs=codecs)


def _refused(reason: str) -> RefusedError:
    return RefusedError(f"the offer cannot be used: {reason}. {_NEXT}")


def _parsed(sdp: str) -> SessionDescription:
    if len(sdp) > MAX_CHARACTERS:
        raise RefusedError(f"the offer has {len(sdp)} characters; expected at most {MAX_CHARACTERS}")
    lines = sdp.splitlines()
    if len(lines) > MAX_LINES:
        raise RefusedError(f"the offer has {len(lines)} lines; expected at most {MAX_LINES}")
    kept = "\r\n".join(line for line in lines if not line.startswith(_CANDIDATES))
    try:
        return SessionDescription.parse(kept + "\r\n")
    except Exception as error:  # aiortc raises anything for malformed SDP: AssertionError, StopIteration, ...
        raise _refused("it is not valid SDP") from error


def _bundles(groups: Iterable[GroupDescription], mids: list[str]) -> list[GroupDescription]:
    """Return the existing sections that share one transport."""
    bundle = next((group for group in groups if group.semantic == "BUNDLE"), None)
    if bundle is None:
        return []
    shared = [mid for mid in dict.fromkeys(map(str, bundle.items)) if mid in mids]
    return [GroupDescription(semantic="BUNDLE", items=[*shared])] if shared else []


def _section(offered: MediaDescription) -> MediaDescription:
    """Return the necessary parts of a media section."""
    kind, mid = offered.kind, offered.rtp.muxId
    if kind not in _KINDS:
        raise _refused(f"it has a section of the kind {quoted(kind)}; expected only audio and video")
    if not _MID.fullmatch(mid or ""):
        raise _refused(f"the a=mid of its {kind} section is {quoted(mid)}; expected 1 to 16 characters")
    codecs = _codecs(kind, offered.rtp.codecs, offered.fmt)
    if not codecs:
        supported = ", ".join(sorted(_supported_codecs(kind)))
        raise _refused(f"its {kind} section has no a=rtpmap of a supported codec ({supported})")
    if not offered.rtcp_mux:
        raise _refused(f"its {kind} section has no a=rtcp-mux")
    section = MediaDescription(
        kind=kind, port=9, profile="UDP/TLS/RTP/SAVPF", fmt=[codec.payloadType for codec in codecs]
    )
    section.direction = offered.direction if offered.direction in _DIRECTIONS else "sendrecv"
    section.rtcp_port, section.rtcp_host, section.rtcp_mux = 9, "0.0.0.0", True
    section.rtp = RTCRtpParameters(
        codecs=codecs, headerExtensions=_extensions(offered.rtp.headerExtensions), muxId=mid
    )
    _copy_transport(offered, section)
    return section


def _copy_transport(offered: MediaDescription, section: MediaDescription) -> None:
    """Copy the parameters of connection and encryption."""
    kind, ice, dtls = offered.kind, offered.ice, offered.dtls
    if (
        ice is None
        or not _ICE_USERNAME.fullmatch(ice.usernameFragment or "")
        or not _ICE_PASSWORD.fullmatch(ice.password or "")
    ):
        raise _refused(f"its {kind} section has no valid a=ice-ufrag and a=ice-pwd")
    if dtls is None:
        raise _refused(f"its {kind} section has no a=setup")
    dtls.fingerprints = [
        fingerprint
        for fingerprint in dtls.fingerprints
        if fingerprint.algorithm.lower() in _FINGERPRINT_BYTES
    ]
    if not dtls.fingerprints or not all(map(_is_fingerprint, dtls.fingerprints)):
        algorithms = ", ".join(_FINGERPRINT_BYTES)
        raise _refused(f"its {kind} section has no valid a=fingerprint ({algorithms})")
    section.ice, section.dtls = ice, dtls
    section.ice_candidates = [
        RTCIceCandidate(
            component=1, foundation=str(number), ip=address, port=9, priority=1, protocol="udp", type="host"
        )
        for number, address in enumerate(("127.0.0.1", "::1"), 1)
    ]
    section.ice_candidates_complete = True


def _is_fingerprint(fingerprint: RTCDtlsFingerprint) -> bool:
    """Whether it has the length of its algorithm."""
    count = _FINGERPRINT_BYTES[fingerprint.algorithm.lower()]
    return re.fullmatch(rf"[0-9A-Fa-f]{{2}}(:[0-9A-Fa-f]{{2}}){{{count - 1}}}", fingerprint.value) is not None


def _supported_codecs(kind: str) -> set[str]:
    """Return the codecs that aiortc encodes, with their clock rates: `VP8/90000`."""
    capabilities = RTCRtpSender.getCapabilities(kind).codecs
    names = {f"{codec.mimeType.split('/')[1]}/{codec.clockRate}" for codec in capabilities}
    return {name for name in names if not name.startswith("rtx/")}


def _codecs(
    kind: str, offered: Iterable[RTCRtpCodecParameters], formats: Iterable[int]
) -> list[RTCRtpCodecParameters]:
    """Return the supported codecs of an offer, each payload type once, with their retransmissions."""
    supported = {name.lower() for name in _supported_codecs(kind)}
    by_type: dict[int, RTCRtpCodecParameters] = {}
    listed = set(formats)
    for codec in offered:
        name, number = codec.mimeType.lower(), codec.payloadType
        allowed = number in _DYNAMIC_TYPES or number == _STATIC_TYPES.get(name)
        codec.parameters = {
            key: value
            for key, value in codec.parameters.items()
            if key in _FORMAT_PARAMETERS and value is not None and re.fullmatch(r"[\w-]{1,32}", str(value))
        }
        codec.rtcpFeedback = [
            feedback
            for feedback in codec.rtcpFeedback
            if (feedback.type, feedback.parameter) in (("nack", None), ("nack", "pli"), ("goog-remb", None))
        ]
        is_supported = f"{name.partition('/')[2]}/{codec.clockRate}" in supported
        is_repeat = name == f"{kind}/rtx" and codec.parameters.get("apt") in by_type
        if number in listed and number not in by_type and allowed and (is_supported or is_repeat):
            by_type[number] = codec
    codecs = list(by_type.values())
    return codecs if any(not codec.mimeType.lower().endswith("/rtx") for codec in codecs) else []


def _extensions(
    offered: Iterable[RTCRtpHeaderExtensionParameters],
) -> list[RTCRtpHeaderExtensionParameters]:
    """Return the header extensions with a one-byte id, each id once."""
    by_id: dict[int, RTCRtpHeaderExtensionParameters] = {}
    for extension in offered:
        if extension.id in _EXTENSION_IDS:
            by_id.setdefault(extension.id, extension)
    return list(by_id.values())
