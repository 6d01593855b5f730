"""Mavani, Raman & Miyapuram 2017, generalisation: AlexNet trained on one set of faces, tested on the other.

    ferjax reproduce --config experiments/mavani2017/cross_dataset.py --workdir runs/mavani_cross \
        --dir rafd=/path/to/RaFD --dir cfee=/path/to/CFEE --config.pretrained=alexnet-owt-7be5be79.pth

A set that is not named leaves a gap; the built-in faces are always there. The paper's abstract gives no
figure of this without saliency; saliency.py has the one with.
"""

from ferjax.weighted import recipe, study


def get_config():
    """The study."""
    c = study.default()
    c.name = "Mavani et al. 2017: across data sets"
    c.inputs, c.folds, c.seeds = "none", 5, 2
    c.map = "contempt="
    c.pretrain.source = recipe.drawn_faces(people=300, pictures=40, epochs=12)
    for name, title in (("rafd", "RaFD"), ("cfee", "CFEE")):
        source = recipe.alexnet(epochs=20)
        source.data.name = name
        study.add_set(c, name, source, title)
    source = recipe.alexnet(epochs=8)
    source.data.name = "facsynth"
    source.data.options.n_subjects, source.data.options.images_per_subject = 60, 30
    study.add_set(c, "facsynth", source, "built-in faces", in_folds=False)
    return c
