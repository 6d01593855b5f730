"""The report: one page, complete, safe, and honest about what is missing."""

import html.parser
import json
import math
import shutil
import subprocess
import sys

import numpy as np
import pytest

from data_pipelines import BadInput
from ferjax import metrics, report, results
from ferjax.report import charts

CLASSES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
SHORT = ("joy", "fear", "<b>&awe")


def write_run(workdir, classes=CLASSES, epochs=12, names=("test", "select"), n=400):
    """A workdir with made-up numbers in every file that a training and its evaluations leave."""
    rng, k = np.random.default_rng(0), len(classes)
    config = {"name": "demo <1>", "optimizer": {"name": "adam", "learning_rate": 3e-4}, "data": {"name": "facsynth"}}
    hashes = {part: f"{i}" * 64 for i, part in enumerate(("train", "select", "test"))}
    results.describe_run(workdir, config, hashes, "8 x cpu, pmap", selection="unseen subjects")
    with open(workdir / "metrics.jsonl", "w") as file:
        for epoch in range(1, epochs + 1):
            for split, gap in (("train", 0.0), ("select", 0.04)):
                good = 0.93 - 0.75 * math.exp(-epoch / 3) - gap + 0.01 * rng.standard_normal()
                line = {"step": 100 * epoch, "epoch": epoch, "split": split, "loss": 2.2 * (1 - good), "accuracy": good}
                file.write(json.dumps(line) + "\n")
    with open(workdir / "timing.jsonl", "w") as file:
        for step in range(20, 100 * epochs, 20):
            file.write(json.dumps({"step": step, "images_per_s": 2150 + 90 * rng.standard_normal()}) + "\n")
    for name in names:
        label = rng.integers(0, k, n)
        probability = rng.dirichlet(np.ones(k), n)
        probability[np.arange(n), label] += 0.5
        probability /= probability.sum(1, keepdims=True)
        subject = [f"s{i:02d}" for i in rng.integers(0, 53, n)]
        scores = metrics.classification(label, probability, classes, subject, n_bootstrap=100)
        facts = {"split": f"facsynth/{name}", "split_hash": hashes[name], "config": config, "seed": 0}
        facts |= {"selected_on": "accuracy on unseen subjects", "checkpoint_step": 1000, "wall_time_s": 3.2}
        results.write_result(workdir, name, scores, **facts, device="8 x cpu, pmap", figure=False)
        write_worst(workdir / "results" / f"{name}_worst.npz", label, probability, rng)
    return workdir


def write_worst(path, label, probability, rng, m=24):
    predicted = probability.argmax(1)
    rows = np.flatnonzero(predicted != label)[:m]
    y, x = np.mgrid[:48, :48] - 24
    face = 60 + 120 * ((x / 17) ** 2 + (y / 22) ** 2 < 1) - 90 * ((abs(x) - 8) ** 2 + (y + 5) ** 2 < 9)
    face = face[None] + rng.integers(-20, 20, (len(rows), 48, 48))
    np.savez(
        path,
        image=face.clip(0, 255).astype(np.uint8)[..., None],
        label=label[rows],
        predicted=predicted[rows],
        confidence=probability.max(1)[rows],
        id=np.array([f"test/s{i:02d}_{i:04d}" for i in rows]),
    )
