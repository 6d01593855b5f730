"""Contact sheets of facsynth: `python -m data_pipelines.facsynth.sheet --out docs/img`."""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data_pipelines import BadInput
from data_pipelines.facsynth import expressions
from data_pipelines.facsynth.generate import generate
from data_pipelines.facsynth.identity import neutral_pose, plain_light, sample_identity
from data_pipelines.facsynth.muscles import AU_NAMES
from data_pipelines.facsynth.render import au_evidence, au_vector, render_batch, render_sequence

PEOPLE = (29, 27, 12, 7, 25, 16)
"""Seeds of the people shown."""
HEADER = 18  # pixels


def _repeat(tree, n: int):
    return jax.tree.map(lambda v: jnp.repeat(jnp.asarray(v)[None], n, 0), tree)


def faces(person: int, aus: list, size: int) -> np.ndarray:
    """One person frontally in plain light, [n, size, size] in [0, 1], one picture for each of the `aus`."""
    n = len(aus)
    who = sample_identity(jax.random.key(person))
    args = (_repeat(who, n), jnp.stack(aus), _repeat(neutral_pose(), n), _repeat(plain_light(), n))
    return np.asarray(render_batch(*args, None, size))[..., 0]


def sheet(rows: list[np.ndarray], columns: list[str], names: list[str] | None = None) -> Image.Image:
    """Rows of pictures [n, s, s] in [0, 1] under headers; `names` go to the left of the rows."""
    size = rows[0].shape[-1]
    margin = 74 if names else 0
    picture = Image.new("L", (margin + size * len(columns), HEADER + size * len(rows)), 255)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(12)
    for k, text in enumerate(columns):
        pen.text((margin + k * size + size / 2, HEADER / 2), text, 0, font, "mm")
    for r, row in enumerate(rows):
        if names:
            pen.text((margin - 6, HEADER + r * size + size / 2), names[r], 0, font, "rm")
        for k, face in enumerate(row):
            tile = Image.fromarray(np.round(face * 255.0).astype(np.uint8))
            picture.paste(tile, (margin + k * size, HEADER + r * size))
    return picture


def units_sheet(size: int = 104) -> Image.Image:
    """People by action units at intensity 1, in two halves."""
    columns = ["neutral", *AU_NAMES]
    half = len(columns) // 2
    aus = [au_vector(), *(au_vector(**{name: 1.0}) for name in AU_NAMES)]
    rows = [faces(person, aus, size) for person in PEOPLE[:5]]
    upper = sheet([row[:half] for row in rows], columns[:half])
    lower = sheet([row[half:] for row in rows], columns[half:])
    both = Image.new("L", (upper.width, upper.height + lower.height), 255)
    both.paste(upper, (0, 0))
    both.paste(lower, (0, upper.height))
    return both


def emotions_sheet(size: int = 112) -> Image.Image:
    """People by emotions, another variant of each prototype in every row."""
    rows = []
    for r, person in enumerate(PEOPLE):
        ways = [sum(v.emotion == name for v in expressions.VARIANTS) for name in expressions.CLASSES]
        aus = [
            expressions.prototype(name, r % w, 0.8) for name, w in zip(expressions.CLASSES, ways, strict=True)
        ]
        rows.append(faces(person, aus, size))
    return sheet(rows, list(expressions.CLASSES))


def intensity_sheet(size: int = 104) -> Image.Image:
    """Action units from absent to E, one a row."""
    names = [n for n in AU_NAMES if n not in ("AU25", "AU43")]
    levels = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    rows = [faces(PEOPLE[k % 5], [au_vector(**{n: v}) for v in levels], size) for k, n in enumerate(names)]
    columns = ["absent", *"ABCDE"]
    half = (len(rows) + 1) // 2
    left, right = sheet(rows[:half], columns, names[:half]), sheet(rows[half:], columns, names[half:])
    both = Image.new("L", (left.width + right.width, left.height), 255)
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    return both


def sequence_sheet(size: int = 104, shown: int = 10) -> Image.Image:
    """One-sided units, then courses in time, then where the evidence lies."""
    sided = [n for n, both in zip(AU_NAMES, expressions.TWO_SIDED, strict=True) if both and n != "AU05"]
    left = faces(PEOPLE[0], [au_vector(left={n: 1.0}) for n in sided[:shown]], size)
    right = faces(PEOPLE[0], [au_vector(right={n: 1.0}) for n in sided[:shown]], size)
    upper = sheet([left, right], sided[:shown], ["left", "right"])
    curve = expressions.au_curve(0.05, 0.35, 0.9, shown, 10.0, hold=0.1)
    strips = []
    for person, emotion, variant in ((PEOPLE[1], "surprise", 1), (PEOPLE[4], "happiness", 1)):
        who = sample_identity(jax.random.key(person))
        aus = expressions.prototype(emotion, variant)
        strip = render_sequence(who, aus, curve, neutral_pose(), plain_light(), None, size)
        strips.append(np.asarray(strip)[..., 0])
    middle = sheet(strips, [f"{100 * k} ms" for k in range(shown)], ["surprise", "happiness"])
    names = ["AU01", "AU02", "AU04", "AU06", "AU07", "AU09", "AU12", "AU15", "AU17", "AU26"]
    who = _repeat(sample_identity(jax.random.key(PEOPLE[0])), shown)
    scene = (_repeat(neutral_pose(), shown), _repeat(plain_light(), shown), None)
    maps = au_evidence(who, jnp.stack([au_vector(**{n: 1.0}) for n in names]), *scene, size)
    maps = np.asarray(maps / maps.max((1, 2), keepdims=True))
    lower = sheet([maps], names, ["evidence"])
    both = Image.new("L", (upper.width, upper.height + middle.height + lower.height), 255)
    both.paste(upper, (0, 0))
    both.paste(middle, (0, upper.height))
    both.paste(lower, (0, upper.height + middle.height))
    return both


def set_sheet(people: int = 8, images: int = 16) -> Image.Image:
    """What a network sees: 48x48 pictures of the set, a person a row, the emotions in order, twice
    enlarged."""
    drawn = generate(max(people * 2, 5), images)["train"]
    columns = [expressions.CLASSES[k] for k in drawn["label"][:images]]
    rows = drawn["image"][: people * images, ..., 0].reshape(people, images, 48, 48)
    rows = rows.repeat(2, -1).repeat(2, -2) / 255.0
    return sheet(list(rows), columns)


SHEETS = {
    "units": units_sheet,
    "emotions": emotions_sheet,
    "intensity": intensity_sheet,
    "sequence": sequence_sheet,
    "set": set_sheet,
}


def main() -> None:
    """Writes facsynth_<name>.png for each sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for facsynth_*.png")
    args = parser.parse_args()
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        for name, make in SHEETS.items():
            make().save(args.out / f"facsynth_{name}.png", optimize=True)
    except OSError as error:
        raise BadInput(f"{args.out}: cannot write there ({error.strerror})") from None


if __name__ == "__main__":
    main()
