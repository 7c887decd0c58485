"""A newscaster anchor in a Pipecat pipeline, between the TTS service and the output of the transport."""

from .version import __version__
from .video import NewscasterVideoService

__all__ = ["NewscasterVideoService", "__version__"]
