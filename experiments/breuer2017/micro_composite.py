"""The composite of CASME II, SMIC and SAMM in three classes (See et al. 2019, MEGC), leave one subject out.

    ferjax reproduce --config experiments/breuer2017/micro_composite.py --workdir runs/composite \\
        --dir casme2=D1 --dir smic=D2 --dir samm=D3

Negative (disgust, repression, anger, contempt, fear, sadness), positive (happiness) and surprise; others are
left out. A set that is not on disk leaves a gap, and the rest is done. Subjects keep their set's name.
Predictions of all folds are pooled before UF1 and UAR are taken.
"""

from ferjax import config
from ferjax.micro import settings

TITLES = {"casme2": "CASME II", "smic": "SMIC-HS", "samm": "SAMM"}


def get_config():
    """The study."""
    c = settings.default()
    c.name = "Composite of CASME II, SMIC and SAMM, leave one subject out"
    c.inputs = "difference"
    c.clip.near, c.clip.step = 2, 3
    for name, title in TITLES.items():
        source = config.default()
        with source.unlocked():
            source.data.name = name
            source.data.map = "composite_3"
            source.data.options.crop = "detect"
        settings.add_set(c, name, source, title)
    return c
