"""Trains the paper's network with Keras on parts that ferjax exported, epoch by epoch, to compare accuracy.

    ferjax data export experiments/breuer2017/fer2013.py --out parts --config.data.dir=D
    python -m benchmarks.keras_training --parts parts --out runs/keras.jsonl --epochs 10
    ferjax train --config experiments/breuer2017/fer2013.py --workdir runs/as_keras --config.data.dir=D \
        --config.schedule.name=cosine --config.augment.rotation=10.8 --config.augment.shear=0 \
        --config.train.epochs=10
    ferjax evaluate --workdir runs/as_keras --split test --checkpoint last

Both: grey values / 255, Glorot weights, flips, rotation 0.03 of a turn, shifts and zoom 0.1, Adam 1e-3 with a
cosine to 0, batch 128. The test part is scored after every epoch and selects nothing: compare equal epochs,
the last above all.
"""

import argparse
import json
import math
import os
import time
from pathlib import Path

import numpy as np

from data_pipelines.split import Split


def network(classes: int):
    """The CNN of Breuer & Kimmel 2017, softmax left to the loss."""
    import keras

    layers = keras.layers
    stack = [layers.Input((48, 48, 1))]
    for filters in (64, 128, 256):
        stack += [layers.Conv2D(filters, 5, padding="same", activation="relu"), layers.MaxPooling2D()]
    stack += [layers.Dropout(0.25), layers.Flatten(), layers.Dense(512, activation="relu")]
    return keras.Sequential([*stack, layers.Dropout(0.5), layers.Dense(classes)])


def main() -> None:
    """Trains and writes a JSON line an epoch: loss, train, select and test accuracy, seconds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", type=Path, required=True, help="folder of ferjax data export")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, written anew")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(args.seed)
    parts = {name: Split.load(args.parts / f"{name}.npz") for name in ("train", "select", "test")}
    data = {n: ((s.image / np.float32(255)).astype(np.float32), s.label) for n, s in parts.items()}
    change = keras.Sequential(
        [
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomRotation(0.03, fill_mode="nearest"),
            keras.layers.RandomTranslation(0.1, 0.1, fill_mode="nearest"),
            keras.layers.RandomZoom(0.1, fill_mode="nearest"),
        ]
    )
    train = tf.data.Dataset.from_tensor_slices(data["train"]).shuffle(len(parts["train"]), seed=args.seed)
    train = train.batch(128).map(lambda x, y: (change(x, training=True), y), tf.data.AUTOTUNE).prefetch(2)
    steps = args.epochs * math.ceil(len(parts["train"]) / 128)
    model = network(len(parts["train"].classes))
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with args.out.open("w") as lines:
        for epoch in range(1, args.epochs + 1):
            said = model.fit(train, verbose=0).history
            line = {"epoch": epoch, "loss": said["loss"][0], "train": said["accuracy"][0]}
            for name in ("select", "test"):
                logits = model.predict(data[name][0], batch_size=256, verbose=0)
                line[name] = float(np.mean(logits.argmax(1) == data[name][1]))
            line["seconds"] = round(time.monotonic() - start, 1)
            print(json.dumps(line), flush=True)
            lines.write(json.dumps(line) + "\n")
            lines.flush()


if __name__ == "__main__":
    main()
