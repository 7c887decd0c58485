"""Writes a software bill of materials: CycloneDX 1.6, as JSON.

    python tools/sbom.py > newscaster.cdx.json

It has the packages that an installation with any of the extras below needs, in the versions of the lock,
with the hashes of their files and their licences; PyTorch in the version that the Makefile names; and the
files of data inside the wheel. The packages must be installed, since their metadata have licences and
dependencies. The same commit gives the same bytes: the time is that of SOURCE_DATE_EPOCH, and the serial
number is a hash of the rest.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import sys
import uuid
from importlib import metadata

from licences import DATA, licence
from lock import LOCK, ROOT, closure, listed_for
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

EXTRAS = ("train", "tts", "serve", "stores", "cluster", "distributed")
"""What the lock holds of the extras that users install."""
Json = dict[str, object]


def version() -> str:
    """The version of newscaster."""
    text = (ROOT / "src" / "newscaster" / "version.py").read_text(encoding="utf-8")
    found = re.search(r'^VERSION = "(.+)"$', text, re.MULTILINE)
    assert found is not None
    return found[1]


def locked() -> dict[str, tuple[str, str]]:
    """By name, the version of each package of the lock, and the hash of its file."""
    pins = re.findall(r"^([a-z0-9-]+)==(\S+) --hash=sha256:(\w+)$", LOCK.read_text(encoding="utf-8"), re.M)
    return {name: (number, digest) for name, number, digest in pins}


def components() -> list[Json]:
    """One for each package, sorted by name, then one for each file of data."""
    always, _ = closure(listed_for(None))
    found = dict(always)
    for extra in EXTRAS:
        found |= closure(listed_for(extra))[0]
    pins = locked()
    return [
        *(_package(name, pins.get(name), found[name], needed=name in always) for name in sorted(found)),
        *(_file(name) for name in sorted(path.name for path in DATA.iterdir() if path.is_file())),
    ]


def _package(name: str, pin: tuple[str, str] | None, installed: str, *, needed: bool) -> Json:
    number = pin[0] if pin else installed.partition("+")[0]  # PyTorch: without the kind of its build
    component: Json = {
        "type": "library",
        "bom-ref": _reference(name, number),
        "name": name,
        "version": number,
        "purl": _reference(name, number),
        "scope": "required" if needed else "optional",
        "licenses": [{"license": {"name": licence(name) or "not stated"}}],
    }
    if pin:
        component["hashes"] = [{"alg": "SHA-256", "content": pin[1]}]
    return component


def _file(name: str) -> Json:
    path = f"src/newscaster/data/{name}"
    digest = hashlib.sha256((DATA / name).read_bytes()).hexdigest()
    return {"type": "file", "bom-ref": path, "name": path, "hashes": [{"alg": "SHA-256", "content": digest}]}


def _reference(name: str, number: str) -> str:
    return f"pkg:pypi/{name}@{number}"


def dependencies(listed: list[Json]) -> list[Json]:
    """What newscaster and each package of the list need of it."""
    references = {str(one["name"]): str(one["bom-ref"]) for one in listed}
    top = sorted({ref for name, ref in references.items() if name in _names(listed_for(None))})
    found: list[Json] = [{"ref": _reference("newscaster", version()), "dependsOn": top}]
    for one in listed:
        if one["type"] == "library":
            needs = _names(metadata.requires(str(one["name"])) or [])
            on = sorted(references[name] for name in needs if name in references)
            found.append({"ref": one["bom-ref"], "dependsOn": on})
    return found


def _names(requirements: list[str]) -> set[str]:
    """The packages that these name for this machine, without extras."""
    parsed = [Requirement(text) for text in requirements]
    return {
        canonicalize_name(one.name)
        for one in parsed
        if one.marker is None or one.marker.evaluate({"extra": ""})
    }


def bill() -> str:
    """The bill of materials, as JSON."""
    listed = components()
    own = _reference("newscaster", version())
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    time = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    found: Json = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": "newscaster",
                "version": version(),
                "purl": own,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
        },
        "components": listed,
        "dependencies": dependencies(listed),
    }
    digest = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).digest()
    found["serialNumber"] = f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=4)}"
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(bill())
