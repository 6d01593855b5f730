"""A film strip of facsynth_clips: `python -m data_pipelines.facsynth_clips.sheet --out docs/img`."""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from data_pipelines import BadInput
from data_pipelines.facsynth.muscles import AU_NUMBERS
from data_pipelines.facsynth.sheet import HEADER, sheet
from data_pipelines.facsynth_clips import OPTIONS, generate, script, scripts

SHOWN = ((5, 5), (2, 5), (0, 2), (7, 2), (4, 2))
"""Subject and clip of each row."""
CONTRAST = 3.0
"""Of the difference beside the strip."""
GAP = 12  # pixels between the two


def units(clip: script.Clip) -> str:
    """The units of a clip as a coding sheet has them: "4+7", one side "L14"."""
    told = []
    for number, (left, right) in zip(AU_NUMBERS, clip.peak.tolist(), strict=True):
        if left or right:
            told.append(f"{'' if left and right else 'L' if left else 'R'}{number}")
    return "+".join(told)


def places(clip: script.Clip, frames: int) -> tuple[np.ndarray, int]:
    """(int [frames]: evenly from onset to offset, but the apex for the nearest of them; which that is)."""
    apex = clip.apex - clip.onset
    at = np.rint(np.linspace(0, clip.offset - clip.onset, frames)).astype(int)
    nearest = int(np.abs(at - apex).argmin())
    at[nearest] = apex
    return at, nearest


def strips(size: int = 96, frames: int = 8) -> Image.Image:
    """A clip of each class from onset to offset, with a bar under the apex; beside it apex minus onset.

    The difference is without drift and noise, and enlarged.
    """
    written = {(c.subject, c.clip): c for c in scripts()}
    clips = [written[key] for key in SHOWN]
    rows, changes, names, marked = [], [], [], []
    for clip in clips:
        at, nearest = places(clip, frames)
        moving = generate.draw([clip], OPTIONS["seed"], size, OPTIONS["drift"], OPTIONS["noise"])
        still = generate.draw([clip], OPTIONS["seed"], size)[..., 0] / 255.0
        rows.append(moving[at, ..., 0] / 255.0)
        changes.append(np.clip(0.5 + CONTRAST * (still[at[nearest]] - still[0]), 0.0, 1.0)[None])
        names.append(f"{script.CLASSES[clip.label]}\n{units(clip)}")
        marked.append(nearest)
    left = sheet(rows, ["onset", *([""] * (frames - 2)), "offset"], names)
    right = sheet(changes, [f"(apex - onset) x {CONTRAST:g}"])
    both = Image.new("L", (left.width + GAP + right.width, left.height), 255)
    both.paste(left, (0, 0))
    both.paste(right, (left.width + GAP, 0))
    pen = ImageDraw.Draw(both)
    for r, k in enumerate(marked):
        x, y = left.width - size * (frames - k), HEADER + size * (r + 1)
        pen.rectangle((x + 2, y - 5, x + size - 3, y - 2), 255, 0)
    return both


def main() -> None:
    """Writes facsynth_clips.png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for facsynth_clips.png")
    args = parser.parse_args()
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        strips().save(args.out / "facsynth_clips.png", optimize=True)
    except OSError as error:
        raise BadInput(f"{args.out}: cannot write there ({error.strerror})") from None


if __name__ == "__main__":
    main()
