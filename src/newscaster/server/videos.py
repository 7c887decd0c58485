"""Uploaded videos: each is a folder with the file, the faces found in it, and its face tracks.

A job keeps its own copy, so a video can be removed at any time. Unused ones are removed after a while, and
all of them when the studio starts.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from newscaster.server.anchor_registry import Library
from newscaster.server.dub_process import FACES, FacesWork, face_image, frame_image
from newscaster.server.http_errors import (
    BAD_REQUEST,
    NOT_FOUND,
    TOO_LARGE,
    TOO_MANY,
    RefusedError,
    refusing_full_disk,
)
from newscaster.server.ids import with_instance
from newscaster.server.job_process import run_work
from newscaster.server.settings import Limits
from newscaster.server.video_upload import UploadedVideo
from newscaster.texts import quoted, without_controls

_STEM = "video"
_TRACKS = "tracks"
_SEARCHES = 1
"""Concurrent searches for faces; others wait."""


@dataclass(eq=False)
class Video:
    """An uploaded video."""

    id: str
    title: str
    """The client's name of it; for display only."""
    upload: UploadedVideo
    path: Path
    used: float
    """Monotonic time of the last request that named it."""
    searches: dict[str, asyncio.Task[Mapping[str, Any]]] = field(default_factory=dict)
    """Searches for faces, by the id of the anchor."""

    def to_json(self) -> dict[str, object]:
        """Return the JSON of the API."""
        upload = self.upload
        return {
            "id": self.id,
            "title": self.title,
            "width": upload.width,
            "height": upload.height,
            "fps": upload.fps,
            "seconds": upload.seconds,
            "has_audio": upload.has_audio,
            "bytes": upload.size_bytes,
        }


class Videos:
    """The uploaded videos of a studio.

    Args:
        folder: their folder; created if missing, and emptied.
        library: the anchors.
        limits: limits of the studio.
        is_needed: returns whether a job needs a video, by its id.
        instance: name of the studio, in ids.

    Raises:
        OSError: the folder cannot be written to.
    """

    def __init__(
        self,
        folder: Path,
        library: Library,
        limits: Limits,
        *,
        is_needed: Callable[[str], bool],
        instance: str | None = None,
    ) -> None:
        self._folder, self._library, self._limits = folder, library, limits
        self._is_needed, self._instance = is_needed, instance
        self._videos: dict[str, Video] = {}
        self._turns = asyncio.Semaphore(_SEARCHES)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)

    def list(self) -> list[Video]:
        """Return all videos, newest first."""
        return list(reversed(self._videos.values()))

    def check_room(self) -> None:
        """Check that one more video is allowed.

        Raises:
            RefusedError: too many are stored.
        """
        if len(self._videos) >= self._limits.videos:
            raise RefusedError(
                f"{self._limits.videos} uploaded videos are stored, the maximum. Remove one", status=TOO_MANY
            )

    def add(self, upload: UploadedVideo, *, title: str) -> Video:
        """Store an upload, whose file is moved.

        Raises:
            RefusedError: too many are stored, or the disk is full.
        """
        try:
            self.check_room()
            video_id = with_instance(self._instance, secrets.token_hex(8))
            folder = self._folder / video_id
            path = folder / f"{_STEM}{upload.path.suffix}"
            with refusing_full_disk("the video"):
                folder.mkdir(parents=True)
                upload.path.rename(path)
        finally:
            upload.path.unlink(missing_ok=True)
        video = Video(video_id, without_controls(title), upload, path, time.monotonic())
        self._videos[video_id] = video
        return video

    def get(self, video_id: str) -> Video:
        """Return a video, which counts as used now.

        Raises:
            RefusedError: there is no such video.
        """
        video = self._videos.get(video_id)
        if video is None or not video.path.is_file():
            raise RefusedError(
                f"there is no video {quoted(video_id)}: it was removed, or the studio has started again. "
                "Upload it: POST /v1/videos",
                status=NOT_FOUND,
            )
        video.used = time.monotonic()
        return video

    async def faces(self, video_id: str, anchor: str) -> dict[str, Any]:
        """Find the faces in a video, once for each anchor.

        Args:
            video_id: id of the video.
            anchor: id of the anchor whose person is looked for.

        Raises:
            RefusedError: there is no such video, or it cannot be searched.
        """
        video = self.get(video_id)
        if anchor not in video.searches:
            video.searches[anchor] = asyncio.create_task(self._search(video, anchor), name="faces")
        search = video.searches[anchor]
        try:
            result = await asyncio.shield(search)
        except asyncio.CancelledError:
            if search.cancelled():  # the video was removed meanwhile
                self.get(video_id)
            raise
        if result["state"] != "done":
            video.searches.pop(anchor, None)
            raise RefusedError(result["error"], status=BAD_REQUEST)
        return _faces_json(video, anchor, result)

    async def _search(self, video: Video, anchor: str) -> Mapping[str, Any]:
        work = FacesWork(
            anchor=await asyncio.to_thread(self._library.path, anchor),
            video=video.path,
            out=video.path.parent / f"faces-{anchor}",
        )
        async with self._turns:
            try:
                async with asyncio.timeout(self._limits.decode_seconds):
                    return await run_work(work, progress=lambda *_: None)
            except TimeoutError:
                video.searches.pop(anchor, None)
                raise RefusedError(
                    f"finding the faces takes more than {self._limits.decode_seconds:g} s. Cut the video, or "
                    "convert it to MP4",
                    status=TOO_LARGE,
                ) from None

    def image(self, video_id: str, anchor: str, kind: str, number: int) -> Path:
        """Return a image of :meth:`faces`.

        Args:
            video_id: id of the video.
            anchor: id of the anchor.
            kind: "faces" or "frames".
            number: of the face or the frame.

        Raises:
            RefusedError: there is none, or the faces were not asked for.
        """
        video = self.get(video_id)
        name = face_image(number) if kind == "faces" else frame_image(number)
        path = video.path.parent / f"faces-{anchor}" / name
        if not path.is_file():
            raise RefusedError(
                f"there is no image {number} of this video. Ask for its faces first", status=NOT_FOUND
            )
        return path

    async def faces_image(self, video_id: str, anchor: str) -> Path:
        """Find the faces in a video, and return an image of its frames with their boxes and numbers.

        Raises:
            RefusedError: as :meth:`faces`, or no face was found.
        """
        await self.faces(video_id, anchor)
        path = self.get(video_id).path.parent / f"faces-{anchor}" / FACES
        if not path.is_file():
            raise RefusedError("no face was found in the video", status=NOT_FOUND)
        return path

    def track_folder(self, video_id: str) -> Path | None:
        """Return the folder for face tracks of a video; None if it was removed."""
        video = self._videos.get(video_id)
        return None if video is None else video.path.parent / _TRACKS

    async def remove(self, video_id: str) -> None:
        """Remove a video and what was found in it; jobs keep theirs.

        Raises:
            RefusedError: there is no such video.
        """
        await self._drop(self.get(video_id))

    async def _drop(self, video: Video) -> None:
        del self._videos[video.id]
        for search in video.searches.values():
            search.cancel()
        if video.searches:
            await asyncio.wait(video.searches.values())
        await asyncio.to_thread(shutil.rmtree, video.path.parent, ignore_errors=True)

    async def sweep(self) -> None:
        """Remove videos that were not used for a while."""
        latest = time.monotonic() - self._limits.video_idle_seconds
        for video in self.list():
            if self._is_needed(video.id):
                video.used = time.monotonic()
            elif video.used < latest:
                await self._drop(video)

    async def close(self) -> None:
        """End all searches."""
        searches = [search for video in self._videos.values() for search in video.searches.values()]
        for search in searches:
            search.cancel()
        if searches:
            await asyncio.wait(searches)


def _faces_json(video: Video, anchor: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON of the API, with the address of each image."""
    base, query = f"/v1/videos/{video.id}", f"?anchor={anchor}"
    faces = [
        {
            "number": number,
            "is_anchor": face["is_anchor"],
            "frame": face["frame"],
            "seconds": result["frames"][face["frame"]]["seconds"],
            "box": result["frames"][face["frame"]]["boxes"][str(number)],
            "image": f"{base}/faces/{number}.jpg{query}",
        }
        for number, face in enumerate(result["faces"])
    ]
    frames = [
        {
            "number": number,
            "seconds": frame["seconds"],
            "image": f"{base}/frames/{number}.jpg{query}",
            "faces": [{"number": int(face), "box": box} for face, box in frame["boxes"].items()],
        }
        for number, frame in enumerate(result["frames"])
    ]
    return {"faces": faces, "frames": frames}
