"""Is facsynth hard enough for a linear model, easy enough for a CNN, and are look-alike action units told
apart?

    python benchmarks/facsynth_checks.py rate linear emotion units
    python benchmarks/facsynth_checks.py ict --ict path/to/ict_ckplus

Each line printed is a figure and its bar. People in the test split are never seen in training. `emotion`,
`units`
and `ict` train a CNN of three blocks (5x5; 64, 128, 256; dense 512): some minutes each on two cores.
"""

import argparse
import csv
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from data_pipelines.facsynth import AU_NAMES, CLASSES, generate
from ferjax.ops import conv2d, max_pool_2x2

PAIRS = (("AU01", "AU02"), ("AU06", "AU07"), ("AU23", "AU24"), ("AU25", "AU26"))


def standardised(image: np.ndarray) -> np.ndarray:
    """uint8 [n, h, w, 1] -> float32, each picture with mean 0 and deviation 1."""
    x = image.astype(np.float32)
    x -= x.mean((1, 2, 3), keepdims=True)
    return x / (x.std((1, 2, 3), keepdims=True) + 4.0)


def init(key, outputs: int, width: int = 64, size: int = 48) -> dict:
    """Parameters of the CNN, He-normal."""
    shapes = {
        "c1": (5, 5, 1, width),
        "c2": (5, 5, width, 2 * width),
        "c3": (5, 5, 2 * width, 4 * width),
        "d": ((size // 8) ** 2 * 4 * width, 8 * width),
        "o": (8 * width, outputs),
    }
    return {
        name: (
            jax.random.normal(k, shape) * np.sqrt((2.0 if name != "o" else 0.2) / np.prod(shape[:-1])),
            jnp.zeros(shape[-1]),
        )
        for (name, shape), k in zip(shapes.items(), jax.random.split(key, len(shapes)), strict=True)
    }


def logits(params: dict, x, drop=None):
    """[b, outputs]; `drop` is a key for dropout of half the dense units, or None."""
    for name in ("c1", "c2", "c3"):
        w, b = params[name]
        x = max_pool_2x2(jax.nn.relu(conv2d(x, w) + b))
    x = x.reshape(len(x), -1)
    x = jax.nn.relu(x @ params["d"][0] + params["d"][1])
    if drop is not None:
        x = x * jax.random.bernoulli(drop, 0.5, x.shape) * 2.0
    return x @ params["o"][0] + params["o"][1]


def train(x: np.ndarray, y: np.ndarray, outputs: int, epochs: int, width: int, batch: int = 64):
    """Fits the CNN with Adam and a cosine schedule; integer y: softmax, two-dimensional y: sigmoids."""
    steps = len(x) // batch
    schedule = optax.warmup_cosine_decay_schedule(0.0, 8e-4, steps // 2, steps * epochs)
    tx = optax.adam(schedule)
    params = init(jax.random.key(0), outputs, width)
    state = tx.init(params)

    @jax.jit
    def step(params, state, xb, yb, key):
        def loss(params):
            out = logits(params, xb, key)
            if yb.ndim == 1:
                return optax.softmax_cross_entropy_with_integer_labels(out, yb).mean()
            return optax.sigmoid_binary_cross_entropy(out, yb).mean()

        value, grad = jax.value_and_grad(loss)(params)
        updates, state = tx.update(grad, state)
        return optax.apply_updates(params, updates), state, value

    rng = np.random.default_rng(0)
    start = time.perf_counter()
    for epoch in range(epochs):
        order = rng.permutation(len(x))
        total = 0.0
        for i in range(steps):
            rows = order[i * batch : (i + 1) * batch]
            key = jax.random.fold_in(jax.random.key(1), epoch * steps + i)
            params, state, value = step(params, state, x[rows], y[rows], key)
            total += float(value)
        seconds = time.perf_counter() - start
        print(f"  epoch {epoch + 1}: loss {total / steps:.3f}, {seconds:.0f} s", flush=True)
    predict = jax.jit(logits)
    return lambda z: np.concatenate(
        [np.asarray(predict(params, z[i : i + 256])) for i in range(0, len(z), 256)]
    )


def rate() -> None:
    """Images per second of a whole set, drawing included."""
    generate(10, 13)
    start = time.perf_counter()
    generate(256, 40, seed=1)
    print(f"render: {256 * 40 / (time.perf_counter() - start):.0f} images/s of 48x48 (bar: at least 1,500)")


def linear() -> None:
    """Emotions from pixels by logistic regression, C tuned on validation."""
    sets = generate(214, 40)
    x = {k: standardised(v["image"]).reshape(len(v["image"]), -1) for k, v in sets.items()}
    rows = slice(0, 6000)
    best = (0.0, None, 0.0)
    for c in (1e-5, 1e-4, 1e-3):
        model = LogisticRegression(C=c, max_iter=200).fit(x["train"][rows], sets["train"]["label"][rows])
        best = max(
            best, (model.score(x["validation"], sets["validation"]["label"]), c, model), key=lambda b: b[0]
        )
    score = best[2].score(x["test"], sets["test"]["label"])
    n = len(x["train"][rows])
    print(f"linear: {score:.3f} accuracy, C={best[1]}, {n} images (bar: below 0.70)")


def emotion(epochs: int, subjects: int, per_subject: int, width: int):
    """Emotions by the CNN."""
    sets = generate(subjects, per_subject)
    predict = train(standardised(sets["train"]["image"]), sets["train"]["label"], len(CLASSES), epochs, width)
    guess = predict(standardised(sets["test"]["image"])).argmax(1)
    truth = sets["test"]["label"]
    n = len(sets["train"]["label"])
    score = (guess == truth).mean()
    print(f"cnn: {score:.3f} accuracy, {n} images, {epochs} epochs, width {width} (bar: at least 0.90)")
    for k, name in enumerate(CLASSES):
        row = np.bincount(guess[truth == k], minlength=len(CLASSES))
        print(f"  {name:10s} {row[k] / row.sum():.2f}  {row.tolist()}")
    return predict


def units(epochs: int, subjects: int, per_subject: int, width: int) -> None:
    """Each unit's presence by the CNN, and look-alike pairs where exactly one is there."""
    sets = generate(subjects, per_subject, mode="independent")
    present = {k: (v["aus"] > 0).astype(np.float32) for k, v in sets.items()}
    predict = train(standardised(sets["train"]["image"]), present["train"], len(AU_NAMES), epochs, width)
    score, truth = predict(standardised(sets["test"]["image"])), present["test"]
    print(
        "  " + " ".join(f"{n} {roc_auc_score(truth[:, i], score[:, i]):.2f}" for i, n in enumerate(AU_NAMES))
    )
    for a, b in PAIRS:
        i, j = AU_NAMES.index(a), AU_NAMES.index(b)
        one = truth[:, i] != truth[:, j]
        auc = roc_auc_score(truth[one, i], score[one, i] - score[one, j])
        print(f"units: {a} or {b}: AUC {auc:.3f} on {one.sum()} images (bar: at least 0.90)")


def ict(folder: Path, epochs: int, subjects: int, per_subject: int, width: int) -> None:
    """A CNN trained on facsynth names the apex frames of the ICT look-alike of CK+."""
    predict = emotion(epochs, subjects, per_subject, width)
    rows = list(csv.DictReader((folder / "truth.csv").open()))
    last = {r["image"].rsplit("/", 1)[0]: r for r in rows if r["emotion"]}
    pictures, labels = [], []
    names = {"happy": "happiness"}
    for r in last.values():
        path = Path(r["image"])
        marks = folder / path.parts[0] / "Landmarks" / Path(*path.parts[2:])
        points = np.loadtxt(marks.with_name(f"{marks.stem}_landmarks.txt"))
        left, right = points[:, 0].min(), points[:, 0].max()
        brow, chin = points[17:27, 1].min(), points[6:11, 1].max()
        side = max((right - left) / 0.80, (chin - brow) / 0.68)
        cx, top = (left + right) / 2, brow - 0.24 * side
        box = tuple(float(v) for v in (cx - side / 2, top, cx + side / 2, top + side))
        picture = Image.open(folder / path).convert("L")
        box = (max(box[0], 0.0), max(box[1], 0.0), min(box[2], picture.width), min(box[3], picture.height))
        pictures.append(np.asarray(picture.resize((48, 48), Image.Resampling.BOX, box=box)))
        labels.append(CLASSES.index(names.get(r["emotion"], r["emotion"])))
    x = np.stack(pictures)[..., None]
    guess, truth = predict(standardised(x)).argmax(1), np.array(labels)
    chance = max(np.bincount(truth)) / len(truth)
    score = (guess == truth).mean()
    print(f"ict: {score:.3f} of {len(truth)} apex frames (bar: the commonest class, {chance:.3f})")
    for k in sorted(set(truth.tolist())):
        print(f"  {CLASSES[k]:10s} {np.bincount(guess[truth == k], minlength=len(CLASSES)).tolist()}")


def main() -> None:
    """Runs the checks named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checks", nargs="+", choices=["rate", "linear", "emotion", "units", "ict"])
    parser.add_argument("--ict", type=Path, default=Path("ckplus"), help="folder that holds truth.csv")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--subjects", type=int, default=300)
    parser.add_argument("--per-subject", type=int, default=40)
    parser.add_argument("--width", type=int, default=64, help="filters of the first block; fewer are faster")
    args = parser.parse_args()
    size = (args.epochs, args.subjects, args.per_subject, args.width)
    for check in args.checks:
        if check in ("emotion", "units"):
            globals()[check](*size)
        elif check == "ict":
            ict(args.ict, *size)
        else:
            globals()[check]()


if __name__ == "__main__":
    main()
