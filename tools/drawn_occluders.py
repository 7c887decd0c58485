"""Drawn occluders for ``train_mouth_occlusion.py``: hands, microphones, boxes, captions, masks and cups.

Each is a square as large as a stored crop, whose middle is the mouth: colours (S, S, 3), cover (S, S) from 0
to 1, and whether the colours are grey values around 128 that are to be tinted as skin is.
"""

from __future__ import annotations

import string

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

STORED = 96
"""Side of a stored crop, ``S``."""

Drawn = tuple[np.ndarray, np.ndarray, bool]


def _texture(rng: np.random.Generator, *, dark: bool = False) -> np.ndarray:
    """(S, S, 3) of a random surface: plain, graded, striped, dotted or noisy."""
    ys, xs = np.mgrid[0:STORED, 0:STORED] / STORED
    colour = rng.uniform(0, 90 if dark else 255, 3)
    if rng.random() < 0.3:
        colour[:] = rng.uniform(0, 255)
    out = np.ones((STORED, STORED, 3)) * colour
    angle = rng.uniform(0, 2 * np.pi)
    along = xs * np.cos(angle) + ys * np.sin(angle)
    kind = rng.integers(6)
    if kind in (1, 5):
        out += (along - 0.5)[..., None] * rng.uniform(-160, 160)
    if kind == 2:
        stripes = np.sin(2 * np.pi * along * rng.uniform(3, 20)) > rng.uniform(-0.6, 0.6)
        out = np.where(stripes[..., None], out, rng.uniform(0, 255, 3))
    if kind == 3:
        period = rng.uniform(3, 10)
        dots = np.sin(2 * np.pi * xs * STORED / period) * np.sin(2 * np.pi * ys * STORED / period)
        out += dots[..., None] * rng.uniform(10, 60)
    if kind >= 4:
        cells = int(rng.choice([6, 12, 24, 96]))
        noise = Image.fromarray((rng.random((cells, cells)) * 255).astype(np.uint8))
        grown = np.asarray(noise.resize((STORED, STORED), Image.Resampling.BICUBIC), np.float64)
        out += ((grown - 128) / 128)[..., None] * rng.uniform(5, 70)
    return np.clip(out, 0, 255)


def _blank() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("L", (4 * STORED, 4 * STORED), 0)
    return image, ImageDraw.Draw(image)


def _place(rng: np.random.Generator) -> np.ndarray:
    """The middle of an occluder: mostly near the mouth."""
    spread = 0.09 if rng.random() < 0.6 else 0.22
    return np.array([0.5, 0.52]) + rng.normal(0, spread, 2)


def _box(rng: np.random.Generator) -> Drawn:
    image, draw = _blank()
    middle, size = _place(rng), rng.uniform([0.12, 0.06], [0.7, 0.45])
    if rng.random() < 0.4:  # a lip, or a half of both
        middle, size = np.array([0.5, 0.53]) + rng.normal(0, 0.04, 2), rng.uniform([0.08, 0.04], [0.3, 0.14])
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * size / 2
    angle = rng.normal(0, 0.3) if rng.random() < 0.4 else 0.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    draw.polygon([tuple(p) for p in (corners @ turn.T + middle) * 4 * STORED], fill=255)
    skin = rng.random() < 0.25
    texture = np.full((STORED, STORED, 3), 128.0) if skin else _texture(rng, dark=rng.random() < 0.3)
    if not skin and rng.random() < 0.15:
        texture = np.zeros((STORED, STORED, 3))
    return texture, _down(image), skin


def _blob(rng: np.random.Generator) -> Drawn:
    image, draw = _blank()
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    radius = 1 + sum(rng.normal(0, 0.22 / k) * np.cos(k * turn + rng.uniform(0, 6)) for k in range(1, 6))
    size = rng.uniform(0.1, 0.35, 2)
    outline = np.stack([np.cos(turn), np.sin(turn)], 1) * radius[:, None] * size + _place(rng)
    draw.polygon([tuple(p) for p in outline * 4 * STORED], fill=255)
    skin = rng.random() < 0.35
    alpha = _down(image)
    return _shaded(rng, alpha) if skin else _texture(rng), alpha, skin


def _shaded(rng: np.random.Generator, alpha: np.ndarray) -> np.ndarray:
    """A grey surface around 128 that darkens to its outline, with soft light."""
    soft = Image.fromarray(np.round(alpha * 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(rng.uniform(1, 8))
    )
    depth = np.clip(np.asarray(soft, np.float64) / 255, 0, 1) ** rng.uniform(0.3, 1)
    ys, xs = np.mgrid[0:STORED, 0:STORED] / STORED - 0.5
    light = 1 + rng.normal(0, 0.3) * xs + rng.normal(0, 0.3) * ys
    cells = int(rng.choice([4, 8, 16]))
    noise = Image.fromarray((rng.random((cells, cells)) * 255).astype(np.uint8))
    rough = np.asarray(noise.resize((STORED, STORED), Image.Resampling.BICUBIC), np.float64) / 128 - 1
    grey = 128 * light * (1 - rng.uniform(0.1, 0.6) * (1 - depth)) * (1 + rng.uniform(0, 0.12) * rough)
    return np.repeat(grey[..., None], 3, axis=2)


def _hand(rng: np.random.Generator) -> Drawn:
    """Fingers side by side, perhaps with a palm; each is shaded by itself."""
    angle, count = rng.uniform(0, 2 * np.pi), int(rng.integers(1, 6))
    width, length = rng.uniform(0.05, 0.11), rng.uniform(0.3, 0.7)
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    root = _place(rng) - along * length * rng.uniform(0.2, 0.8)
    grey, whole = np.full((STORED, STORED, 3), 128.0), np.zeros((STORED, STORED))
    if rng.random() < 0.6:
        image, draw = _blank()
        radius = width * count * rng.uniform(0.5, 0.8)
        palm = (root - along * radius * 0.7) * 4 * STORED
        draw.ellipse([*(palm - radius * 4 * STORED), *(palm + radius * 4 * STORED)], fill=255)
        whole = _down(image)
        grey = _shaded(rng, whole)
    for k in range(count):
        image, draw = _blank()
        start = root + across * (k - (count - 1) / 2) * width * rng.uniform(0.85, 1.2)
        fan = along + across * (k - (count - 1) / 2) * rng.normal(0, 0.06)
        bend = across * rng.normal(0, 0.04)
        joints = [
            start + fan * length * t * rng.uniform(0.85, 1.05) + bend * t * (1 - t) for t in (0, 0.5, 1)
        ]
        points = [tuple(p * 4 * STORED) for p in joints]
        draw.line(points, fill=255, width=int(width * 4 * STORED), joint="curve")
        for x, y in points:
            r = width * 2 * STORED
            draw.ellipse([x - r, y - r, x + r, y + r], fill=255)
        finger = _down(image)
        shade = _shaded(rng, finger)
        grey = grey * (1 - finger[..., None]) + shade * finger[..., None]
        whole = np.maximum(whole, finger)
    return grey, whole, rng.random() < 0.9


def _microphone(rng: np.random.Generator) -> Drawn:
    image, draw = _blank()
    middle, radius = _place(rng), rng.uniform(0.07, 0.25)
    shape = np.array([radius * rng.uniform(0.7, 1.3), radius])
    draw.ellipse([*((middle - shape) * 4 * STORED), *((middle + shape) * 4 * STORED)], fill=255)
    if rng.random() < 0.8:
        end = middle + np.array([rng.normal(0, 0.3), 0.8])
        draw.line(
            [tuple(middle * 4 * STORED), tuple(end * 4 * STORED)],
            fill=255,
            width=int(radius * rng.uniform(0.5, 1.2) * 4 * STORED),
        )
    out = _texture(rng, dark=rng.random() < 0.7)
    ys, xs = np.mgrid[0:STORED, 0:STORED] / STORED
    if rng.random() < 0.7:
        period = rng.uniform(2.2, 6) / STORED
        grille = np.sin(2 * np.pi * (xs + ys) / period) * np.sin(2 * np.pi * (xs - ys) / period)
        out = out + grille[..., None] * rng.uniform(5, 50)
    gleam = np.exp(
        -(((xs - middle[0] + radius / 3) ** 2 + (ys - middle[1] + radius / 3) ** 2) / radius**2) * 3
    )
    return np.clip(out + gleam[..., None] * rng.uniform(0, 110), 0, 255), _down(image), False


def _caption(rng: np.random.Generator) -> Drawn:
    """Lines of text; on a bar, or with an outline and nothing behind. All of a line counts as covered."""
    size = int(rng.uniform(0.05, 0.16) * STORED * 4)
    font = ImageFont.load_default(size)
    text = Image.new("L", (4 * STORED, 4 * STORED), 0)
    edge = Image.new("L", (4 * STORED, 4 * STORED), 0)
    bar, draw_bar = _blank()
    width = int(rng.integers(0, size // 6 + 1))
    top = _place(rng)[1] * 4 * STORED - size / 2
    for _ in range(int(rng.integers(1, 4))):
        letters = rng.choice(list(string.ascii_letters + string.digits + "     "), int(rng.integers(4, 40)))
        left = rng.uniform(-0.8, 0.4) * 4 * STORED
        line = "".join(letters)
        ImageDraw.Draw(text).text((left, top), line, 255, font=font)
        ImageDraw.Draw(edge).text((left, top), line, 255, font=font, stroke_width=width)
        box = ImageDraw.Draw(text).textbbox((left, top), line, font=font)
        draw_bar.rectangle(
            [box[0] - size / 4, box[1] - size / 6, box[2] + size / 4, box[3] + size / 6], fill=255
        )
        top += size * 1.2
    ink, outline, under = _down(text), _down(edge), _down(bar)
    colours = rng.uniform(0, 255, (2, 3)) if rng.random() < 0.4 else np.array([[255.0] * 3, [0.0] * 3])
    if rng.random() < 0.3:
        colours = colours[::-1]
    out = colours[1] * (1 - ink[..., None]) + colours[0] * ink[..., None]
    return out, (under if rng.random() < 0.5 else np.maximum(outline, ink)), False


def _mask(rng: np.random.Generator) -> Drawn:
    image, draw = _blank()
    top, bottom, half = rng.uniform(0.3, 0.45), rng.uniform(0.72, 0.9), rng.uniform(0.22, 0.42)
    outline = [
        (0.5 - half, top + rng.uniform(0, 0.1)), (0.5, top - rng.uniform(0, 0.08)),
        (0.5 + half, top + rng.uniform(0, 0.1)), (0.5 + half * 0.8, bottom - 0.1), (0.5, bottom),
        (0.5 - half * 0.8, bottom - 0.1),
    ]  # fmt: skip
    draw.polygon([(x * 4 * STORED, y * 4 * STORED) for x, y in outline], fill=255)
    alpha = _down(image.filter(ImageFilter.GaussianBlur(8)).point(lambda v: 255 * (v > 127)))
    base = rng.choice([(190, 215, 235), (240, 240, 240), (25, 25, 30), (120, 160, 190)])
    folds = np.sin(np.mgrid[0:STORED, 0:STORED][0] / rng.uniform(2, 6))[..., None] * rng.uniform(0, 18)
    plain = _shaded(rng, alpha) / 128 * base + folds if rng.random() < 0.7 else _texture(rng)
    return np.clip(plain, 0, 255), alpha, False


def _cup(rng: np.random.Generator) -> Drawn:
    image, draw = _blank()
    middle, half, height = _place(rng), rng.uniform(0.1, 0.25), rng.uniform(0.25, 0.6)
    low = half * rng.uniform(0.6, 1)
    x, y = middle - np.array([0, height * rng.uniform(0.1, 0.5)])
    outline = [(x - half, y), (x + half, y), (x + low, y + height), (x - low, y + height)]
    draw.polygon([(u * 4 * STORED, v * 4 * STORED) for u, v in outline], fill=255)
    rim = half * rng.uniform(0.1, 0.35)
    draw.ellipse([v * 4 * STORED for v in (x - half, y - rim, x + half, y + rim)], fill=255)
    xs = np.mgrid[0:STORED, 0:STORED][1] / STORED
    light = 1 + rng.uniform(-0.6, 0.6) * np.sin((xs - x) / half * rng.uniform(0.8, 2))
    return np.clip(_texture(rng) * light[..., None], 0, 255), _down(image), False


def _down(image: Image.Image) -> np.ndarray:
    return np.asarray(image.resize((STORED, STORED), Image.Resampling.BOX), np.float64) / 255


KINDS = (_box, _box, _blob, _hand, _hand, _microphone, _caption, _mask, _cup)


def occluder(rng: np.random.Generator) -> Drawn:
    """Colours (S, S, 3), cover (S, S) from 0 to 1, and whether the colours are to be tinted as skin is."""
    colours, cover, skin = KINDS[rng.integers(len(KINDS))](rng)
    if rng.random() < 0.3:
        soft = Image.fromarray(np.round(cover * 255).astype(np.uint8))
        cover = np.asarray(soft.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 2))), np.float64) / 255
    if rng.random() < 0.2:
        cover = cover * rng.uniform(0.45, 0.95)
    return np.clip(colours, 0, 255), cover, bool(skin)
