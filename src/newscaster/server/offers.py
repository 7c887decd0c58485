"""WebRTC offers from clients: checked, and written anew with what is needed of them, before aiortc sees them.

An offer of a stranger may be anything. What passes here can be answered, and its answer cannot fail later, in
a task that no one waits for. See RFC 8866 (SDP) and RFC 9429 (what browsers put into it).
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
    """An offer that can be answered."""

    sdp: str
    """Written anew."""
    mids: dict[str, str]
    """By kind, `audio` and `video`: which section the client receives that on."""


def read_offer(sdp: str) -> Offer:
    """Check an offer, and keep what is needed of it.

    Of its addresses nothing is kept: the client finds the studio, not the studio the client. Packets go only
    to where the client's own came from, never to an address that it names, and no name of a local network
    has to be resolved. aioice wants an address all the same, and gets one (port 9, "discard") that does not
    answer.

    Raises:
        RefusedError: it cannot be used; says why.
    """
    offered = _parsed(sdp)
    if not 0 < len(offered.media) <= MAX_SECTIONS:
        raise _refused(f"it has {len(offered.media)} media sections; expected 2, and {MAX_SECTIONS} at most")
    mids = [media.rtp.muxId for media in offered.media]
    if len(set(mids)) < len(mids):
        raise _refused("two of its media sections have the same a=mid, or none")
    wanted = SessionDescription()
    wanted.type, wanted.origin = "offer", "- 0 0 IN IP4 127.0.0.1"
    wanted.group = _bundles(offered.group, mids)
    wanted.media = [_section(media) for media in offered.media]
    received: dict[str, str] = {}
    for media in wanted.media:
        if media.direction in _RECEIVING:
            received.setdefault(media.kind, media.rtp.muxId)
    if received.keys() != set(_KINDS):
        raise _refused("it does not ask to receive audio and video")
    return Offer(sdp=str(wanted), mids=received)


def _refused(why: str) -> RefusedError:
    return RefusedError(f"the offer cannot be used: {why}. {_NEXT}")


def _parsed(sdp: str) -> SessionDescription:
    if len(sdp) > MAX_CHARACTERS:
        raise RefusedError(f"the offer has {len(sdp)} characters; expected {MAX_CHARACTERS} at most")
    lines = sdp.splitlines()
    if len(lines) > MAX_LINES:
        raise RefusedError(f"the offer has {len(lines)} lines; expected {MAX_LINES} at most")
    kept = "\r\n".join(line for line in lines if not line.startswith(_CANDIDATES))
    try:
        return SessionDescription.parse(kept + "\r\n")
    except Exception as error:  # aiortc has no error of its own for nonsense: assertions, StopIteration, ...
        raise _refused("it is not valid SDP") from error


def _bundles(groups: Iterable[GroupDescription], mids: list[str]) -> list[GroupDescription]:
    """The sections that share one transport, as far as they are there."""
    bundle = next((group for group in groups if group.semantic == "BUNDLE"), None)
    if bundle is None:
        return []
    shared = [mid for mid in dict.fromkeys(map(str, bundle.items)) if mid in mids]
    return [GroupDescription(semantic="BUNDLE", items=[*shared])] if shared else []


def _section(offered: MediaDescription) -> MediaDescription:
    """A media section with what is needed of it."""
    kind, mid = offered.kind, offered.rtp.muxId
    if kind not in _KINDS:
        raise _refused(f"it has a section of the kind {quoted(kind)}; expected audio and video alone")
    if not _MID.fullmatch(mid or ""):
        raise _refused(f"the a=mid of its {kind} section is {quoted(mid)}; expected 1 to 16 characters")
    codecs = _codecs(kind, offered.rtp.codecs, offered.fmt)
    if not codecs:
        known = ", ".join(sorted(_known_codecs(kind)))
        raise _refused(f"its {kind} section has no a=rtpmap of a codec that is known here ({known})")
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
    """How a section is connected and encrypted."""
    kind, ice, dtls = offered.kind, offered.ice, offered.dtls
    if (
        ice is None
        or not _ICE_USERNAME.fullmatch(ice.usernameFragment or "")
        or not _ICE_PASSWORD.fullmatch(ice.password or "")
    ):
        raise _refused(f"its {kind} section has no valid a=ice-ufrag and a=ice-pwd")
    if dtls is None:
        raise _refused(f"its {kind} section has no a=setup")
    dtls.fingerprints = [one for one in dtls.fingerprints if one.algorithm.lower() in _FINGERPRINT_BYTES]
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
    """Whether it is as long as its algorithm makes it."""
    count = _FINGERPRINT_BYTES[fingerprint.algorithm.lower()]
    return re.fullmatch(rf"[0-9A-Fa-f]{{2}}(:[0-9A-Fa-f]{{2}}){{{count - 1}}}", fingerprint.value) is not None


def _known_codecs(kind: str) -> set[str]:
    """Names of the codecs that aiortc encodes, with their clock rates: `VP8/90000`."""
    known = RTCRtpSender.getCapabilities(kind).codecs
    names = {f"{codec.mimeType.split('/')[1]}/{codec.clockRate}" for codec in known}
    return {name for name in names if not name.startswith("rtx/")}


def _codecs(
    kind: str, offered: Iterable[RTCRtpCodecParameters], formats: Iterable[int]
) -> list[RTCRtpCodecParameters]:
    """Those of the offered codecs that are known, each payload type once; retransmissions of these."""
    known = {name.lower() for name in _known_codecs(kind)}
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
            one
            for one in codec.rtcpFeedback
            if (one.type, one.parameter) in (("nack", None), ("nack", "pli"), ("goog-remb", None))
        ]
        is_known = f"{name.partition('/')[2]}/{codec.clockRate}" in known
        is_repeat = name == f"{kind}/rtx" and codec.parameters.get("apt") in by_type
        if number in listed and number not in by_type and allowed and (is_known or is_repeat):
            by_type[number] = codec
    codecs = list(by_type.values())
    return codecs if any(not codec.mimeType.lower().endswith("/rtx") for codec in codecs) else []


def _extensions(
    offered: Iterable[RTCRtpHeaderExtensionParameters],
) -> list[RTCRtpHeaderExtensionParameters]:
    """The header extensions with an id that fits one byte, each id once."""
    by_id: dict[int, RTCRtpHeaderExtensionParameters] = {}
    for extension in offered:
        if extension.id in _EXTENSION_IDS:
            by_id.setdefault(extension.id, extension)
    return list(by_id.values())
