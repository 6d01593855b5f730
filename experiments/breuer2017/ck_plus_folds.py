"""Eight emotions of CK+ in ten folds of its subjects, every subject reported once.

    ferjax reproduce --config experiments/breuer2017/ck_plus_folds.py --workdir runs/ck_folds \
        --dir ck_plus=/path/to/CK+

The recipe is that of filters.py. Many published figures on CK+ are of folds that share subjects; honest ones
are about 94 to 96 percent.
"""

import pathlib

from ferjax import config, kfold


def get_config():
    """The study."""
    c = kfold.default()
    c.name = "CK+, ten folds of subjects"
    c.folds = 10
    source = config.read_file(pathlib.Path(__file__).with_name("filters.py"))
    c.sets.ck_plus = {"source": source}
    return c
