"""What is known of each filter, gathered for its verdict; and the verdicts on filters whose making is known.

Axis letters: j filter, u action unit.
"""

import numpy as np

from ferjax.attribution import matching, measure, verdict
from ferjax.attribution.inputs import Inputs
from ferjax.attribution.measure import Measured
from ferjax.attribution.planted import planted_responses

FIRES = ("the action unit", "the person", "the emotion label", "person and label")
"""What the planted filters fire on, in the order of `planted_responses`."""


def gather(
    found: Measured,
    reach: dict[str, np.ndarray],
    inputs: Inputs,
    emotion: np.ndarray,
    emotion_auc: np.ndarray,
    level: float,
) -> list[verdict.Evidence]:
    """The evidence on each of a network's j filters.

    Args:
      found: of the network.
      reach: of `measure.limits`.
      inputs: that it was found on.
      emotion: int [j], the class each filter prefers, -1 for none; emotion_auc: [j].
      level: of `controls.adjusted`.
    """
    m, out = found.match, []
    corrected, by = found.corrected(level)
    for j, u in enumerate(m.au.tolist()):
        if u < 0:
            out.append(verdict.Evidence(active=bool(found.active[j]), fdr=level))
            continue
        values = {
            name: getattr(m, name)[j].item()
            for measured in measure.MEASURES
            for name in (measured, f"{measured}_low", f"{measured}_high")
        }
        for side in ("within", "outside"):
            values |= {key: getattr(m, key)[j].item() for key in (f"{side}_present", f"{side}_absent")}
            values[f"random_{side}"] = float(reach[side][j])
        out.append(
            verdict.Evidence(
                active=bool(found.active[j]),
                au=inputs.au_names[u],
                corrected=float(corrected[j]),
                corrected_by=by,
                random=float(reach["auc"][j]),
                together=inputs.together[u],
                implied=inputs.implied[u],
                emotion=inputs.split.classes[emotion[j]] if emotion[j] >= 0 else "",
                emotion_auc=float(emotion_auc[j]),
                fdr=level,
                **values,
            )
        )
    return out


def on_planted(
    inputs: Inputs,
    random: list[Measured],
    layer: str,
    *,
    least: int,
    bootstrap: int,
    permutations: int,
    level: float,
    seed: int,
) -> list[dict]:
    """What is said of filters whose making is known, with these inputs' codes, people and emotions.

    For every action unit four filters (`planted.planted_responses`): one fires on the unit alone, one on who
    it is, one on the emotion whose pictures show the unit most, one on these two together. They go the way of
    all filters: match, permutations, the random networks' reach, verdict. So it is seen what this set can
    show at all: where all pictures of an emotion show a unit, or none does, not even a filter made of it is
    found.

    Args:
      inputs: of the study.
      random: networks with random weights, on the same inputs.
      layer: whose random filters they are compared with.
      least, bootstrap, permutations, level, seed: as of the study.
    Returns:
      For every unit and each of FIRES {"planted", "fires_on", "emotion", "au", "verdict", "words"}; where no
      input has an emotion, without the last two.
    """
    emotion, classes = inputs.emotion, inputs.split.classes
    kinds = FIRES if (emotion >= 0).any() else FIRES[:2]
    columns, rows = [], []
    for u, au in enumerate(inputs.au_names):
        shown = inputs.present[:, u] == 1
        share = {e: shown[emotion == e].mean() for e in range(len(classes)) if (emotion == e).any()}
        likeliest = max(share, key=share.get, default=None)
        label = np.zeros(len(shown), bool) if likeliest is None else emotion == likeliest
        responses = planted_responses(inputs.present[:, u], inputs.subject, label, seed=seed + u)
        columns.append(responses[:, : len(kinds)])
        named = "" if likeliest is None else classes[likeliest]
        rows += [{"planted": au, "fires_on": fires, "emotion": named} for fires in kinds]
    x = np.concatenate(columns, 1)
    match, tested = measure.matched(x, inputs, least, bootstrap, permutations, seed)
    j = x.shape[1]
    found = Measured(
        layer=np.full(j, layer),
        filter=np.arange(j),
        active=np.ones(j, bool),
        kept=np.ones(j, bool),
        auc=np.full((j, len(inputs.au_names)), np.nan, np.float32),
        match=match,
        tested=tested,
        filters=random[0].filters,
    )
    prefers, _, prefers_auc = matching.emotion_preference(x, emotion, inputs.choose, len(classes), least)
    gathered = gather(found, measure.limits(found, random), inputs, prefers, prefers_auc, level)
    for row, e in zip(rows, gathered, strict=True):
        said = verdict.verdict(e)
        row |= {"au": e.au, "verdict": said.code, "words": said.words}
    return rows
