"""Make the bundled anchor grid-s1, from the footage of speaker 1 of the GRID corpus.

    python tools/make_trained_anchor.py --footage FOLDER:NAMES.txt --work FOLDER \
        --out src/newscaster/data/grid-s1.anchor

Its stage is painted, so that no frame of the footage is in it. ``--work`` keeps everything on the way:
stopped or killed, the same command goes on from there. Where PyTorch has a GPU, fewer minutes do.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from train_base_motion import footage

from newscaster import pipelines

NAME = "GRID speaker 1"
CONSENT = (
    "The speakers of the GRID corpus were recorded for research, and their recordings published under "
    "CC BY 4.0. For demonstrations of newscaster; every frame is synthesised."
)
ATTRIBUTION = (
    "Trained on speaker 1 of the GRID audiovisual sentence corpus: M. Cooke, J. Barker, S. Cunningham, "
    "X. Shao (2006), doi 10.5281/zenodo.3625687, CC BY 4.0. Every frame is synthesised."
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--footage", required=True, metavar="FOLDER[:NAMES.txt]")
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--minutes", type=float, default=15.0, help="for the renderer of mouths")
    parser.add_argument("--target-minutes", type=float, default=50.0, help="for the full-frame network")
    given = parser.parse_args()
    told: set[str] = set()

    def tell(phase: str, done: float, total: float) -> None:
        if phase not in told:
            told.add(phase)
            print(phase, "...", flush=True)

    pipelines.train(
        footage(given.footage),
        given.out,
        consent=CONSENT,
        name=NAME,
        minutes=given.minutes,
        target=pipelines.SYNTHETIC,
        target_minutes=given.target_minutes,
        work=given.work,
        attribution=(ATTRIBUTION,),
        reuse_encoder=True,
        progress=tell,
    )
    print(f"{given.out}: {given.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
