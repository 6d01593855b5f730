"""facsynth_clips: micro-expressions of people who do not exist, 200 frames a second, with exact truth.

The names below are what `data_pipelines.arrays` and `data_pipelines.clips` ask of a set's folder. What
happens in a clip is in `script`, its pictures are drawn in `generate`; docs/facsynth.md describes the set.
"""

from collections.abc import Mapping

import numpy as np

from data_pipelines import BadInput, clips, divide, facsynth, filled, labels
from data_pipelines.facsynth.expressions import au_codes
from data_pipelines.facsynth.muscles import AU_NAMES
from data_pipelines.facsynth_clips import generate, script
from data_pipelines.facsynth_clips.script import CLASSES, FPS
from data_pipelines.split import Split

__all__ = ["AU_NAMES", "CLASSES", "FPS", "OPTIONS", "arrays", "checked", "parts", "phases", "truth"]

BUILT_ON = (facsynth,)
OPTIONS = {
    "n_subjects": 16,
    "clips_per_subject": 8,
    "image_size": 48,  # pixels; the renderer draws at this size
    "seed": 0,
    "lead": 0,  # least neutral frames before onset and after offset, up to 3 times that; 0: none
    "weakest": 0.12,  # intensity of a unit at the apex, at least
    "strongest": 0.37,  # and at most; a fifth each is a FACS intensity, so these are A and B
    "drift": 0.03,  # sides of the picture a second that the head moves at most, and as many radians it rolls
    "noise": 2.0,  # standard deviation of the sensor's noise, grey levels of 255
    "blinks": 0.11,  # share of the clips with a blink, which the label does not tell
}

_WHOLE = {"n_subjects": (3, 99_999), "clips_per_subject": (1, 9_999), "image_size": (16, 1024)}
_WHOLE |= {"seed": (0, 2**32 - 1), "lead": (0, 10_000)}
_REAL = {"weakest": (0.01, 1), "strongest": (0.01, 1), "drift": (0, 1), "noise": (0, 64), "blinks": (0, 1)}


def checked(options: Mapping | None) -> dict:
    """OPTIONS with the given ones filled in.

    Raises:
      BadInput: an unknown option, or a value that makes no sense.
    """
    options = filled("facsynth_clips", options, OPTIONS)
    for bounds, kind, words in (
        (_WHOLE, int | np.integer, "a whole number"),
        (_REAL, int | float | np.integer | np.floating, "a number"),
    ):
        for name, (least, most) in bounds.items():
            value = options[name]
            if not isinstance(value, kind) or isinstance(value, bool) or not least <= value <= most:
                raise BadInput(f"facsynth_clips: {name} is {value!r}; give {words} from {least} to {most}")
    if options["weakest"] > options["strongest"]:
        raise BadInput(
            f"facsynth_clips: weakest is {options['weakest']} and strongest {options['strongest']}; "
            "give them in this order"
        )
    return options


def scripts(options: Mapping | None = None) -> list[script.Clip]:
    """What happens in each clip, clips of a subject together; cheap."""
    o = checked(options)
    how = {name: o[name] for name in ("lead", "weakest", "strongest", "blinks")}
    people, each = range(int(o["n_subjects"])), range(int(o["clips_per_subject"]))
    return [script.write(int(o["seed"]), s, i, **how) for s in people for i in each]


def subject_name(seed: int, s: int) -> str:
    """Name of a subject, with the seed, so that sets of different seeds can be joined."""
    return f"facsynth_clips-{seed}-{s:03d}"


def arrays(options: Mapping | None = None) -> dict[str, dict[str, np.ndarray]]:
    """Draws the set, without TensorFlow.

    Args:
      options: any of OPTIONS.

    Returns:
      "frames" -> image uint8 [m, size, size, 1]; label int32 [m], the clip's, index into CLASSES; aus int8
      [m, u], 1-5 for A-E at the apex, unknown elsewhere, and AU43 nowhere known, since blinks are not coded;
      subject and id str [m], such as "facsynth_clips-0-003" and "s003/c02/000134". One clip after the other,
      frames in order.

    Raises:
      BadInput: an unknown option, or a value that makes no sense.
    """
    o = checked(options)
    written = scripts(o)
    length = [len(clip.numbers) for clip in written]
    aus = np.full((sum(length), len(AU_NAMES)), labels.AU_UNKNOWN, np.int8)
    apex = np.cumsum([0, *length[:-1]]) + [clip.apex - clip.first for clip in written]
    aus[apex] = au_codes(np.stack([clip.peak for clip in written]))
    aus[:, AU_NAMES.index("AU43")] = labels.AU_UNKNOWN
    people = [subject_name(o["seed"], clip.subject) for clip in written]
    return {
        "frames": {
            "image": generate.draw(written, o["seed"], int(o["image_size"]), o["drift"], o["noise"]),
            "label": np.repeat(np.array([clip.label for clip in written], np.int32), length),
            "aus": aus,
            "subject": np.repeat(np.array(people, np.str_), length),
            "id": _ids(written),
        }
    }


def _ids(written: list[script.Clip]) -> np.ndarray:
    return np.array([f"{clip.name}/{n:06d}" for clip in written for n in clip.numbers.tolist()], np.str_)


def phases(options: Mapping | None = None) -> dict[str, tuple[int, int, int]]:
    """Frame numbers of onset, apex and offset of every clip; draws no picture."""
    return {clip.name: (clip.onset, clip.apex, clip.offset) for clip in scripts(options)}


def truth(options: Mapping | None = None) -> dict[str, np.ndarray]:
    """What moves the face in every frame; draws no picture.

    Returns:
      id: str [m], as in `arrays` and in its order.
      aus: float32 [m, u, 2] intensities 0 to 1, (left, right) of the person, blinks (AU43) among them.
    """
    written = scripts(options)
    return {"id": _ids(written), "aus": np.concatenate([script.intensities(clip) for clip in written])}


def parts(options: Mapping, splits: Mapping[str, Split]) -> tuple[Split, Split, Split, str]:
    """What a network of single frames learns from: apex frames show the emotion, first and last are neutral.

    Subjects are divided by the hash of their names; see `clips.key_frames`, `divide.by_hash`.

    Returns:
      (train, select, test, what selects); classes are CLASSES and neutral.
    """
    key = clips.key_frames(clips.of_frames(splits["frames"], phases(options), FPS))
    of = divide.by_hash(key.subject.tolist())
    sides = [key.take(of == side, f"facsynth_clips/{side}") for side in ("train", "validation", "test")]
    return (*sides, "key frames of a tenth of the subjects, by the hash of their names")
