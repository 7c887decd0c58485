"""Builds the packages of a release from the last commit, and checks that the builds are reproducible.

    python tools/build_release.py --out dist [--tag v0.1.0]

newscaster and the packages in integrations/ are built twice, wheels and sdists, in two folders, time zones
and umasks. If a byte differs, the file is named, and the exit code is 1. Otherwise the folder gets the
packages, a bill of materials (tools/sbom.py) and SHA256SUMS, which `sha256sum --check` reads. --tag must
name the version. The time of all files is that of the commit.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from lock import ROOT
from sbom import version

SUMS = "SHA256SUMS"


def versions() -> dict[str, str]:
    """By folder, the version of each package of the project."""
    found = {".": version()}
    for project in sorted(ROOT.glob("integrations/*/pyproject.toml")):
        (path,) = (one for one in project.parent.rglob("version.py") if ".venv" not in one.parts)
        text = re.search(r'^__version__ = "(.+)"$', path.read_text(encoding="utf-8"), re.MULTILINE)
        assert text is not None, path
        found[project.parent.relative_to(ROOT).as_posix()] = text[1]
    return found


def commit_time() -> str:
    """The time of the last commit, in seconds since 1970."""
    command = ["git", "log", "-1", "--format=%ct"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def export(folder: Path) -> None:
    """Write the files of the last commit to a folder."""
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")


def build(source: Path, out: Path, *, umask: int, zone: str) -> None:
    """Build all packages of a source tree: sdists, and wheels from these."""
    out.mkdir()
    environment = {**os.environ, "SOURCE_DATE_EPOCH": commit_time(), "TZ": zone}
    for folder in versions():
        command = [
            sys.executable,
            "-m",
            "build",
            "--no-isolation",
            "--outdir",
            str(out),
            str(source / folder),
        ]
        subprocess.run(command, cwd=out, env=environment, umask=umask, check=True, stdout=subprocess.DEVNULL)


def differing(first: Path, second: Path) -> list[str]:
    """A line for each file that is not the same in both folders."""
    names = sorted({path.name for path in (*first.iterdir(), *second.iterdir())})
    found = []
    for name in names:
        a, b = first / name, second / name
        if not (a.exists() and b.exists()):
            found.append(f"{name}: in one build alone")
            continue
        x, y = a.read_bytes(), b.read_bytes()
        count = abs(len(x) - len(y)) + sum(p != q for p, q in zip(x, y, strict=False)) if x != y else 0
        if count:
            found.append(f"{name}: {count} bytes differ")
    return found


def sums(folder: Path) -> str:
    """The lines of SHA256SUMS for the files of a folder."""
    files = sorted(path for path in folder.iterdir() if path.name != SUMS)
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--tag", help="the tag of the release: v and the version")
    options = parser.parse_args()
    if len(set(versions().values())) != 1 or options.tag not in (None, f"v{version()}"):
        print(f"not one version: tag {options.tag}, packages {versions()}")
        return 1
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for folder, umask, zone in (("a", 0o022, "UTC"), ("another", 0o077, "Pacific/Kiritimati")):
            export(work / folder)
            build(work / folder, work / f"{folder}-dist", umask=umask, zone=zone)
        lines = differing(work / "a-dist", work / "another-dist")
        if lines:
            print("\n".join(lines))
            return 1
        shutil.rmtree(options.out, ignore_errors=True)
        shutil.copytree(work / "a-dist", options.out)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": commit_time()}
    command = [sys.executable, str(ROOT / "tools" / "sbom.py")]
    bill = subprocess.run(command, env=environment, check=True, capture_output=True).stdout
    (options.out / f"newscaster-{version()}.cdx.json").write_bytes(bill)
    (options.out / SUMS).write_text(sums(options.out), encoding="utf-8", newline="\n")
    print(f"{(options.out / SUMS).read_text()}0 bytes differ between two builds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
