"""How long a job will take on this machine: measured for a few seconds before it starts."""

import time

import jax
import numpy as np
from ml_collections import ConfigDict

from data_pipelines import input
from data_pipelines.split import Split
from ferjax import evaluate, models, tasks, train
from ferjax.parallel import Devices

STEPS = 3  # timed, after one that compiles
START = 15.0  # seconds a training needs beside its steps: reading, compiling, writing


def speeds(c: ConfigDict, split: Split) -> dict[str, float]:
    """Images a second of this config's training step and of inference, and seconds to compile both.

    Args:
      c: a training's config.
      split: of the pictures' size; the first rows are used.
    """
    batch = c.input.batch_size
    devices = Devices(c.parallel.mode, batch, c.parallel.devices)
    task = tasks.of(c, split)
    model = models.build(c.model, len(task.names))
    begun = time.monotonic()
    state = devices.init(lambda: train.init_state(c, model, split.image.shape[1:]))
    step = devices.compile(train.make_train_step(c, model, 100, task, task.weights(split)), donate=True)
    forward = evaluate.Predictor(c, model, devices, views=1).forward
    resident = devices.put(input.resident(split))
    ids = {"id": np.arange(batch, dtype=np.int32) % len(split), "mask": np.ones(batch, bool)}

    def trained():
        nonlocal state
        state, _ = step(state, ids, resident)
        jax.block_until_ready(state)

    def told():
        forward(state.params, ids, resident)

    trained(), told()
    compiled = time.monotonic() - begun
    return {"train": batch / _seconds(trained), "infer": batch / _seconds(told), "compile": compiled}


def _seconds(run) -> float:
    """Median seconds of a call."""
    times = []
    for _ in range(STEPS):
        begun = time.monotonic()
        run()
        times.append(time.monotonic() - begun)
    return float(np.median(times))


def training(c: ConfigDict, parts, speed: dict[str, float]) -> float:
    """Seconds of a training: its epochs, with the selecting part after each, start and compilation."""
    each = len(parts.train) / speed["train"] + len(parts.select) / speed["infer"]
    return c.train.epochs * each + START + speed["compile"]
