"""The twin of micro_expression.py on built-in clips: no data needed, all phases exactly known.

    ferjax reproduce --config experiments/breuer2017/micro_facsynth.py --workdir runs/micro_facsynth

The recordings are neutral before and after, so spotting is scored too. See docs/micro_expression.md.
"""

from ferjax import config
from ferjax.micro import settings


def get_config():
    """The study."""
    c = settings.default()
    c.name = "Micro-expressions of built-in faces, leave one subject out"
    c.inputs = "difference"
    c.seeds = 3
    c.clip.near, c.clip.step = 2, 3
    source = config.default()
    with source.unlocked():
        source.data.name = "facsynth_clips"
        source.data.options.n_subjects, source.data.options.clips_per_subject = 10, 12
        source.data.options.lead = 40  # neutral frames before and after, 0.2 s, and up to three times that
    settings.add_set(c, "facsynth_clips", source, "built-in clips")
    return c
