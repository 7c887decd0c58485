"""Rebuild the network that finds covered mouths (``src/newscaster/data/mouth_occlusion.onnx``) from footage.

The network is trained on crops of people who talk, over which occluders are drawn: hands, microphones, boxes,
captions, masks, cups and pieces of other frames. It learns where they are, cell by cell::

    python tools/train_mouth_occlusion.py crops FOLDER... -o crops.npz      # footage -> crops
    python tools/train_mouth_occlusion.py train crops.npz -o mouth_occlusion.onnx

Every tenth person (the part of a file's name that --person matches) is left out of training, and measured on.
Needs the extra ``train``.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from drawn_occluders import STORED, occluder
from lip_covers import cover_lips
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from newscaster.face.topology import INNER_LIPS, OUTER_LIPS
from newscaster.media import read_frames
from newscaster.prepare.clips import find_footage
from newscaster.prepare.mouth_occlusion import CELLS, EXTENT, SIDE, crop_window, cut_crop
from newscaster.prepare.people import choose_person
from newscaster.prepare.tracking import FaceTracker
from newscaster.prepare.work import look

MARGIN = 1.35
"""Stored crops are larger than the network's by this, so that training can turn and shift them."""
STEP = 6
"""Every so many frames are taken."""
LIPS = (*OUTER_LIPS, *INNER_LIPS)
VARIANTS = 3000
BATCH = 96
LIP_WEIGHT = 3.0
"""How much more a cell at the lips counts than one elsewhere."""
LIP_BORDER = 3.0
"""How far such cells reach beyond the lips, in pixels of stored crops."""
EYES = (33, 263)


# --- Crops ------------------------------------------------------------------------------------------------


def stored_crop(frame: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A crop (S, S, 3) for storing, and the lips (40, 2) in its pixels."""
    window = crop_window(landmarks, extent=EXTENT * MARGIN, side=STORED)
    lips = window.apply(landmarks[list(LIPS), :2].astype(np.float64))
    return cut_crop(frame, window, side=STORED), lips


def skin_of(frame: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The median colour (3,) of both cheeks."""
    radius = max(1, int(0.06 * np.linalg.norm(landmarks[EYES[1], :2] - landmarks[EYES[0], :2])))
    patches = []
    for point in (50, 280):
        x, y = landmarks[point, :2].astype(int)
        patch = frame[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
        patches.append(patch.reshape(-1, 3))
    joined = np.concatenate(patches)
    return np.median(joined, axis=0) if len(joined) else np.full(3, 128.0)


def overlaid(
    frame: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A frame with an occluder drawn in, and how much it covers (H, W, 1), 0 to 255."""
    colours, cover, skin = occluder(rng)
    if skin:
        colours = np.clip(colours / 128 * skin_of(frame, landmarks) * rng.uniform(0.75, 1.2), 0, 255)
    window = crop_window(landmarks, extent=EXTENT * MARGIN, side=STORED)
    height, width = frame.shape[:2]
    coefficients = window.matrix.reshape(-1).tolist()
    rgba = np.concatenate([colours, 255 * cover[..., None]], axis=2).round().astype(np.uint8)
    patch = Image.fromarray(rgba)
    drawn = np.asarray(
        patch.transform((width, height), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR),
        np.float64,
    )
    alpha = drawn[..., 3:] / 255
    return np.round(frame * (1 - alpha) + drawn[..., :3] * alpha).astype(np.uint8), drawn[..., 3:].astype(
        np.uint8
    )


def crops(folders: list[Path], destination: Path, *, person: str, step: int, limit: float) -> None:
    """Store crops of footage, each as it is and with an occluder, under which landmarks were found anew."""
    files, _ = find_footage(folders)
    rng = np.random.default_rng(0)
    kept: dict[str, list[Any]] = {
        k: [] for k in ("image", "lips", "skin", "cover", "over", "over_lips", "who")
    }
    began = time.monotonic()
    for number, file in enumerate(files):
        if time.monotonic() - began > limit:
            print(f"time is up after {number} of {len(files)} files")
            break
        persons = look(file)
        if not persons:
            continue
        match = re.search(person, file.path.name)
        tracker = FaceTracker(choose_person(persons, None, file.path), fps=25)
        for k, frame in enumerate(read_frames(file.path, fps=25)):
            if k % step:
                continue
            points = tracker.step(frame)
            if points is None:
                continue
            under, covered = overlaid(frame, points, rng)
            found = tracker.step(under)
            if found is None:
                continue
            image, lips = stored_crop(frame, points)
            over, over_lips = stored_crop(under, found)
            window = crop_window(found, extent=EXTENT * MARGIN, side=STORED)
            cover = cut_crop(np.repeat(covered, 3, axis=2), window, side=STORED)[..., 0]
            kept["image"].append(image)
            kept["lips"].append(lips.astype(np.float32))
            kept["skin"].append(skin_of(frame, points).astype(np.float32))
            kept["over"].append(over)
            kept["over_lips"].append(over_lips.astype(np.float32))
            kept["cover"].append(cover)
            kept["who"].append(match.group(0) if match else file.path.stem)
        if number % 20 == 0:
            print(number, len(files), len(kept["image"]), f"{time.monotonic() - began:.0f} s", flush=True)
    np.savez(destination, **{k: np.array(v) for k, v in kept.items()})


# --- The network ------------------------------------------------------------------------------------------


class _Block(nn.Module):
    """A residual block: depthwise 3x3, then wide and back (MobileNetV2's, turned round)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, 2 * channels, 1),
            nn.ReLU(),
            nn.Conv2d(2 * channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _narrow(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class OcclusionNetwork(nn.Module):
    """RGB crops (N, 64, 64, 3), 0 to 255, to logits (N, 16, 16) of something before the face in each cell."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(_narrow(3, 16), _narrow(16, 32), _Block(32))
        self.second = nn.Sequential(_narrow(32, 64), _Block(64), _Block(64))
        self.third = nn.Sequential(_narrow(64, 96), _Block(96), _Block(96))
        self.whole = nn.Linear(96, 96)
        self.up_third, self.up_second = nn.Conv2d(96, 64, 1), nn.Conv2d(64, 32, 1)
        self.join_second, self.join_first = _Block(64), _Block(32)
        self.out = nn.Conv2d(32, 1, 1)

    def forward(self, crops: Tensor) -> Tensor:
        x = crops.permute(0, 3, 1, 2) / 127.5 - 1
        first = self.first(x)
        second = self.second(first)
        third = self.third(second)
        third = functional.relu(third + self.whole(third.mean((2, 3)))[:, :, None, None])
        second = self.join_second(second + functional.interpolate(self.up_third(third), scale_factor=2.0))
        first = self.join_first(first + functional.interpolate(self.up_second(second), scale_factor=2.0))
        return self.out(first)[:, 0]


# --- Training ---------------------------------------------------------------------------------------------


def _held_out(who: np.ndarray) -> np.ndarray:
    """A tenth of the people, always the same."""
    return np.array([hashlib.sha256(name.encode()).digest()[0] % 10 == 0 for name in who])


def variants(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Occluders: colours (n, 3, S, S), cover (n, 1, S, S) and which take the colour of skin (n,)."""
    rng = np.random.default_rng(seed)
    found = [occluder(rng) for _ in range(count)]
    colours = torch.from_numpy(np.stack([f[0] for f in found]).round().astype(np.uint8)).permute(0, 3, 1, 2)
    cover = torch.from_numpy(np.stack([f[1] for f in found]).astype(np.float32))[:, None]
    return colours, cover, torch.tensor([f[2] for f in found])


def _warps(n: int, generator: torch.Generator, *, spread: float) -> Tensor:
    """Random similarities (n, 2, 3) of squares of [-1, 1], half of them mirrored."""

    def normal(scale: float) -> Tensor:
        return torch.randn(n, generator=generator) * scale

    angle, scale = normal(spread), torch.exp(normal(spread))
    mirror = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = [
        torch.stack([cos * mirror, -sin, normal(spread)], 1),
        torch.stack([sin * mirror, cos, normal(spread)], 1),
    ]
    return torch.stack(rows, 1)


def _warp(images: Tensor, warps: Tensor) -> Tensor:
    grid = functional.affine_grid(warps, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _draw_over(
    images: Tensor, skin: Tensor, bank: tuple[Tensor, ...], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Occluders of the bank on crops (n, 3, S, S); the crops and what is covered, (n, 1, S, S)."""
    n = len(images)
    pick = torch.randint(len(bank[0]), (n,), generator=generator)
    both = torch.cat([bank[0][pick].float(), bank[1][pick]], 1)
    both = _warp(torch.cat([both[:, :3], both[:, 3:]], 1), _warps(n, generator, spread=0.12))
    colours, cover = both[:, :3], both[:, 3:]
    tint = (
        skin
        * (0.7 + 0.5 * torch.rand(n, 1, generator=generator))
        * (1 + 0.06 * torch.randn(n, 3, generator=generator))
    )
    tinted = colours / 128 * tint[:, :, None, None]
    colours = torch.where(bank[2][pick][:, None, None, None], tinted, colours)
    # One in eight is made of another crop's pixels, one in sixteen of the face's own, made coarse.
    kind = torch.rand(n, generator=generator)
    other = _warp(images.roll(1, 0), _warps(n, generator, spread=0.6))
    size = int(torch.randint(4, 9, (1,), generator=generator))
    coarse = functional.interpolate(
        functional.avg_pool2d(images, size, ceil_mode=True), scale_factor=float(size)
    )
    coarse = coarse[:, :, :STORED, :STORED]
    colours = torch.where((kind < 0.12)[:, None, None, None], other, colours)
    colours = torch.where(((kind >= 0.12) & (kind < 0.19))[:, None, None, None], coarse, colours)
    return images * (1 - cover) + colours.clamp(0, 255) * cover, cover


def _near_lips(lips: Tensor) -> Tensor:
    """Where the lips are in stored crops, with a little around them, (n, 1, S, S)."""
    at = torch.arange(STORED) + 0.5
    low, high = lips.amin(1) - LIP_BORDER, lips.amax(1) + LIP_BORDER
    within = (at > low[..., None]) & (at < high[..., None])
    return (within[:, 1, :, None] & within[:, 0, None, :])[:, None].float()


def _degrade(x: Tensor, generator: torch.Generator) -> Tensor:
    """Light, colour, blur, coarse blocks and noise, as cameras and codecs make them."""
    n = len(x)

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    gain = torch.exp(0.25 * torch.randn(n, 1, 1, 1, generator=generator))
    tone = torch.exp(0.08 * torch.randn(n, 3, 1, 1, generator=generator))
    x = (x - 128 * rand(n, 1, 1, 1) * 0.3) * gain * tone + 60 * (rand(n, 1, 1, 1) - 0.5)
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * torch.where(rand(n, 1, 1, 1) < 0.08, 0.0, 0.5 + rand(n, 1, 1, 1))
    width = int(torch.randint(1, 3, (1,), generator=generator)) * 2 + 1
    kind = rand(n)
    for chosen, size in ((kind < 0.2, (width, width)), ((kind >= 0.2) & (kind < 0.27), (1, 7))):
        border = (size[0] // 2, size[1] // 2)
        x[chosen] = functional.avg_pool2d(x[chosen], size, 1, border, count_include_pad=False)
    coarse = functional.interpolate(
        functional.interpolate(x, scale_factor=0.5, mode="area"), size=x.shape[-2:], mode="bilinear"
    )
    x = torch.where(rand(n, 1, 1, 1) < 0.2, coarse, x)
    return x + torch.randn(x.shape, generator=generator) * 8 * rand(n, 1, 1, 1) ** 2


def _to_input(
    images: Tensor, cover: Tensor, near: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """The network's crops (n, 3, 64, 64), its cells' truth (n, 16, 16) and weights, turned and shifted."""
    warps = _warps(len(images), generator, spread=0.035)
    warps[:, :, :2] /= MARGIN
    grid = functional.affine_grid(warps, [len(images), 5, SIDE, SIDE], align_corners=False)
    stacked = torch.cat([images, cover, near], 1)
    small = functional.grid_sample(stacked, grid, padding_mode="border", align_corners=False)
    maps = torch.cat([(small[:, 3:4] > 0.35).float(), small[:, 4:]], 1)
    truth, lips = functional.avg_pool2d(maps, SIDE // CELLS).unbind(1)
    return small[:, :3], truth, 1 + LIP_WEIGHT * lips


def batches(
    data: dict[str, Tensor], bank: tuple[Tensor, ...], indices: Tensor, size: int, generator: torch.Generator
):
    """Yield crops, truths and weights: clean, covered at the lips, covered anywhere, covered in footage."""
    clean_count, lip_count, any_count = size // 3, size // 4, size // 6
    lip_stop, any_stop = clean_count + lip_count, clean_count + lip_count + any_count
    while True:
        pick = indices[torch.randint(len(indices), (size,), generator=generator)]
        drawn_on, footage = pick[:any_stop], pick[any_stop:]
        images = data["image"][drawn_on].permute(0, 3, 1, 2).float()
        skin, lips = data["skin"][drawn_on], data["lips"][drawn_on]
        covers = torch.zeros(any_stop, 1, STORED, STORED)
        at_lips, anywhere = slice(clean_count, lip_stop), slice(lip_stop, any_stop)
        images[at_lips], covers[at_lips] = cover_lips(
            images[at_lips], skin[at_lips], lips[at_lips], bank[0], generator
        )
        images[anywhere], covers[anywhere] = _draw_over(images[anywhere], skin[anywhere], bank, generator)
        images = torch.cat([images, data["over"][footage].permute(0, 3, 1, 2).float()])
        covers = torch.cat([covers, data["cover"][footage][:, None].float() / 255])
        near = _near_lips(torch.cat([lips, data["over_lips"][footage]]))
        small, cells, weights = _to_input(images, covers, near, generator)
        yield _degrade(small, generator).clamp(0, 255).round().permute(0, 2, 3, 1), cells, weights


def _loss(network: OcclusionNetwork, crops: Tensor, cells: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of cells, of which those at the lips count more."""
    with torch.autocast("cpu", dtype=torch.bfloat16):  # half the time on processors that have it
        logits = network(crops)
    return functional.binary_cross_entropy_with_logits(logits.float(), cells, weights) / weights.mean()


def train(
    sources: list[Path],
    destination: Path,
    *,
    minutes: float,
    threads: int,
    start: Path | None,
    rate: float,
    seed: int,
) -> None:
    """Train on crops, and write the network as ONNX, and as .pt so that training can be continued."""
    torch.set_num_threads(threads)
    parts = [np.load(source) for source in sources]
    who = np.concatenate([p["who"] for p in parts])
    data = {
        key: torch.from_numpy(np.concatenate([p[key] for p in parts]))
        for key in ("image", "lips", "skin", "over", "over_lips", "cover")
    }
    out = _held_out(who)
    print(f"{len(who)} crops of {len(set(who))} names, {int(out.sum())} held out", flush=True)
    indices, apart = torch.from_numpy(np.flatnonzero(~out)), torch.from_numpy(np.flatnonzero(out))
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    bank = variants(VARIANTS, seed=seed + 1)
    network = OcclusionNetwork()
    if start is not None:
        network.load_state_dict(torch.load(start, weights_only=True))
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-4)
    stream, began, step, mean = batches(data, bank, indices, BATCH, generator), time.monotonic(), 0, 0.0
    while (done := (time.monotonic() - began) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 100) * (0.01 + 0.99 * (0.5 + 0.5 * np.cos(np.pi * done)))
        loss = _loss(network, *next(stream))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step, mean = step + 1, 0.98 * mean + 0.02 * float(loss.detach())
        if step % 200 == 0:
            print(step, f"{time.monotonic() - began:.0f} s, loss {mean / (1 - 0.98**step):.4f}", flush=True)
            export(network, destination)
            torch.save(network.state_dict(), destination.with_suffix(".pt"))
    network.eval()
    with torch.no_grad():
        checks = batches(data, variants(300, seed=2), apart, 300, torch.Generator().manual_seed(2))
        losses = []
        for _ in range(10):
            losses.append(float(_loss(network, *next(checks))))
    print(f"held out: loss {np.mean(losses):.4f}, {step} steps")
    export(network, destination)
    torch.save(network.state_dict(), destination.with_suffix(".pt"))


def export(network: OcclusionNetwork, destination: Path) -> None:
    """Write the network as ONNX: uint8 `crops` (N, 64, 64, 3) to `covered` (N, 16, 16), 0 to 1."""

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, crops: Tensor) -> Tensor:
            return torch.sigmoid(self.network(crops.float()))

    was = network.training
    torch.onnx.export(
        Whole().eval(), (torch.zeros(2, SIDE, SIDE, 3, dtype=torch.uint8),), destination,
        input_names=["crops"], output_names=["covered"],
        dynamic_axes={"crops": {0: "N"}, "covered": {0: "N"}},
        dynamo=False, opset_version=17,
    )  # fmt: skip
    network.train(was)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    cut = commands.add_parser("crops")
    cut.add_argument("folders", nargs="+", type=Path)
    cut.add_argument("-o", "--output", required=True, type=Path)
    cut.add_argument(
        "--person", default=".*", help="regular expression: the part of a file's name that tells people apart"
    )
    cut.add_argument("--step", type=int, default=STEP)
    cut.add_argument("--limit", type=float, default=3600, help="seconds")
    fit = commands.add_parser("train")
    fit.add_argument("crops", nargs="+", type=Path)
    fit.add_argument("-o", "--output", required=True, type=Path)
    fit.add_argument("--minutes", type=float, default=20)
    fit.add_argument("--threads", type=int, default=1)
    fit.add_argument("--start", type=Path, help="a .pt file that training goes on from")
    fit.add_argument("--rate", type=float, default=2e-3, help="learning rate after the first 100 steps")
    fit.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.command == "crops":
        crops(
            arguments.folders,
            arguments.output,
            person=arguments.person,
            step=arguments.step,
            limit=arguments.limit,
        )
    else:
        train(
            arguments.crops, arguments.output, minutes=arguments.minutes, threads=arguments.threads,
            start=arguments.start, rate=arguments.rate, seed=arguments.seed,
        )  # fmt: skip


if __name__ == "__main__":
    main()
