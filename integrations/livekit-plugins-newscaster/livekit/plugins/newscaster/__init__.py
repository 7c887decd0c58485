"""A newscaster anchor as the avatar of a LiveKit agent.

::

    avatar = newscaster.AvatarSession("ada.anchor")
    await avatar.start(session, room=ctx.room)

`segments` counts what the agent captured, `generator` turns it into frames, `runner` publishes them and
reports their playback, `avatar` and `worker` set all of that up.
"""

from livekit.agents import Plugin

from .avatar import AvatarSession
from .generator import NewscasterVideoGenerator, SegmentEnd
from .log import logger
from .runner import NewscasterRunner
from .version import __version__
from .worker import AvatarWorker, worker_token

__all__ = [
    "AvatarSession",
    "AvatarWorker",
    "NewscasterRunner",
    "NewscasterVideoGenerator",
    "SegmentEnd",
    "__version__",
    "worker_token",
]


class NewscasterPlugin(Plugin):
    """The entry of this plugin in the list of livekit-agents."""

    def __init__(self) -> None:
        super().__init__(__name__, __version__, __package__ or __name__, logger)


Plugin.register_plugin(NewscasterPlugin())
