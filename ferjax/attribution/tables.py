"""What a study found, as the files that docs/attribution.md describes."""

import math
import pathlib

import numpy as np

from data_pipelines import labels
from ferjax import config as config_lib
from ferjax import files, results
from ferjax.attribution import causes, controls, fields, measure, verdict

SCHEMA = "ferjax/attribution/1"
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
    evidence = [_evidence(study, j) for j in range(len(study.found.layer))]
    filters = _filters(study, evidence)
    pairs = _pairs(study)
    found = _summary(study, evidence, step, seen, wall_time_s)
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


def _evidence(study, j: int) -> verdict.Evidence:
    m, i, p = study.found.match, study.inputs, study.pairs
    u = int(m.au[j])
    limits = study.limits[str(study.found.layer[j])]
    if u < 0:
        return verdict.Evidence(active=bool(study.found.active[j]), fdr=study.config.attribute.fdr)
    emotion = int(p["emotion"][j])
    return verdict.Evidence(
        active=bool(study.found.active[j]),
        au=i.au_names[u],
        corrected=float(study.adjusted[j, u]),
        corrected_by=study.significant_by,
        auc=float(m.auc[j]),
        auc_low=float(m.auc_low[j]),
        auc_high=float(m.auc_high[j]),
        random=limits["auc"],
        within=float(m.within[j]),
        within_low=float(m.within_low[j]),
        within_high=float(m.within_high[j]),
        random_within=limits["within"],
        outside=float(m.outside[j]),
        outside_low=float(m.outside_low[j]),
        outside_high=float(m.outside_high[j]),
        random_outside=limits["outside"],
        together=i.together[u],
        emotion=i.split.classes[emotion] if emotion >= 0 else "",
        emotion_auc=float(p["emotion_auc"][j]),
        fdr=study.config.attribute.fdr,
    )


def _filters(study, evidence: list[verdict.Evidence]) -> list[list]:
    """filters.csv: a head and a row a filter."""
    m, i, p, t = study.found.match, study.inputs, study.pairs, study.found.tested
    rows = []
    for j, e in enumerate(evidence):
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
            "p": at(t.p),
            "q": at(study.q),
            "p_max": at(t.p_max),
            "auc_within": e.within,
            "within_low": e.within_low,
            "within_high": e.within_high,
            "auc_outside": e.outside,
            "outside_low": e.outside_low,
            "outside_high": e.outside_high,
            "emotion": e.emotion,
            "emotion_auc": e.emotion_auc,
            "grad_present": at(study.gradient["present"]),
            "grad_absent": at(study.gradient["absent"]),
            "ablation_drop": at(study.causal["drop"]),
            "ablation_random_95": at(study.causal["random_95"]),
            "verdict": said.code,
            "words": said.words,
        }
        rows.append(row)
    return _table(rows)


def _pairs(study) -> list[list]:
    """pairs.csv: a head and a row a filter and unit."""
    p, i = study.pairs, study.inputs
    present = (i.present == 1).sum(0)
    columns = {k: p[k] for k in ("p_top_n", "auc", "auc_low", "auc_high", "ap", "kl", "mi")}
    columns |= {"p": study.found.tested.p, "q": study.q}
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


def _summary(study, evidence, step: int, seen: int, wall_time_s: float) -> dict:
    i, a, t = study.inputs, study.config.attribute, study.found.tested
    split = i.split
    shown = (i.present == 1).sum(0)
    subjects = np.unique(split.subject[i.choose]), np.unique(split.subject[~i.choose])
    config = config_lib.to_json(study.config)
    kept = measure.survivors(study.found, study.limits, a.fdr)
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
            "significant_by": study.significant_by,
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
                "layers": list(r.layers),
                "spearman": r.spearman,
                "low": r.low,
                "high": r.high,
            }
            for r in study.randomised
        ],
        "heads": [
            {
                "au": au,
                "auc": study.head["auc"][u],
                "low": study.head["low"][u],
                "high": study.head["high"][u],
                "random_auc": study.random_causes["auc"][u],
            }
            for u, au in enumerate(i.au_names)
        ],
        "ablation": [_ablation(study, g) for g in study.groups],
        "truth": study.truths,
        "notes": study.notes,
    }


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
        kept = [measure.survivors(n, study.limits, fdr) for n in networks]
        row = {"name": words[kind], "kind": kind, "networks": len(networks)}
        for key in COUNTS:
            row[key] = _spread([int(k[key].sum()) for k in kept])
        row["kept"] = _spread([int(n.kept[n.layer == study.layers[-1]].sum()) for n in networks])
        row["median_effect"] = _spread([_median(n.match.auc[n.active]) for n in networks])
        again = [controls.recurring(own, _matches(study, n)) for n in networks] if kind != "trained" else []
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
    """Of the significant filters, how many lower their unit's logit more than matched random ones."""
    stronger, tested = causes.share_stronger(study.causal, study.found.match.au, study.significant)
    random_stronger, random_tested = (int(n) for n in study.random_causes["share"])
    return {
        "stronger": stronger,
        "tested": tested,
        "random_stronger": random_stronger,
        "random_tested": random_tested,
    }


def _layer(study, layer: str) -> dict:
    rows, limits = study.found.layer == layer, study.limits[layer]
    return {
        "name": layer,
        "filters": int(rows.sum()),
        "active": int(study.found.active[rows].sum()),
        "size": list(study.acts.size[layer]),
        "receptive_field": fields.receptive_field(study.network.model, layer).size,
        "random_95": limits["auc"],
        "random_95_within": limits["within"],
        "random_95_outside": limits["outside"],
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


def words(folder: pathlib.Path) -> str:
    """What a summary.json says, in a few lines for a terminal."""
    said = files.read_json(folder / "summary.json")
    head, counts, paper, causal = said["headline"], said["counts"], said["paper"], said["causes"]
    lines = [
        f"{said['data']}: {counts['sequences']} sequences of {counts['subjects']} people, {said['rule']}",
        f"{head['filters']} filters, {head['active']} active; {head['significant']} go with an action unit "
        f"by more than chance ({_correction(said['settings'])}, {said['settings']['permutations']:,} "
        f"permutations within people, smallest possible p {said['settings']['smallest_p'] or math.nan:.1g})",
        f"above the 95th percentile of {said['settings']['random_networks']} networks with random weights: "
        f"{head['outside']} outside emotion, {head['within']} within, {head['both']} both"
        + _by_unit(said["aus"]),
    ]
    for row in said["controls"]:
        counted = ", ".join(f"{key} {_range(row[key])}" for key in COUNTS)
        again = f"; matches that recur {_range(row['recurring'], '.2f')}" if row["recurring"] else ""
        lines.append(f"  {row['name']} ({row['networks']}): {counted}{again}")
    kept = "; ".join(f"{row['name']} {_range(row['kept'])}" for row in said["controls"])
    lines += [
        f"the paper's rule in {paper['layer']}, N = {paper['top_n']}: of {paper['active']} active filters "
        f"{paper['rejected']} rejected (paper, as commonly quoted: of {paper['paper_active']} "
        f"{paper['paper_rejected']}); not rejected: {kept}",
        "ablation lowers the unit's logit more than the 95th percentile of 20 filters like it: "
        f"{causal['stronger']} of {causal['tested']} significant filters; in a network with random weights "
        f"{causal['random_stronger']} of {causal['random_tested']}",
        *(f"note: {note}" for note in said["notes"]),
        f"in {folder}",
    ]
    return "\n".join(lines)


def _by_unit(aus: list[dict]) -> str:
    some = sorted((au for au in aus if au["both"]), key=lambda au: -au["both"])
    return " (" + ", ".join(f"{au['name']} {au['both']}" for au in some) + ")" if some else ""


def _correction(settings: dict) -> str:
    level = f"{settings['fdr']:g}"
    if settings["significant_by"] == "q":
        return f"false discovery rate {level}"
    return f"max-statistic at {level}, for permutations are too few for a false discovery rate"


def _range(values, form: str = "g") -> str:
    if values[0] is None:
        return "unknown"
    mean, low, high = (f"{round(v, 2):{form}}" for v in values)
    return mean if low == high else f"{mean} ({low} to {high})"
