"""What a study found, as the files that docs/attribution.md describes."""

import pathlib

import numpy as np

from data_pipelines import labels
from ferjax import config as config_lib
from ferjax import files, results
from ferjax.attribution import controls, evidence, fields, measure, verdict

SCHEMA = "ferjax/attribution/2"
PAPER = {"paper_active": 50, "paper_rejected": 7}  # Breuer & Kimmel 2017, as commonly quoted
COUNTS = ("significant", "above", "outside", "within", "both")


def write(study, out: pathlib.Path, *, step: int, seen: int, wall_time_s: float) -> None:
    """Writes filters.csv, pairs.csv, top.npz and, last, summary.json.

    Args:
      study: after `Study.run`.
      out: W/attribution/<data>.
      step: of the checkpoint.
      seen: people of the inputs who were trained on.
      wall_time_s: seconds of this call; stages kept from an earlier one cost nothing again.
    """
    pairs = _pairs(study)
    filters = _filters(study)
    found = _summary(study, step, seen, wall_time_s)
    files.write_together(
        {
            out / "filters.csv": files.csv_bytes(filters),
            out / "pairs.csv": files.csv_bytes(pairs),
            out / "top.npz": files.npz_bytes(study.top),
            out / "summary.json": files.json_bytes(files.plain(found)),
        }
    )


def name(layer: str, filter: int) -> str:
    """A filter's name, "block3/relu:17"."""
    return f"{layer}:{filter}"


def _filters(study) -> list[list]:
    """filters.csv: a head and a row a filter."""
    m, i, p, level = study.found.match, study.inputs, study.pairs, study.config.attribute.fdr
    test = {"p": study.found.tested.p, "p_max": study.found.tested.p_max}
    test["q"] = controls.benjamini_hochberg(test["p"])
    test = {key: measure.of_match(values, m.au) for key, values in test.items()}
    gathered = evidence.gather(study.found, study.limits, i, p["emotion"], p["emotion_auc"], level)
    rows = []
    for j, e in enumerate(gathered):
        u, best = int(m.au[j]), int(p["best_top_n"][j])
        said = verdict.verdict(e)

        def at(values, j=j, u=u):
            return float(values[j, u]) if u >= 0 else np.nan

        row = {
            "layer": str(study.found.layer[j]),
            "filter": int(study.found.filter[j]),
            "active": int(study.found.active[j]),
            "au": e.au,
            "together": ";".join(e.together),
            "implied": ";".join(e.implied),
            "p_top_n": float(p["p_top_n"][j, best]) if best >= 0 else np.nan,
            "au_top_n": i.au_names[best] if best >= 0 else "",
            "rejected": int(p["rejected"][j]),
            "auc_choose": float(m.auc_choose[j]),
            "auc": e.auc,
            "auc_low": e.auc_low,
            "auc_high": e.auc_high,
            "d": at(p["d"]),
            "ap": float(m.ap[j]),
            "present": int(m.present[j]),
            "absent": int(m.absent[j]),
            "random_95": e.random,
            **{key: float(test[key][j]) for key in ("p", "q", "p_max")},
            "auc_within": e.within,
            "within_low": e.within_low,
            "within_high": e.within_high,
            "within_present": e.within_present,
            "within_absent": e.within_absent,
            "random_95_within": e.random_within,
            "auc_outside": e.outside,
            "outside_low": e.outside_low,
            "outside_high": e.outside_high,
            "outside_present": e.outside_present,
            "outside_absent": e.outside_absent,
            "random_95_outside": e.random_outside,
            "emotion": e.emotion,
            "emotion_auc": e.emotion_auc,
            "grad_present": at(study.gradient["present"]),
            "grad_absent": at(study.gradient["absent"]),
            "ablation_drop": float(study.causal.drop[j]),
            "ablation_limit": float(study.causal.limit[j]),
            "ablation_share": float(study.causal.share[j]),
            "ablation_others": float(study.causal.others[j]),
            "verdict": said.code,
            "words": said.words,
        }
        rows.append(row)
    return _table(rows)


def _pairs(study) -> list[list]:
    """pairs.csv: a head and a row a filter and unit."""
    p, i = study.pairs, study.inputs
    present = (i.present == 1).sum(0)
    columns = {"p_top_n": p["p_top_n"], "auc": study.found.auc}
    columns |= {k: p[k] for k in ("auc_low", "auc_high", "ap", "kl", "mi")}
    columns |= {"p": study.all_pairs.p, "q": controls.benjamini_hochberg(study.all_pairs.p)}
    columns |= {k: p[k] for k in ("auc_within", "auc_outside")}
    columns |= {"grad_present": study.gradient["present"], "grad_absent": study.gradient["absent"]}
    rows = []
    for j, layer in enumerate(study.found.layer.tolist()):
        for u, au in enumerate(i.au_names):
            row = {"layer": layer, "filter": int(study.found.filter[j]), "au": au, "present": int(present[u])}
            rows.append(row | {key: float(values[j, u]) for key, values in columns.items()})
    return _table(rows)


def _table(rows: list[dict]) -> list[list]:
    def text(value):
        if isinstance(value, float):
            return "" if np.isnan(value) else f"{value:.6g}"
        return value

    return [list(rows[0]), *([text(v) for v in row.values()] for row in rows)]


def _summary(study, step: int, seen: int, wall_time_s: float) -> dict:
    i, a, t = study.inputs, study.config.attribute, study.found.tested
    split = i.split
    shown = (i.present == 1).sum(0)
    subjects = np.unique(split.subject[i.choose]), np.unique(split.subject[~i.choose])
    config = config_lib.to_json(study.config)
    kept = measure.survivors(study.found, study.random, a.fdr)
    return {
        "schema": SCHEMA,
        "data": study.config.data.name,
        "split": split.name,
        "rule": i.rule,
        "split_hash": split.hash,
        "config_hash": results.config_hash(config),
        "checkpoint_step": step,
        "git_revision": results.git_revision(),
        "versions": results.versions(),
        "seed": study.config.seed,
        "created": results.now(),
        "wall_time_s": round(wall_time_s, 1),
        "device": study.device,
        "counts": {
            "inputs": i.frames,
            "sequences": len(split),
            "subjects": len(split.subjects),
            "with_emotion": int((i.emotion >= 0).sum()),
            "without_emotion": int((i.emotion < 0).sum()),
            "choosing_subjects": len(subjects[0]),
            "measuring_subjects": len(subjects[1]),
            "subjects_seen_in_training": seen,
        },
        "aus": [
            {
                "name": au,
                "facs": labels.facs_name(au),
                "present": int(shown[u]),
                "known": int((i.present[:, u] >= 0).sum()),
                "together_with": list(i.together[u]),
                "comes_with": list(i.implied[u]),
                **{key: int((kept[key] & (study.found.match.au == u)).sum()) for key in COUNTS},
            }
            for u, au in enumerate(i.au_names)
        ],
        "left_out": i.left_out,
        "layers": [_layer(study, layer) for layer in study.layers],
        "settings": {
            "top_n": a.top_n,
            "threshold": a.threshold,
            "least": a.least,
            "permutations": t.permutations,
            "smallest_p": float(np.nanmin(t.smallest_p)) if np.isfinite(t.smallest_p).any() else None,
            "fdr": a.fdr,
            "permutations_of_pairs": study.all_pairs.permutations,
            "significant_by": study.found.corrected(a.fdr)[1],
            "random_networks": a.random_networks,
            "bootstrap": a.bootstrap,
            "intervals_over": "subject" if split.subjects else "input",
        },
        "headline": {
            "filters": len(study.found.layer),
            "active": int(study.found.active.sum()),
            **{key: int(kept[key].sum()) for key in COUNTS},
        },
        "paper": _paper(study),
        "controls": _controls(study),
        "causes": _causes(study),
        "randomisation": [
            {
                "method": r.method,
                "of": of,
                "layers": list(r.layers),
                "spearman": r.spearman,
                "low": r.low,
                "high": r.high,
                "undefined": r.undefined,
            }
            for of, tests in study.randomised.items()
            for r in tests
        ],
        "heads": [
            {
                "au": au,
                "auc": study.head["auc"][u],
                "low": study.head["low"][u],
                "high": study.head["high"][u],
                "random_auc": float(np.mean([c["auc"][u] for c in study.random_causes])),
            }
            for u, au in enumerate(i.au_names)
        ],
        "ablation": [_ablation(study, g) for g in study.groups],
        "truth": study.truths,
        "planted": study.planted,
        "notes": study.notes + _seen(seen, len(split.subjects)),
    }


def _seen(seen: int, subjects: int) -> list[str]:
    """A word of caution where the network was trained on people of the inputs."""
    if not seen:
        return []
    return [
        f"The network was trained on {seen} of the {subjects} people, with their emotions: they are held out "
        "from the choice of units and from the read-out, but not from the network."
    ]


def _paper(study) -> dict:
    """The paper's rule on the last layer beside its own count."""
    rows = study.found.layer == study.layers[-1]
    return {
        "layer": study.layers[-1],
        "top_n": study.config.attribute.top_n,
        "active": int(study.found.active[rows].sum()),
        "rejected": int(study.pairs["rejected"][rows].sum()),
        **PAPER,
    }


def _controls(study) -> list[dict]:
    """Each kind of network: [value or mean, least, most] over its networks."""
    kinds = {"trained": [study.found]}
    for side, found in zip(study.sides, study.side_found, strict=True):
        kinds.setdefault(side.kind, []).append(found)
    words = {
        "trained": "this network",
        "random": "random weights",
        "shuffled": "trained on shuffled labels",
        "seed": "other seeds",
    }
    fdr, rows = study.config.attribute.fdr, []
    own = _matches(study, study.found)
    for kind, networks in kinds.items():
        kept = [measure.survivors(n, study.random, fdr) for n in networks]
        row = {"name": words[kind], "kind": kind, "networks": len(networks)}
        for key in COUNTS:
            row[key] = _spread([int(k[key].sum()) for k in kept])
        row["kept"] = _spread([int(n.kept[n.layer == study.layers[-1]].sum()) for n in networks])
        row["median_effect"] = _spread([_median(n.match.auc[n.active]) for n in networks])
        again = [controls.recurring(own, _matches(study, n)) for n in networks] if kind == "seed" else []
        row["recurring"] = _spread(again) if again else None
        rows.append(row)
    return rows


def _matches(study, found: measure.Measured) -> np.ndarray:
    """[layers * u] significant filters of each unit in each layer."""
    real = found.significant(study.config.attribute.fdr)
    u = study.inputs.present.shape[1]
    rows = [real & (found.layer == layer) for layer in study.layers]
    return np.concatenate([np.bincount(found.match.au[r], minlength=u) for r in rows])


def _causes(study) -> dict:
    """[stronger, comparable, all] filters whose ablation lowers their unit's logit more than those like them.

    Of the significant filters and of the other active ones; of random networks, summed over them.
    """
    real, active = study.significant, study.found.active
    out = {"matched": study.causal.counts(real), "other": study.causal.counts(active & ~real)}
    for key in ("matched", "other"):
        some = [c[key] for c in study.random_causes]
        out[f"random_{key}"] = [int(n) for n in np.sum(some, 0)]
    return out | {"random_networks": len(study.random_causes)}


def _layer(study, layer: str) -> dict:
    rows, band = study.found.layer == layer, measure.random_band(study.random, layer)
    return {
        "name": layer,
        "filters": int(rows.sum()),
        "active": int(study.found.active[rows].sum()),
        "size": list(study.acts.size[layer]),
        "receptive_field": fields.receptive_field(study.network.model, layer).size,
        "random_band": {au: list(band[u]) for u, au in enumerate(study.inputs.au_names)},
    }


def _ablation(study, group) -> dict:
    layer = study.layers[-1]
    columns = study.acts.of(layer)
    return {
        "au": study.inputs.au_names[group.unit],
        "filters": [name(layer, int(study.acts.filter[columns[f]])) for f in group.filters],
        "drop": group.drop,
        "low": group.low,
        "high": group.high,
        "random_mean": group.random_mean,
        "random_95": group.random_95,
        "share": group.share,
        "others_drop": group.others_drop,
        "stronger": group.stronger,
    }


def _spread(values) -> list[float]:
    values = np.asarray(values, np.float64)
    if not np.isfinite(values).any():
        return [np.nan] * 3
    return [float(np.nanmean(values)), float(np.nanmin(values)), float(np.nanmax(values))]


def _median(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else np.nan
