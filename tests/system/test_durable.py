"""Replacing files: on the disk before and after the rename, with the same rights, through links."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from making_media import moving_pattern
from newscaster import media, provenance
from newscaster.errors import OutputError
from newscaster.formats.anchor import AnchorFile
from newscaster.reports.page import write_page
from newscaster.system import durable
from newscaster.system.durable import check_inputs_kept, keep_access, make_folder, sync_folder
from newscaster.withdrawal import withdraw
from tiny_anchor import speech_like, write_tiny_anchor

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="modes, links and fsync of folders are Unix's"
)
SOURCE = Path(__file__).parents[2] / "src" / "newscaster"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is synced and renamed, in order: ("sync" or "rename", name)."""
    made: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        made.append(("sync", os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))))
        fsync(descriptor)

    def replaced(source: str | Path, target: str | Path) -> None:
        made.append(("rename", os.path.basename(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    return made


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are named by /proc")


@needs_proc
def test_a_file_is_synced_before_its_rename_and_its_folder_after(
    tmp_path: Path, calls: list[tuple[str, str]]
) -> None:
    with media.atomic_write(tmp_path / "x.json") as temporary:
        temporary.write_text("new")
    assert calls == [("sync", temporary.name), ("rename", "x.json"), ("sync", tmp_path.name)]


@needs_proc
def test_the_signing_key_is_synced_before_its_folder_has_its_name(
    tmp_path: Path, calls: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def renamed(source: Path, target: Path) -> Path:
        calls.append(("rename", target.name))
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", renamed)
    monkeypatch.setenv("NEWSCASTER_HOME", str(tmp_path / "home"))
    provenance.find_credentials(None)
    folder = calls.index(("rename", "signing"))
    assert {("sync", name) for name in ("key.pem", "certificate.pem", "authority.pem")} <= set(calls[:folder])
    assert re.fullmatch(r"\.signing\.[0-9a-f]{8}", calls[folder - 1][1])
    assert calls[folder + 1 :] == [("sync", "home")]
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in (tmp_path / "home" / "signing").iterdir()}
    assert modes == dict.fromkeys(("key.pem", "certificate.pem", "authority.pem"), 0o600)
    assert stat.S_IMODE((tmp_path / "home" / "signing").stat().st_mode) == 0o700


def test_files_are_renamed_in_one_place_only() -> None:
    found = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if re.search(r"os\.replace\(|os\.rename\(|\.rename\(", path.read_text(encoding="utf-8"))
    }
    # The others rename what need not outlive a power cut: a folder to be removed, uploads.
    assert found == {"system/durable.py", "pipelines.py", "server/speech_upload.py", "server/videos.py"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_on_sync_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    (tmp_path / "x.json").write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(OutputError, match=rf"x\.json' \({os.strerror(number)}\)"),
        media.atomic_write(tmp_path / "x.json") as temporary,
    ):
        temporary.write_text("new")
    assert (tmp_path / "x.json").read_text() == "old"
    assert os.listdir(tmp_path) == ["x.json"]


def test_a_file_system_without_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(descriptor: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", unsupported)
    with media.atomic_write(tmp_path / "x.json") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "x.json").read_text() == "new"


def test_folders_are_not_synced_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class SlidingWindow:
        name = "nt"

    monkeypatch.setattr(durable, "os", SlidingWindow)
    sync_folder(tmp_path)  # would need os.open otherwise


def _video(path: Path) -> None:
    media.write_video(path, moving_pattern(5, width=32, height=32), fps=Fraction(25), audio=None)


def _captions(path: Path) -> None:
    media.write_captions(path, [media.Cue(start_ms=0, stop_ms=1000, lines=("Good evening.",))])


WRITERS: dict[str, Callable[[Path], object]] = {
    "x.mp4": _video,
    "x.mkv": _video,
    "x.wav": lambda path: media.write_wav(path, speech_like(0.2), 16_000),
    "x.srt": _captions,
    "x.html": lambda path: write_page(path, lambda: "<p>"),
    "x.anchor": write_tiny_anchor,
}


@pytest.mark.parametrize("name", WRITERS)
def test_rights_stay_and_links_are_followed(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "data", tmp_path / name
    link.symlink_to(target)
    WRITERS[name](link)  # to a target that is not there yet
    assert link.is_symlink()
    first = target.stat()
    os.chmod(target, 0o600)
    WRITERS[name](link)
    assert link.is_symlink()
    assert target.stat().st_ino != first.st_ino
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path)) == sorted(["elsewhere", name])
    assert os.listdir(tmp_path / "elsewhere") == ["data"]


def test_a_file_that_only_its_owner_may_read_is_so_from_the_first_byte(tmp_path: Path) -> None:
    (tmp_path / "x").touch(0o600)
    os.chmod(tmp_path / "x", 0o400)
    with media.atomic_write(tmp_path / "x") as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
        temporary.write_text("new")
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o400


def test_withdrawal_keeps_the_rights_of_the_anchor(tmp_path: Path) -> None:
    anchor = write_tiny_anchor(tmp_path / "x.anchor")
    os.chmod(anchor, 0o640)
    (tmp_path / "link.anchor").symlink_to(anchor)
    withdraw(tmp_path / "link.anchor")
    assert stat.S_IMODE(anchor.stat().st_mode) == 0o640
    record = AnchorFile(anchor).info.consent_record
    assert record is not None
    assert record.withdrawn


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="extended attributes are read as Linux has them")
def test_extended_attributes_stay(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.touch()
    new.touch()
    try:
        os.setxattr(old, "user.origin", b"camera 2")
    except OSError:
        pytest.skip("the file system has no extended attributes")
    keep_access(old, new)
    assert os.getxattr(new, "user.origin") == b"camera 2"


def test_a_group_that_cannot_be_kept_gets_no_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, owner: int, group: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    old, new = tmp_path / "old", tmp_path / "new"
    old.touch()
    new.touch()
    os.chmod(old, 0o664)
    another = os.stat_result([*old.stat()[:5], old.stat().st_gid + 1, *old.stat()[6:]])
    monkeypatch.setattr(os, "chown", refused)
    stat_of = Path.stat
    monkeypatch.setattr(Path, "stat", lambda path: another if path == old else stat_of(path))
    keep_access(old, new)
    assert stat.S_IMODE(os.stat(new).st_mode) == 0o644


def test_pipes_devices_and_endless_links_are_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "device.mp4").symlink_to("/dev/null")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    for name, message in (
        ("pipe", "is a pipe"),
        ("device", "is a pipe, a device"),
        ("loop", "is a link to itself"),
    ):
        for write in (partial(media.check_output, suffixes=None), _video):
            with pytest.raises(OutputError, match=message):
                write(tmp_path / f"{name}.mp4")
    assert stat.S_ISFIFO((tmp_path / "pipe.mp4").stat().st_mode)
    assert Path("/dev/null").is_char_device()


def test_inputs_are_known_under_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speech = tmp_path / "speech.wav"
    speech.touch()
    os.link(speech, tmp_path / "hard.wav")
    (tmp_path / "soft.wav").symlink_to(speech)
    monkeypatch.chdir(tmp_path)
    inputs = [(speech, "the speech"), (None, "the script"), (np.zeros(3), "the samples")]
    for name in ("speech.wav", "./speech.wav", "hard.wav", "soft.wav", f"../{tmp_path.name}/speech.wav"):
        with pytest.raises(OutputError, match=f"'{re.escape(name.removeprefix('./'))}' is the speech itself"):
            check_inputs_kept([name], inputs)
    check_inputs_kept(["other.wav"], inputs)


def test_folders_that_are_made_are_the_users_own(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b", mode=0o700)
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    (tmp_path / "open").mkdir()
    os.chmod(tmp_path / "open", 0o755)
    with media.FolderLease(tmp_path / "open", what="studio", next_step="x"):
        assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o755  # as its owner has made it
    with media.FolderLease(tmp_path / "new", what="studio", next_step="x"):
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "file")
