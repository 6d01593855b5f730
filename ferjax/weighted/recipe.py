"""Trainings of AlexNet that the experiments of Mavani, Raman & Miyapuram 2017 share."""

from ml_collections import ConfigDict

from ferjax import config
from ferjax.weighted import study

SIDE = 224  # pixels, as torchvision's AlexNet has them
PAPER = "Mavani, Raman & Miyapuram 2017, abstract"


def alexnet(epochs: int, batch_size: int = 32) -> ConfigDict:
    """Fine-tuning after Caffe's fashion: SGD with momentum, a new last layer ten times as fast, steps down.

    Two things are not Caffe's: the momentum is Nesterov's, and gradients are clipped.

    The rates are those for pretrained weights (`transfer.take` names all layers but the last); faces are cut
    out a little larger than the network's input, and a square of that is cut at random, mirrored half of
    the time.
    """
    c = config.default()
    c.model.name = "alexnet"
    c.model.normalise = "imagenet"
    c.data.image_size, c.augment.crop = SIDE + 16, SIDE
    c.augment.flip = True
    c.input.batch_size = batch_size
    c.train.epochs = epochs
    c.train.select_by = "loss"  # few subjects: accuracy moves in large steps
    c.train.select_every = 3  # weights are half a gigabyte, and an epoch a few steps
    c.optimizer.name = "sgd"
    c.optimizer.momentum = 0.9
    c.optimizer.weight_decay = 5e-4
    c.optimizer.clip_norm = 5.0
    c.optimizer.learning_rate = 0.01
    c.transfer.take = "block*,dense*"
    c.transfer.rates = "block*=0.1,dense*=0.1"
    c.schedule.name = "step"
    c.schedule.step_epochs, c.schedule.factor = epochs / 2, 0.1
    c.evaluate.batch_size = 128
    return c


def from_nothing(epochs: int, batch_size: int = 128, rate: float = 3e-4) -> ConfigDict:
    """Training AlexNet from random weights, for those who have no published ones."""
    c = config.recipe(batch_size, epochs, rate)
    c.model.name = "alexnet"
    c.model.normalise = "imagenet"
    c.data.image_size, c.augment.crop = SIDE + 16, SIDE
    c.augment.contrast = 0.2
    c.train.select_every = 3
    c.evaluate.batch_size = 128
    return c


def one_set(name: str, title: str, paper: float, human: str, epochs: int = 20) -> ConfigDict:
    """A study of one set without maps: people left out, in ten folds.

    Args:
      name: of the set.
      title: as the tables call it.
      paper: the figure of PAPER, percent.
      human: a CSV of human confusions.
      epochs: of fine-tuning.
    """
    c = study.default()
    c.name = f"Mavani et al. 2017: {title}"
    c.inputs, c.folds = "none", 10
    c.map = "contempt="  # seven classes
    c.pretrain.source = drawn_faces(people=300, pictures=40, epochs=12)
    source = alexnet(epochs)
    source.data.name, source.data.options.colour = name, True  # as ImageNet's pictures, and the paper's
    study.add_set(c, name, source, title)
    c.human, c.paper_says = human, PAPER
    c.paper[f"none/{name}/{name}"] = paper
    return c


def across_sets(epochs: int) -> ConfigDict:
    """A study of RaFD, CFEE and the built-in faces, each also tested on the others; two seeds."""
    c = study.default()
    c.folds, c.seeds = 5, 2
    c.map = "contempt="  # RaFD has it, CFEE does not
    c.pretrain.source = drawn_faces(people=300, pictures=40, epochs=12)
    for name, title in (("rafd", "RaFD"), ("cfee", "CFEE")):
        source = alexnet(epochs)
        source.data.name = name
        study.add_set(c, name, source, title)
    source = alexnet(epochs // 2)
    source.data.name = "facsynth"
    source.data.options.n_subjects, source.data.options.images_per_subject = 60, 30
    study.add_set(c, "facsynth", source, "built-in faces", in_folds=False)
    return c


def drawn_faces(people: int, pictures: int, epochs: int, seed: int = 1000) -> ConfigDict:
    """Pretraining on built-in faces, of other people than any set of the study has."""
    c = from_nothing(epochs)
    c.name = "AlexNet on built-in faces"
    c.data.name = "facsynth"
    c.data.options.n_subjects, c.data.options.images_per_subject, c.data.options.seed = people, pictures, seed
    return c
