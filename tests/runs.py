"""A tiny training for the tests: a set in npz files, a config file, and ways to run it."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import orbax.checkpoint as ocp

from data_pipelines import arrays, exported
from data_pipelines.split import Split
from ferjax import checkpoint, config

ROOT = pathlib.Path(__file__).parent.parent
CLASSES = ("anger", "happiness", "neutral")


def tiny_split(n: int, seed: int, name: str = "train", size: int = 16) -> Split:
    """n pictures of a bright square whose corner tells the class."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, n).astype(np.int32)
    image = rng.integers(0, 90, (n, size, size, 1)).astype(np.uint8)
    for i, k in enumerate(label):
        y, x = ((0, 0), (0, size // 2), (size // 2, 0))[k]
        image[i, y : y + size // 2, x : x + size // 2] += 100
    return Split(
        name=f"tiny/{name}",
        image=image,
        label=label,
        aus=np.zeros((n, 0), np.int8),
        subject=np.array([f"{name}-S{i % 5}" for i in range(n)]),
        id=np.array([f"{name}{i:03d}" for i in range(n)]),
        classes=CLASSES,
        au_names=(),
    )


def write_set(folder, n_train: int = 37) -> str:
    """train.npz, select.npz and test.npz."""
    parts = arrays.Parts(
        tiny_split(n_train, 0),
        tiny_split(12, 1, "select"),
        tiny_split(13, 2, "test"),
        "the set's select part",
    )
    exported.write(parts, folder)
    return str(folder)


def tiny_config(data_dir: str, **changes):
    """Two small blocks, batch 16: 37 examples make steps of 16, 16 and 5."""
    c = config.default()
    c.data.name, c.data.dir, c.data.image_size = "npz", data_dir, 16
    c.input.batch_size = 16
    c.model.features, c.model.dense, c.model.conv = (4, 6), 8, "explicit"
    c.augment.rotation, c.augment.translation = 10.0, 0.1
    c.optimizer.name, c.optimizer.learning_rate = "sgd", 0.02
    c.train.epochs = 2
    c.evaluate.batch_size = 8
    c.evaluate.bootstrap = 200
    config.apply_overrides(c, [f"{k.replace('__', '.')}={v}" for k, v in changes.items()])
    config.check(c)
    return c


def write_config(path: pathlib.Path, data_dir: str) -> str:
    """The same as a file, for the command line."""
    path.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT / 'tests')!r})\nimport runs\n\n\n"
        f"def get_config():\n    return runs.tiny_config({data_dir!r})\n"
    )
    return str(path)


def ferjax(*args, devices: int = 1, wait: bool = True, **env):
    """Runs the command line in a process of its own with so many CPU devices."""
    flags = os.environ["XLA_FLAGS"].replace("device_count=8", f"device_count={devices}")
    variables = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **env}
    command = [sys.executable, "-m", "ferjax.main", *map(str, args)]
    if not wait:
        return subprocess.Popen(
            command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300)


def weights(workdir, step: int | None = None) -> dict[str, np.ndarray]:
    """All arrays of a checkpoint's weights by name, however many processes wrote it."""
    c = checkpoint.Checkpoints(workdir, read_only=True)
    try:
        step = c.last() if step is None else step
        saved = c.manager.item_metadata(step)["params"]
        like = jax.tree.map(lambda m: np.zeros(m.shape, m.dtype), saved.tree)
        tree = c.manager.restore(step, args=ocp.args.Composite(params=ocp.args.StandardRestore(like)))[
            "params"
        ]
    finally:
        c.close()
    return {jax.tree_util.keystr(p): np.asarray(a) for p, a in jax.tree_util.tree_leaves_with_path(tree)}


def last_step(workdir) -> int:
    """The newest complete checkpoint."""
    c = checkpoint.Checkpoints(workdir, read_only=True)
    try:
        return c.last()
    finally:
        c.close()


def close(a: dict, b: dict):
    """Two networks' weights are the same but for rounding."""
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=2e-4, atol=2e-6, err_msg=name)


def selected(workdir) -> list[list[float]]:
    """Loss and accuracy of the selecting part after each epoch."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [[line["loss"], line["accuracy"]] for line in lines if line["split"] == "select"]
