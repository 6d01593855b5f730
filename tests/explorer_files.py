"""A made-up W/attribution/<data>/ folder as docs/attribution.md describes it, of any number of filters."""

import csv
import json
import pathlib

import numpy as np

from data_pipelines.labels import FACS_NAMES
from ferjax import files

AUS = tuple(
    f"AU{n:02d}" for n in (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 17, 20, 23, 24, 25, 26, 27, 43)
)
VERDICTS = ("AU filter", "emotion filter", "as in random networks", "unclear", "no match", "inactive")
FILTERS = [
    *("layer", "filter", "active", "au", "together", "p_top_n", "au_top_n", "rejected", "auc_choose"),
    *("auc", "auc_low", "auc_high", "d", "ap", "present", "absent", "p", "q", "p_max"),
    *("auc_within", "within_low", "within_high", "auc_outside", "outside_low", "outside_high"),
    *("emotion", "emotion_auc", "grad_present", "grad_absent", "ablation_drop", "ablation_limit"),
    *("ablation_share", "ablation_others", "implied", "random_95", "random_95_within", "random_95_outside"),
    *("within_present", "within_absent", "outside_present", "outside_absent"),
    *("verdict", "words"),
]
PAIRS = [
    *(
        "layer",
        "filter",
        "au",
        "present",
        "p_top_n",
        "auc",
        "auc_low",
        "auc_high",
        "ap",
        "kl",
        "mi",
        "p",
        "q",
    ),
    *("auc_within", "auc_outside", "grad_present", "grad_absent"),
]
EDGES = "edges (no network)"
# target, reference, area, method; pointing, mass, rank: [the score, that of other people's evidence]
TRUTH = [
    ("AU12 logit", "shown", 0.04, "gradient", [0.7, 0.25], [0.3, 0.05], [0.41, 0.02]),
    ("AU12 logit", "shown", 0.04, "guided_backprop", [0.9, 0.8], [0.5, 0.45], [0.3, 0.28]),
    ("AU12 logit", "shown", 0.04, EDGES, [0.2, 0.19], [0.1, 0.09], [0.2, 0.18]),
    ("AU12 logit", "slope", 0.02, "gradient", [0.5, 0.1], [0.2, 0.04], [0.3, 0.01]),
    ("AU12 logit", "slope", 0.02, "guided_backprop", [0.6, 0.5], [0.3, 0.25], [0.24, 0.2]),
    ("AU12 logit", "slope", 0.02, EDGES, [0.1, 0.09], [0.05, 0.04], [0.1, 0.09]),
    ("AU25 logit", "shown", 0.1, "gradient", [0.5, 0.15], [0.1, 0.09], [-0.05, -0.04]),
    ("AU25 logit", "shown", 0.1, "guided_backprop", [0.7, 0.7], [0.3, 0.25], [0.1, 0.12]),
    ("AU25 logit", "shown", 0.1, EDGES, [0.4, 0.39], [0.2, 0.21], [0.0, 0.02]),
    ("AU25 logit", "slope", 0.06, "gradient", [0.3, 0.2], [0.1, 0.06], [0.1, 0.03]),
    ("AU25 logit", "slope", 0.06, "guided_backprop", [0.4, 0.3], [0.1, 0.15], [None, None]),
    ("AU25 logit", "slope", 0.06, EDGES, [0.3, 0.29], [0.15, 0.14], [0.3, 0.29]),
    ("planted on AU12's region", "region", 0.08, "gradient", [1.0, 0.99], [0.91, 0.9], [0.35, 0.34]),
    ("planted on AU12's region", "region", 0.08, "guided_backprop", [0.96, 0.95], [0.85, 0.84], [0.33, 0.32]),
    ("planted on AU12's region", "region", 0.08, EDGES, [0.12, 0.11], [0.1, 0.08], [0.04, 0.03]),
]
RANDOM_95 = {"block1": 0.66, "block2": 0.68, "block3": 0.71}


def layers(filters: int) -> list[tuple[str, int]]:
    """(layer, filter) of a network with so many filters, in the proportions of 64, 128 and 256."""
    first, second = max(1, filters // 7), max(1, 2 * filters // 7)
    sizes = {"block1": first, "block2": second, "block3": filters - first - second}
    return [(f"{block}/relu", j) for block, n in sizes.items() for j in range(n)]


def write_attribution(
    workdir,
    data: str = "made_up",
    filters: int = 448,
    inputs: int = 120,
    size: int = 48,
    aus=AUS,
    seed: int = 0,
) -> pathlib.Path:
    """Writes summary.json, filters.csv, pairs.csv and top.npz; returns their folder.

    A sixth of the filters has each verdict, with an effect that fits it.
    """
    folder = pathlib.Path(workdir) / "attribution" / data
    rng = np.random.default_rng(0)
    names = layers(filters)
    rows, pairs = _tables(names, aus, rng)
    files.write(folder / "filters.csv", files.csv_bytes([FILTERS, *([r[k] for k in FILTERS] for r in rows)]))
    files.write(folder / "pairs.csv", files.csv_bytes([PAIRS, *pairs]))
    files.write(folder / "top.npz", files.npz_bytes(top(names, inputs, size, rng)))
    (folder / "summary.json").write_text(json.dumps(summary(data, rows, aus)))
    return folder


def _tables(names, aus, rng):
    rows, pairs = [], []
    for i, (layer, j) in enumerate(names):
        verdict = VERDICTS[i % len(VERDICTS)]
        null = RANDOM_95[layer.split("/")[0]]
        best = int(rng.integers(len(aus)))
        auc = np.clip(rng.normal(0.5, 0.06, len(aus)), 0.05, 0.95)
        auc[best] = {"no match": 0.56, "inactive": 0.5, "as in random networks": null - 0.03}.get(
            verdict, rng.uniform(null + 0.02, 0.97)
        )
        p = np.clip(10 ** rng.uniform(-5.3, 0, len(aus)), 5e-6, 1)
        for u, au in enumerate(aus):
            low, high = max(0, auc[u] - 0.09), min(1, auc[u] + 0.08)
            numbers = [*np.round([auc[u], low, high, auc[u] ** 2, 0.1, 0.01, p[u], min(1, 3 * p[u])], 6)]
            grads = np.round(rng.normal(0, 0.02, 2), 4)
            outside = "" if u % 7 == 3 else round(auc[u] - 0.02, 4)
            known = [20 + u, round(rng.integers(1, 10) / 9, 4)]
            pairs.append([layer, j, au, *known, *numbers, round(auc[u] - 0.05, 4), outside, *grads])
        effect, measured = auc[best], verdict != "unclear"
        row = dict.fromkeys(FILTERS, "")
        row |= {"layer": layer, "filter": j, "active": int(verdict != "inactive"), "verdict": verdict}
        row["words"] = f"{verdict}: the sentence of filter {j}, effect {effect:.2f} for {aus[best]}."
        if verdict != "inactive":
            row |= {"au": aus[best], "together": aus[(best + 1) % len(aus)] if i % 3 == 0 else ""}
            share = round(rng.integers(7, 10) / 9, 4)
            row |= {"p_top_n": share, "au_top_n": aus[best], "rejected": int(share < 1)}
            row |= {
                "auc_choose": round(effect, 4),
                "auc": round(effect, 4),
                "auc_low": round(effect - 0.08, 4),
            }
            row |= {
                "auc_high": round(min(1, effect + 0.06), 4),
                "d": round(4 * effect - 2, 4),
                "ap": round(effect**2, 4),
            }
            row |= {"present": 21, "absent": 110, "p": 5e-6 if measured else 0.002, "p_max": 0.004}
            row |= {"q": 0.4 if verdict == "no match" else 0.0006}
            row |= {"auc_within": round(effect - 0.03, 4) if measured else "", "within_low": 0.55}
            row |= {"within_high": 0.9, "auc_outside": round(effect - 0.02, 4), "outside_low": 0.52}
            row |= {"outside_high": 0.95, "emotion": "happiness", "emotion_auc": 0.81}
            row |= {"grad_present": 0.031, "grad_absent": -0.004, "ablation_drop": 0.8}
            row |= {"ablation_limit": 0.5, "ablation_share": 1.1, "ablation_others": 0.1}
            row |= {"implied": "AU25", "random_95": null, "random_95_within": null, "random_95_outside": null}
            row |= {"within_present": 12, "within_absent": 40, "outside_present": 9, "outside_absent": 50}
        rows.append(row)
    return rows, pairs


def face(rng, n: int, size: int) -> np.ndarray:
    """uint8 [n, size, size]: smooth blobs with two eyes and a mouth, and noise as a camera's."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size - 0.5
    a, b, c, m = (rng.uniform(0.8, 1.2, (n, 1, 1)) for _ in range(4))
    out = 55 + 130 / (1 + np.exp(24 * ((x / 0.36 / a) ** 2 + (y / 0.46 / b) ** 2 - 1)))
    for sign in (-1, 1):
        out -= 80 * np.exp(-(((x - sign * 0.17 * a) / 0.06) ** 2) - ((y + 0.12 * c) / 0.035) ** 2)
        out -= 50 * np.exp(-(((x - sign * 0.17 * a) / 0.1) ** 2) - ((y + 0.22 * c) / 0.02) ** 2)
    out -= 70 * np.exp(-((x / 0.14 / m) ** 2) - ((y - 0.22 * b - (m - 1) * 2 * x**2) / 0.03) ** 2)
    out -= 30 * np.exp(-((x / 0.05) ** 2) - ((y - 0.07) / 0.02) ** 2)
    out = out + 30 * x * rng.normal(0, 1, (n, 1, 1)) + rng.normal(0, 6, out.shape)
    return out.clip(0, 255).astype(np.uint8)


def top(names, m: int, size: int, rng, n: int = 9) -> dict[str, np.ndarray]:
    """The arrays of top.npz; guided and deconv are edges of the input inside the receptive field."""
    j, pictures = len(names), face(rng, m, size)
    index = rng.integers(0, m, (j, n)).astype(np.int32)
    index[-1, -2:] = -1
    field = np.array([{"block1": 5, "block2": 14, "block3": 32}[layer.split("/")[0]] for layer, _ in names])
    corner = rng.integers(-4, size - field[:, None, None] + 5, (j, n, 2))
    box = np.concatenate([corner, corner + field[:, None, None]], -1).clip(0, size).astype(np.int16)
    edges = np.stack(np.gradient(pictures.astype(np.float32), axis=(1, 2)))  # [2, m, h, w]
    line = np.arange(size)
    inside = (line >= box[..., 0, None]) & (line < box[..., 2, None])
    inside = inside[..., None] & ((line >= box[..., 1, None]) & (line < box[..., 3, None]))[:, :, None]
    turn = rng.uniform(0, np.pi, (j, 1, 1, 1))
    out = {}
    for name, noise in (("guided", 1), ("deconv", 5)):
        signal = np.cos(turn) * edges[0][index] + np.sin(turn) * edges[1][index]
        signal = (signal + rng.normal(0, noise, (1, 1, size, size))) * inside
        signal /= np.abs(signal).max((2, 3), keepdims=True) + 1e-9
        out[name] = (128 + 127 * signal).astype(np.uint8)
    return {
        "image": pictures[..., None],
        "id": np.array([f"S{i % 30:03d}/00{i % 6 + 1}/S{i % 30:03d}_{i:08d}.png" for i in range(m)]),
        "layer": np.array([layer for layer, _ in names]),
        "filter": np.array([f for _, f in names]),
        "index": index,
        "activation": np.sort(rng.gamma(4, 0.4, (j, n)), 1)[:, ::-1].astype(np.float32),
        "box": box,
        **out,
    }


def summary(data: str, rows, aus) -> dict:
    """summary.json; the headline counts what the made-up filters are."""
    seen = [r["verdict"] for r in rows]
    both = seen.count("AU filter")
    active, passed = sum(r["active"] for r in rows), both + seen.count("emotion filter")
    blocks = {"block1": ([48, 48], 5), "block2": ([24, 24], 14), "block3": ([12, 12], 32)}

    def control(name, kind, networks, counts, effect, recurring=None):
        keys = ("significant", "outside", "within", "both")
        out = {"name": name, "kind": kind, "networks": networks} | dict(zip(keys, counts, strict=True))
        out |= {"above": out["outside"], "kept": out["both"]}
        return out | {"median_effect": effect, "recurring": recurring}

    def spread(middle):
        return [[middle, max(0, middle - 3), middle + 4]] * 2

    def interval(value):
        return [None, None] if value is None else [round(value - 0.11, 2), round(value + 0.13, 2)]

    own = (4 * both, passed, both, both)
    methods = {"gradient": 0.04, "gradient_x_input": 0.31, "guided_backprop": 0.83, "deconvnet": 0.62}
    order = ["logits", "dense", "block3", "block2", "block1"]
    curves = {m: [round(1 - (1 - end) * (i + 1) / 5, 3) for i in range(5)] for m, end in methods.items()}
    return {
        "schema": "ferjax/attribution/2",
        "data": data,
        "split": f"{data}/all",
        "split_hash": "9f2c" * 16,
        "config_hash": "04a8" * 16,
        "checkpoint_step": 1200,
        "git_revision": "ca7b" * 10,
        "versions": {"python": "3.11.7", "jax": "0.10.2"},
        "seed": 0,
        "created": "2025-01-31T12:00:00Z",
        "wall_time_s": 311.5,
        "device": "1 x cpu",
        "counts": {
            "inputs": 269,
            "sequences": 269,
            "subjects": 30,
            "with_emotion": 151,
            "without_emotion": 118,
            "choosing_subjects": 15,
            "measuring_subjects": 15,
            "subjects_seen_in_training": 24,
        },
        "aus": [
            {
                "name": au,
                "facs": FACS_NAMES.get(au, ""),
                "present": 20 + u,
                "known": 269,
                "together_with": ["AU06"] if au == "AU12" else [],
                "comes_with": ["AU25"] if au == "AU27" else [],
            }
            for u, au in enumerate(aus)
        ],
        "left_out": [{"name": "AU22", "present": 5, "why": "seen in fewer than 8 inputs"}],
        "layers": [
            {
                "name": f"{block}/relu",
                "filters": sum(r["layer"].startswith(block) for r in rows),
                "active": sum(r["layer"].startswith(block) * r["active"] for r in rows),
                "size": size,
                "receptive_field": field,
                "random_band": {au: [1 - RANDOM_95[block], RANDOM_95[block]] for au in aus},
            }
            for block, (size, field) in blocks.items()
        ],
        "settings": {
            "top_n": 9,
            "threshold": 1,
            "least": 8,
            "permutations": 200000,
            "smallest_p": 5e-6,
            "fdr": 0.05,
            "significant_by": "q",
            "random_networks": 20,
            "bootstrap": 2000,
            "intervals_over": "subject",
        },
        "headline": {
            "filters": len(rows),
            "active": active,
            "significant": passed + seen.count("as in random networks") + seen.count("unclear"),
            "above": passed,
            "outside": passed,
            "within": both,
            "both": both,
        },
        "causes": {
            "matched": [31, 280, 300],
            "other": [7, 90, 100],
            "random_matched": [12, 200, 240],
            "random_other": [31, 600, 620],
            "random_networks": 3,
        },
        "planted": [
            {
                "planted": au,
                "fires_on": fires,
                "emotion": "happiness",
                "au": au,
                "verdict": verdict,
                "words": "A sentence.",
            }
            for au in aus
            for fires, verdict in (
                ("the action unit", "unclear" if au == aus[-1] else "AU filter"),
                ("the person", "no match"),
                ("the emotion label", "emotion filter"),
            )
        ],
        "paper": {
            "layer": "block3/relu",
            "top_n": 9,
            "active": active // 2,
            "rejected": active // 9,
            "paper_active": 50,
            "paper_rejected": 7,
        },
        "controls": [
            control(
                "this network",
                "trained",
                1,
                [[n] * 3 for n in own],
                [0.78] * 3,
            ),
            control(
                "random weights", "random", 20, [[61, 40, 92], [9, 2, 20], *spread(5)], [0.61, 0.59, 0.64]
            ),
            control("shuffled labels", "shuffled", 1, [[70] * 3, [11] * 3, [6] * 3, [6] * 3], [0.62] * 3),
            control(
                "other seeds",
                "seed",
                3,
                [[290, 270, 305], [140, 128, 151], *spread(both - 2)],
                [0.77, 0.76, 0.79],
                [0.64, 0.6, 0.7],
            ),
        ],
        "randomisation": [
            {
                "method": m,
                "layers": order,
                "spearman": values,
                "low": [round(v - 0.05, 3) for v in values],
                "high": [round(min(1, v + 0.05), 3) for v in values],
            }
            for m, values in curves.items()
        ],
        "heads": [
            {"au": au, "auc": 0.97 - 0.01 * u, "low": 0.9 - 0.01 * u, "high": 0.99, "random_auc": 0.78}
            for u, au in enumerate(aus)
            if u != 3
        ],
        "ablation": [
            {
                "au": au,
                "filters": [f"{r['layer']}:{r['filter']}" for r in rows if r["au"] == au][:8],
                "drop": 1.2,
                "low": 0.8,
                "high": 1.6,
                "random_mean": 0.3,
                "random_95": 0.6 if u % 4 else 1.4,
                "others_drop": 0.2,
                "share": 3.1 if u % 7 == 5 else 0.9,
                "stronger": None if u % 7 == 5 else bool(u % 4),
            }
            for u, au in enumerate(aus)
            if u % 5 != 2
        ],
        "truth": [
            {"target": target, "reference": reference, "method": method, "n": 24, "area": area}
            | {score: [value, *interval(value), other] for score, (value, other) in scores.items()}
            for target, reference, area, method, *three in TRUTH
            for scores in [dict(zip(("pointing", "mass", "rank"), three, strict=True))]
        ],
        "notes": ["24 of the 30 subjects were seen in training: the effects of these are not of new faces."],
    }


def html_of(workdir, data="made_up"):
    return workdir / "report" / f"attribution-{data}.html"


def rows_of(workdir, file, data="made_up"):
    text = (workdir / "attribution" / data / file).read_text()
    return list(csv.DictReader(text.splitlines()))


def edit(workdir, change, data="made_up"):
    path = workdir / "attribution" / data / "summary.json"
    summary = json.loads(path.read_text())
    change(summary)
    path.write_text(json.dumps(summary))
