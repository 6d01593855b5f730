"""What happens in each clip, and when: units, course, blink, drift. No picture is drawn.

A clip is a function of (seed, subject, clip) alone. Axis letters: t frames of a clip, u action units.

Which units go with which class follows the criteria by which CASME II was labelled (Yan et al. 2014,
"CASME II: an improved spontaneous micro-expression database"): disgust shows 9, 10 or 4 with 7; happiness 12,
with or without 6; surprise 1 with 2, or 2 alone; repression 15 or 17; what fits nothing, such as 4, 7 or 14
by themselves, is others. Our additions: lips part (25) in happiness and surprise, and are pressed (24) with
17 in repression. In CASME II itself 4 with 7 is often others too; here no set of units belongs to two
classes, so that a wrong class is the method's fault.
"""

from typing import NamedTuple

import numpy as np

from data_pipelines import labels
from data_pipelines.facsynth import expressions
from data_pipelines.facsynth.muscles import AU_NUMBERS

FPS = 200  # frames a second, as CASME II


class Way(NamedTuple):
    """One way to show a class."""

    emotion: str
    core: tuple[int, ...]  # units that are there
    maybe: tuple[int, ...] = ()  # present in two fifths
    share: float = 1.0  # weight among the class's ways


WAYS = (
    Way("disgust", (4, 7), (10,), share=1.5),
    Way("disgust", (9,), (4, 7)),
    Way("disgust", (10,), (4,)),
    Way("happiness", (12,), (6,), share=2.0),
    Way("happiness", (12, 25), (6,)),
    Way("others", (4,), share=2.0),
    Way("others", (14,), share=1.5),
    Way("others", (7,), share=0.5),
    Way("others", (4, 14), share=0.5),
    Way("repression", (15,), (17,), share=1.5),
    Way("repression", (17,)),
    Way("repression", (17, 24)),
    Way("surprise", (1, 2), (5,), share=1.5),
    Way("surprise", (1, 2, 25), (5,)),
    Way("surprise", (2,), (25,), share=0.5),
)
CLASSES = tuple(name for name in labels.CLASSES if any(way.emotion == name for way in WAYS))

SHORTEST, LONGEST = 40, 90  # frames from onset to offset, both counted
FIRST = (30, 250)  # number of a clip's first frame in the recording it is thought to be cut from
APEX = (0.3, 0.6)  # place of the apex between onset and offset
REST = 0.25  # at most this share of the strength is left at the offset
ONE_SIDED = 1 / 6  # clips whose two-sided units are on one side alone
BLINK = (20, 36)  # frames a blink takes, 0.1 to 0.18 s, of which a third to close
SWAY = (0.3, 1.0)  # Hz, of the drift
_SHUT = AU_NUMBERS.index(43)


class Clip(NamedTuple):
    """One clip. Frames go by their numbers in the recording."""

    subject: int
    clip: int
    label: int  # index into CLASSES
    peak: np.ndarray  # float32 [u, 2] intensities at the apex, (left, right) of the person
    rest: float  # share of the peak at the offset
    first: int
    onset: int
    apex: int
    offset: int
    last: int
    blink: tuple[int, int, int, float] | None  # frames where it begins, is deepest, ends; how far eyes shut
    sway: np.ndarray  # float64 [3, 3]: amplitude for a top speed of 1 a second, Hz, phase; of x, y and roll

    @property
    def name(self) -> str:
        """Such as "s003/c02"."""
        return f"s{self.subject:03d}/c{self.clip:02d}"

    @property
    def numbers(self) -> np.ndarray:
        """int [t] frame numbers."""
        return np.arange(self.first, self.last + 1)


def write(
    seed: int, subject: int, clip: int, lead: int, weakest: float, strongest: float, blinks: float
) -> Clip:
    """Draws what happens in one clip.

    Args:
      seed, subject, clip: from 0; clips of a subject go through the classes in turn.
      lead: the fewest frames before the onset, and after the offset; up to three times as many, drawn for
        each.
      weakest, strongest: bounds of a unit's intensity at the apex, on its stronger side.
      blinks: share of the clips that hold one.
    """
    lots = np.random.default_rng([seed, subject, clip])
    label = (3 * subject + clip) % len(CLASSES)
    peak = _peak(lots, CLASSES[label], weakest, strongest)
    length = SHORTEST + int((LONGEST - SHORTEST + 1) * lots.random() ** 1.5)  # 60 on average
    first = int(lots.integers(FIRST[0], FIRST[1] + 1))
    spare = np.random.default_rng([seed, subject, clip, 1]).integers(lead, 3 * lead + 1, 2)
    before, after = (int(n) for n in spare)  # so that no guess knows where an expression must lie
    onset = first + before
    apex = onset + round(lots.uniform(*APEX) * (length - 1))
    rest, angle = lots.uniform(0.0, REST), lots.uniform(0.0, 2 * np.pi)
    rate, phase = lots.uniform(*SWAY, 3), lots.uniform(0.0, 2 * np.pi, 3)
    rate[1], phase[1] = rate[0], phase[0]  # x and y: to and fro along one line
    top = np.array([np.cos(angle), np.sin(angle), 1.0])
    blink = None
    if lots.random() < blinks:
        takes = int(lots.integers(BLINK[0], BLINK[1] + 1))
        begin = first + int(lots.integers(0, length + before + after - takes))
        blink = (begin, begin + takes // 3, begin + takes, lots.uniform(0.6, 1.0))
    sway = np.stack([top / (2 * np.pi * rate), rate, phase])
    offset = onset + length - 1
    return Clip(subject, clip, label, peak, rest, first, onset, apex, offset, offset + after, blink, sway)


def _peak(lots: np.random.Generator, emotion: str, weakest: float, strongest: float) -> np.ndarray:
    """Intensities at the apex, float32 [u, 2]."""
    ways = [way for way in WAYS if way.emotion == emotion]
    share = np.array([way.share for way in ways])
    way = ways[int(lots.choice(len(ways), p=share / share.sum()))]
    present = np.zeros(len(AU_NUMBERS), bool)
    present[[AU_NUMBERS.index(n) for n in way.core]] = True
    for n in way.maybe:
        present[AU_NUMBERS.index(n)] = lots.random() < expressions.MAYBE
    strength = lots.uniform(weakest, strongest)
    own = np.clip(strength * lots.uniform(0.8, 1.25, present.shape), weakest, strongest) * present
    sides = np.ones((len(present), 2))
    sides[np.arange(len(present)), lots.integers(0, 2, len(present))] = lots.uniform(0.85, 1.0, len(present))
    if lots.random() < ONE_SIDED:
        sides[expressions.TWO_SIDED] = np.eye(2)[lots.integers(0, 2)]
    return (own[:, None] * sides).astype(np.float32)


def intensities(clip: Clip) -> np.ndarray:
    """float32 [t, u, 2]: how strong every unit is in every frame of a clip, a blink (AU43) among them.

    From the onset, where all is 0, to the apex and on to the rest at the offset without a jerk; what is left
    then fades until the last frame.
    """
    t = clip.last - clip.first + 1
    frames = -(-t // 128) * 128  # a few sizes: JAX compiles each once

    def course(a: int, b: int, c: int, **how: float) -> np.ndarray:
        times = (float(number - clip.first) for number in (a, b, c))
        return np.asarray(expressions.au_curve(*times, frames, 1.0, **how))[:t]

    shown = course(clip.onset, clip.apex, clip.offset, rest=clip.rest)
    if clip.last > clip.offset:
        shown = shown - course(clip.offset, clip.last, clip.last + 1, peak=clip.rest, rest=clip.rest)
    out = np.maximum(shown, 0.0)[:, None, None] * clip.peak
    if clip.blink:
        *when, shut = clip.blink
        out[:, _SHUT] = course(*when, peak=shut)[:, None]
    return out


def drift(clip: Clip, speed: float) -> np.ndarray:
    """How far the head is from where it is at the onset, float32 [t, 3]: x, y in sides, radians.

    Slow sines along a line and about its end: after s seconds the head is at most speed * s away.

    Args:
      clip: t frames.
      speed: at most so many sides of the picture, and as many radians, a second.
    """
    size, rate, phase = clip.sway
    t = (clip.numbers - clip.onset)[:, None] / FPS
    return (speed * size * (np.sin(2 * np.pi * rate * t + phase) - np.sin(phase))).astype(np.float32)
