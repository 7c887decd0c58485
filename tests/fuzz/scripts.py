"""Scripts of changes: what is done to a sound file to make a hostile one, as plain JSON.

A case is such a script, a few hundred bytes long whatever the size of the file, and made anew from its seed.
Some steps change bytes blindly; most know where they are: fields of protobuf, values of JSON, arrays, boxes,
the zip's tables.
"""

from __future__ import annotations

import ast
import hashlib
import json
import random
import struct
import zipfile
from io import BytesIO
from typing import Any

Script = list[dict[str, Any]]
Members = dict[str, bytes]

NUMBERS = [
    0,
    1,
    2,
    3,
    7,
    127,
    128,
    255,
    256,
    999,
    3000,
    3001,
    65535,
    2**20,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**63 - 1,
    2**64 - 1,
]
VALUES: list[Any] = [
    *NUMBERS[:-1], -1, -(2**31), 0.0, -0.5, 1e-300, 1e300, float("nan"), float("inf"), True, False, None,
    "", "0", "x", "25/1", "1/0", "1e999999999", "0/1", "-25", "9" * 400, "\ud800", "\x1b[2J", "../x", "/etc",
    "a" * 5000, [], {}, [[]], [1, 2], {"a": {}}, ["x", "x"],
]  # fmt: skip
FLOATS = [0.0, 1.0, -1.0, 1e-30, 1e-3, 50.0, 1e4, 1e6, 1e30, -1e30, float("nan"), float("inf")]
DTYPES = ["F64", "F32", "F16", "BF16", "F8_E4M3", "I64", "U16", "U8", "BOOL", "C64", "X9"]
NPY = ["<f4", ">f4", "<f8", "|u1", "|b1", "|O", "<U9", "<M8[ns]", "|V8", [("a", "<f4")], "<f2", "nonsense"]


def drawn(rng: random.Random, members: list[str], known: list[Script]) -> Script:
    """A script for a file with these members; often one that is known, taken further."""
    script = [dict(step) for step in rng.choice(known)] if known and rng.random() < 0.4 else []
    return [*script, *(_step(rng, members) for _ in range(rng.choice((1, 1, 1, 2, 3, 5))))]


def _step(rng: random.Random, members: list[str]) -> dict[str, Any]:
    member = rng.choice(members)
    own = {"json": _json, "onnx": _wire, "safetensors": _tensors, "mp4": _box, "npy": _npy}
    kinds = [_bytes, _cut, own.get(member.rpartition(".")[2], _bytes)]
    step = rng.choices(kinds, (2, 1, 9))[0](rng)
    return {"in": member, **step}


def _bytes(rng: random.Random) -> dict[str, Any]:
    new = rng.choice(
        [
            rng.randbytes(1),
            rng.randbytes(4),
            struct.pack(">I", rng.choice(NUMBERS) & 0xFFFFFFFF),
            b"\0" * 8,
            b"\xff" * 8,
        ]
    )
    return {"do": "bytes", "at": rng.random(), "new": new.hex()}


def _cut(rng: random.Random) -> dict[str, Any]:
    return {"do": "cut", "at": rng.choice([0.0, 0.01, 0.5, 0.99, rng.random()])}


def _json(rng: random.Random) -> dict[str, Any]:
    if rng.random() < 0.05:
        deep = rng.choice([("[", 100_000), ('{"a":', 5000), ("[" * 30, 1)])
        odd = [(text, 1) for text in ("1e99999", "NaN", '{"format":1,"format":1}', "\ufeff{}", '"\\ud800"')]
        text, times = rng.choice([deep, *odd])
        return {"do": "text", "text": text, "times": times}
    place, value = [rng.random() for _ in range(rng.choice((1, 1, 2, 2, 3)))], rng.choice(VALUES)
    return {"do": rng.choice(["value", "value", "value", "drop", "add"]), "place": place, "value": value}


def _wire(rng: random.Random) -> dict[str, Any]:
    depth = rng.choice((1, 2, 2, 3, 3, 4, 5, 6))
    step = {"do": "wire", "place": [rng.random() for _ in range(depth)]}
    kind = rng.choice(["number", "number", "text", "drop", "twice", "field", "add"])
    words = [
        "Loop",
        "If",
        "Scan",
        "Conv",
        "MatMul",
        "Expand",
        "ConstantOfShape",
        "Resize",
        "Tile",
        "com.microsoft",
        "",
        "ai.onnx.ml",
        "location",
        "features",
    ]
    return {
        **step,
        "kind": kind,
        "number": rng.choice([*NUMBERS, rng.randrange(32)]),
        "text": rng.choice(words),
    }


def _tensors(rng: random.Random) -> dict[str, Any]:
    kind = rng.choice(["fill", "fill", "one", "dtype", "shape", "offsets", "rename", "length", "cast"])
    return {
        "do": "tensors", "kind": kind, "which": rng.random(), "at": rng.random(), "value": rng.choice(FLOATS),
        "dtype": rng.choice(DTYPES), "numbers": [rng.choice(NUMBERS) for _ in range(rng.choice((1, 2, 3)))],
    }  # fmt: skip


def _box(rng: random.Random) -> dict[str, Any]:
    kind = rng.choice(["number", "number", "number", "rename", "drop", "twice", "payload"])
    name = rng.choice(["moof", "cmov", "moov", "trak", "covr", "stsz", "free", "hvc1", "uuid"])
    return {
        "do": "box", "kind": kind, "place": [rng.random() for _ in range(rng.choice((1, 2, 3, 4, 5, 6)))],
        "at": rng.random(), "number": rng.choice(NUMBERS), "text": name,
    }  # fmt: skip


def _npy(rng: random.Random) -> dict[str, Any]:
    shape = [rng.choice(NUMBERS) for _ in range(rng.choice((0, 1, 2, 3)))]
    text, times = rng.choice(
        [("", 1), ("(", 3000), ("{'a':", 60), ("{'descr': '<f4'}", 1), ("[1]", 1), ("-", 5000)]
    )
    return {
        "do": "npy", "kind": rng.choice(["shape", "dtype", "text", "fill", "version"]), "shape": shape,
        "dtype": rng.choice(NPY), "text": text, "times": times, "value": rng.choice(FLOATS),
    }  # fmt: skip


# --- doing it


def changed(data: bytes, step: dict[str, Any]) -> bytes:
    """A file's bytes, after one step. A step that does not fit changes nothing."""
    try:
        return _DOING[step["do"]](data, step)
    except Exception:  # steps before it may have left nothing that it could change
        return data


def _do_bytes(data: bytes, step: dict[str, Any]) -> bytes:
    new, at = bytes.fromhex(step["new"]), int(step["at"] * len(data))
    return data[:at] + new + data[at + len(new) :]


def _do_cut(data: bytes, step: dict[str, Any]) -> bytes:
    return data[: int(step["at"] * len(data))]


def _do_text(data: bytes, step: dict[str, Any]) -> bytes:
    return (step["text"] * step["times"]).encode("utf-8", "surrogatepass")


def _do_json(data: bytes, step: dict[str, Any]) -> bytes:
    top: dict[str, Any] = {"": json.loads(data)}
    part, key = top, ""
    for place in step["place"]:
        inner = part[key]
        keys = (
            sorted(inner) if isinstance(inner, dict) else range(len(inner)) if isinstance(inner, list) else []
        )
        if not keys:
            break
        part, key = inner, keys[int(place * len(keys))]
    if step["do"] == "drop":
        del part[key]
    elif step["do"] == "add" and isinstance(part[key], dict):
        part[key]["added"] = step["value"]
    elif step["do"] == "add" and isinstance(part[key], list):
        part[key].append(step["value"])
    else:
        part[key] = step["value"]
    return json.dumps(top[""]).encode()


def _do_wire(data: bytes, step: dict[str, Any]) -> bytes:
    return _wired(data, step["place"], step)


def _wired(data: bytes, place: list[float], step: dict[str, Any]) -> bytes:
    fields = list(_fields(data))
    index = int(place[0] * len(fields))
    number, wire, content = fields[index]
    if len(place) > 1 and wire == 2:
        fields[index] = (number, wire, _wired(content, place[1:], step))
    elif step["kind"] == "drop":
        del fields[index]
    elif step["kind"] == "twice":
        fields.insert(index, fields[index])
    elif step["kind"] == "field":
        fields[index] = (step["number"] % 2**28 or 1, wire, content)
    elif step["kind"] == "add":
        fields.append((step["number"] % 32 or 1, 0, _varint(step["number"])))
    elif step["kind"] == "text":
        fields[index] = (number, 2, step["text"].encode())
    else:
        fields[index] = (
            (number, 0, _varint(step["number"])) if wire == 0 else (number, 2, _varint(step["number"]))
        )
    return b"".join(_varint(n << 3 | w) + (_varint(len(c)) + c if w == 2 else c) for n, w, c in fields)


def _fields(data: bytes) -> Any:
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 2:
            length, at = _read_varint(data, at)
        elif wire == 0:
            length = _read_varint(data, at)[1] - at
        else:
            length = {1: 8, 5: 4}[wire]
        if at + length > len(data) or number == 0:
            raise ValueError
        yield number, wire, data[at : at + length]
        at += length


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _do_tensors(data: bytes, step: dict[str, Any]) -> bytes:
    import numpy as np

    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), bytearray(data[8 + length :])
    names = sorted(name for name in header if name != "__metadata__")
    name = names[int(step["which"] * len(names))]
    entry, kind = header[name], step["kind"]
    begin, end = entry["data_offsets"]
    types = {"F32": "<f4", "F64": "<f8", "U8": "u1", "U16": "<u2"}
    if kind in ("fill", "one"):
        array = np.frombuffer(bytes(body[begin:end]), types[entry["dtype"]]).copy()
        with np.errstate(all="ignore"):
            value = np.asarray(step["value"]).astype(array.dtype)
        where = slice(None) if kind == "fill" else int(step["at"] * len(array))
        array[where] = value
        body[begin:end] = array.tobytes()
    elif kind in ("dtype", "cast"):
        entry["dtype"] = step["dtype"]
    elif kind == "shape":
        entry["shape"] = step["numbers"]
    elif kind == "offsets":
        entry["data_offsets"] = step["numbers"]
    elif kind == "rename":
        header["other"] = header.pop(name)
    text = json.dumps(header).encode()
    claimed = step["numbers"][0] if kind == "length" else len(text)
    return struct.pack("<Q", claimed & 2**64 - 1) + text + bytes(body)


_HOLDERS = (b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl")


def _do_box(data: bytes, step: dict[str, Any]) -> bytes:
    return _boxed(data, step["place"], step)


def _boxed(data: bytes, place: list[float], step: dict[str, Any]) -> bytes:
    boxes, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size < 8:
            raise ValueError
        boxes.append((data[at + 4 : at + 8], data[at + 8 : at + size]))
        at += size
    index = int(place[0] * len(boxes))
    kind, content = boxes[index]
    if len(place) > 1 and kind in _HOLDERS:
        boxes[index] = (kind, _boxed(content, place[1:], step))
    elif step["kind"] == "drop":
        del boxes[index]
    elif step["kind"] == "twice":
        boxes.insert(index, boxes[index])
    elif step["kind"] == "rename":
        boxes[index] = (step["text"].encode(), content)
    elif step["kind"] == "payload":
        boxes.insert(index, (step["text"].encode(), bytes(64)))
    else:
        at = int(step["at"] * len(content)) // 4 * 4
        boxes[index] = (
            kind,
            content[:at] + struct.pack(">I", step["number"] & 2**32 - 1) + content[at + 4 :],
        )
    return b"".join(struct.pack(">I", 8 + len(c)) + k + c for k, c in boxes)


def _do_npy(data: bytes, step: dict[str, Any]) -> bytes:
    length = int.from_bytes(data[8:10], "little")
    text, body = data[10 : 10 + length].decode(), data[10 + length :]
    header = ast.literal_eval(text)
    if step["kind"] == "shape":
        header["shape"] = tuple(step["shape"])
    elif step["kind"] == "dtype":
        header["descr"] = step["dtype"]
    elif step["kind"] == "fill":
        body = struct.pack("<f", step["value"]) * (len(body) // 4) + bytes(len(body) % 4)
    said = (step["text"] * step["times"] if step["kind"] == "text" else repr(header)).encode() + b"\n"
    version = b"\x09\x00" if step["kind"] == "version" else data[6:8]
    return data[:6] + version + struct.pack("<H", len(said)) + said + body


_DOING = {
    "bytes": _do_bytes, "cut": _do_cut, "text": _do_text, "value": _do_json, "drop": _do_json,
    "add": _do_json, "wire": _do_wire, "tensors": _do_tensors, "box": _do_box, "npy": _do_npy,
}  # fmt: skip


# --- the zip around an anchor's members


def zipped(members: Members, *, signed: bool) -> bytes:
    """An anchor of these members; `signed`: its header says of them what they are."""
    header = members["anchor.json"]
    if signed:
        try:
            values = json.loads(header)
            values["members"] = {
                name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
                for name, data in members.items()
                if name != "anchor.json"
            }
            header = json.dumps(values).encode()
        except (ValueError, TypeError, RecursionError):
            pass
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in {**members, "anchor.json": header}.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


def zip_step(rng: random.Random) -> dict[str, Any]:
    """A change of the zip's own tables: numbers of its directory, its end, or a member's local header."""
    new = rng.choice(
        [rng.randbytes(1), struct.pack("<I", rng.choice(NUMBERS) & 0xFFFFFFFF), b"\0\0", b"\xff\xff"]
    )
    return {"in": "zip", "at": rng.random(), "local": rng.random() < 0.3, "new": new.hex()}


def rezipped(data: bytes, step: dict[str, Any]) -> bytes:
    """A zip file after a step on its tables."""
    directory = data.find(b"PK\x01\x02")
    new = bytes.fromhex(step["new"])
    at = int(step["at"] * 60) if step["local"] else directory + int(step["at"] * (len(data) - directory))
    return data[:at] + new + data[at + len(new) :]
