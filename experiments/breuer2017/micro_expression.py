"""Micro-expressions on CASME II: a CNN on single frames, an LSTM on its features, leave one subject out.

Paper: Breuer & Kimmel 2017, section on micro-expressions; 59.47 % on five classes, as commonly quoted. Here
  the frame
network of a fold never sees the subject held out, the number of epochs is fixed in advance, and heads without
time, LBP-TOP with a linear SVM and the commonest class stand beside the LSTM in the same folds.

    ferjax reproduce --config experiments/breuer2017/micro_expression.py --workdir runs/micro --dir
    casme2=FOLDER

Frames go in as the paper has them, grey, and as differences to the onset frame. Faces are found in each
clip's first frame, and one transform serves all of the clip.

Warm start of the frame networks: --config.frames.transfer.workdir=RUN (of a training on grey 48x48 faces).
CASME II's sadness and fear, with 9 clips together, are left out (--config.sets.casme2.source.data.map= keeps
them).

See docs/micro_expression.md for what was measured, and how long it takes.
"""

from ferjax import config
from ferjax.micro import settings


def get_config():
    """The study."""
    c = settings.default()
    c.name = "Breuer & Kimmel 2017: micro-expressions, leave one subject out"
    c.inputs = "grey,difference"
    c.clip.near, c.clip.step = (
        2,
        3,
    )  # five frames about the apex train the frame network; the paper has the apex
    source = config.default()
    with source.unlocked():
        source.data.name = "casme2"
        source.data.map = "casme2_5"
        source.data.options.crop = "detect"
    settings.add_set(c, "casme2", source, "CASME II")
    return c
