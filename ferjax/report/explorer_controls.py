"""The explorer's controls: what else passes the tests, and whether the pictures depend on the network."""

from collections.abc import Mapping
from html import escape

from ferjax.report import charts, parts
from ferjax.report.explorer_data import SURVIVES, number, texts, triple
from ferjax.report.explorer_filters import share

_BLIND, _SEES = 0.5, 0.25  # rank correlation after all weights are random: what counts as nearly the same
# picture for guided backpropagation, and as another one for the plain gradient


def networks(control: Mapping) -> str:
    """How many networks a control stands on, in words; "" where it does not say."""
    n = number(control.get("networks"))
    return "" if n is None else f"{n:,.0f} network{'s' * (n != 1)}"


def count(value: float) -> str:
    """A number of filters, which is a mean over networks in some controls."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def controls(summary: Mapping) -> str:
    """The controls side by side, and the layers with what random networks reach in each."""
    if not summary["controls"]:
        return parts.missing("summary.json holds no controls.") + _layers(summary)
    titles = {"significant": "Significant", "above": "Above random", "outside": "Outside emotion"}
    titles |= {"within": "Within emotion", "both": "Both", "kept": "Paper's rule keeps"}
    titles |= {"median_effect": "Median effect"}
    values = {k: [triple(c.get(k)) for c in summary["controls"]] for k in titles}
    counts = [v for k in titles if k != "median_effect" for t in values[k] for v in t if v is not None]
    most = max([1.0, *counts])
    rows = []
    for i, control in enumerate(summary["controls"]):
        cells = f"<th scope='row'>{escape(str(control.get('name') or 'unnamed'))}</th>"
        cells += f"<td>{networks(control).split(' ')[0]}</td>"
        for key in titles:
            effect = key == "median_effect"
            cells += _control(*values[key][i], 1.0 if effect else most, share if effect else count)
        value, low, high = triple(control.get("recurring"))
        cells += "<td></td>" if value is None else _control(value, low, high, 1.0, "{:.0%}".format)
        rows.append(cells)
    caption = (
        "Filters that pass, of this network and of its controls; below each number its range over networks. "
        "Random weights and shuffled labels show what comes without learning expressions; other seeds "
        f"should give as many. Marks run from 0 to {count(most)}; those of the median effect and of shared "
        "matches from 0 to 1. Shared: of the significant matches of either network, counted by layer and AU, "
        "the share that both have."
    )
    head = ["Network", "Networks", *titles.values(), "Shared matches"]
    out = parts.table(caption, head, rows, "controls")
    return out + planted(summary) + _layers(summary)


def _control(value, low, high, most, text) -> str:
    if value is None:
        return "<td></td>"
    ends = [float("nan") if v is None else v / most for v in (low, high)]
    small_text = ""
    if low is not None and high is not None and (low, high) != (value, value):
        small_text = f"<small>{text(low)} to {text(high)}</small>"
    return f"<td>{text(value)}{charts.whisker(value / most, *ends)}{small_text}</td>"


def _layers(summary: Mapping) -> str:
    rows = []
    for layer in summary["layers"]:
        size = layer.get("size")
        size = "x".join(str(v) for v in size) if isinstance(size, list) else ""
        cells = f"<th scope='row'>{escape(str(layer.get('name')))}</th>"
        for key in ("filters", "active"):
            v = number(layer.get(key))
            cells += f"<td>{'' if v is None else f'{v:,.0f}'}</td>"
        cells += f"<td>{escape(size)}</td>"
        v = number(layer.get("receptive_field"))
        cells += f"<td>{'' if v is None else f'{v:.0f} px'}</td>"
        rows.append(cells)
    if not rows:
        return parts.missing("summary.json holds no layers.")
    head = ["Layer", "Filters", "Active", "Map", "Receptive field"]
    return parts.table("Layers", head, rows)


def planted(summary: Mapping) -> str:
    """What is said of filters whose making is known, on this set; "" where none were tried."""
    rows = [p for p in summary["planted"] if p.get("planted") and p.get("fires_on")]
    if not rows:
        return ""
    kinds = list(dict.fromkeys(str(p["fires_on"]) for p in rows))
    body = []
    for au in dict.fromkeys(str(p["planted"]) for p in rows):
        cells = f"<th scope='row'>{escape(au)}</th>"
        for kind in kinds:
            said = next((p for p in rows if p["planted"] == au and p["fires_on"] == kind), {})
            verdict, of = str(said.get("verdict") or ""), str(said.get("au") or "")
            right = verdict == SURVIVES and of == au and kind == kinds[0]
            words = verdict + (f" ({of})" if verdict == SURVIVES and of != au else "")
            label = f" <small>{escape(str(said.get('emotion') or ''))}</small>" if kind == kinds[-1] else ""
            cells += f'<td class="left">{f"<b>{escape(words)}</b>" if right else escape(words)}{label}</td>'
        body.append(cells)
    counted = []
    for kind in kinds:
        some = [p for p in rows if p["fires_on"] == kind]
        called = sum(p.get("verdict") == SURVIVES for p in some)
        counted.append(f"{called} of {len(some)} made of {escape(kind)}")
    return (
        "<h3>What this set can show</h3><p>Filters were made to fire on one thing alone and treated like the "
        f"network's own. So many of them are called AU filters: {', '.join(counted)}. Where a filter made "
        "of an AU (ROC AUC about 0.92) is not called one, the set has too few pictures to tell.</p>"
        "<details><summary>AU by AU</summary>"
        + parts.table("", ["AU", *(f"Fires on {kind}" for kind in kinds)], body, "planted")
        + "</details>"
    )


def randomisation(summary: Mapping) -> str:
    """The randomisation test of every pixel method, and what it says of guided backpropagation."""
    methods = [m for m in summary["randomisation"] if texts(m.get("layers"))]
    if not methods:
        return parts.missing("summary.json holds no randomisation test of the pictures.")
    out = ""
    for of in dict.fromkeys(str(m.get("of") or "logits") for m in methods):
        out += _randomisation(of, [m for m in methods if str(m.get("of") or "logits") == of])
    return out


def _randomisation(of: str, methods: list[Mapping]) -> str:
    """The test of the pictures of a class's logit, or of a layer's filters."""
    layers = list(dict.fromkeys(layer for m in methods for layer in texts(m["layers"])))
    rows, last = [], {}
    for m in methods:
        cells = f"<th scope='row'>{escape(str(m.get('method')).replace('_', ' '))}</th>"
        found = dict(zip(texts(m["layers"]), _triples(m), strict=False))
        blank = m.get("undefined") if isinstance(m.get("undefined"), list) else []
        left = dict(zip(texts(m["layers"]), map(number, blank), strict=False))
        for layer in layers:
            value, low, high = found.get(layer, (None, None, None))
            if value is None:
                cells += "<td></td>"
                continue
            heat = min(1.0, max(0.0, value))
            css = ' class="hot"' if heat > 0.7 else ""
            small_text = "" if low is None or high is None else f"<small>{low:.2f} to {high:.2f}</small>"
            if left.get(layer):
                small_text += f"<small>{left[layer]:.0%} blank</small>"
            cells += f'<td{css} style="--share:{heat:.3f}">{value:.2f}{small_text}</td>'
        rows.append(cells)
        last[str(m.get("method"))] = found.get(layers[-1], (None,))[0]
    what = "the class that the network names" if of == "logits" else f"a filter of {escape(of)}"
    caption = (
        f"Pictures of {what}: rank correlation (Spearman) of a method's picture with its picture after the "
        "weights were made random from there down to the layer named (Adebayo et al. 2018). Near 1: the "
        "picture does not depend on these weights. Blank: left out, since one of the two pictures is blank."
    )
    table = parts.table(caption, ["Method", *layers], rows, "confusion")
    return f"{_verdict_on_guided(last, of)}{table}"


def truth(summary: Mapping) -> str:
    """Pixel methods scored where the answer is known, means over the units; "" where the set has no truth."""
    rows = [r for r in summary["truth"] if r.get("method") and r.get("reference")]
    if not rows:
        return ""
    references = {"shown": "what the unit changes", "slope": "where it changes fastest"}
    references |= {"region": "planted network: what it can read"}
    scores = {"pointing": "Pointing", "mass": "Mass", "rank": "Rank"}
    methods = list(dict.fromkeys(str(r["method"]) for r in rows))
    out = ""
    for reference, words in references.items():
        some = [r for r in rows if r["reference"] == reference]
        if not some:
            continue
        cells = []
        for method in methods:
            mine = [r for r in some if r["method"] == method]
            row = f"<th scope='row'>{escape(method.replace('_', ' '))}</th>"
            for score in scores:
                values = [r.get(score) if isinstance(r.get(score), list) else [] for r in mine]
                value, other = (_mean([number(v[i]) for v in values if len(v) > i]) for i in (0, 3))
                beside = "" if other is None else f"<small>other faces {other:.2f}</small>"
                row += "<td></td>" if value is None else f"<td>{value:.2f}{beside}</td>"
            cells.append(row)
        area = _mean([number(r.get("area")) for r in some])
        targets = len({str(r.get("target")) for r in some})
        chance = "" if area is None else f" Noise would have {area:.2f} in pointing and mass, 0 in rank."
        of = f", mean of {targets} action units" if targets > 1 else ""
        out += parts.table(f"Against {words}{of}.{chance}", ["Method", *scores.values()], cells)
    return (
        "<h3>Where the answer is known</h3><p class='soft'>Pointing: the picture is largest inside the "
        "region. "
        "Mass: share of it inside. Rank: rank correlation with the evidence. Small: the same pictures "
        "against other people's evidence. The edge detector knows no network.</p>" + out
    )


def _mean(values: list) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def _triples(m: Mapping) -> list[tuple]:
    low, high = (m.get(k) if isinstance(m.get(k), list) else [] for k in ("low", "high"))
    values = m.get("spearman") if isinstance(m.get("spearman"), list) else []

    def at(of: list, i: int):
        return number(of[i]) if i < len(of) else None

    return [(number(v), at(low, i), at(high, i)) for i, v in enumerate(values)]


def _verdict_on_guided(last: Mapping[str, float | None], of: str) -> str:
    """What the numbers say of guided backpropagation, where they say something."""
    guided = next((v for m, v in last.items() if m.lower().startswith("guided") and v is not None), None)
    plain = next((v for m, v in last.items() if m.lower() == "gradient" and v is not None), None)
    if guided is None or plain is None:
        return ""
    whose = "of classes" if of == "logits" else "of filters"
    numbers = f"with all weights random its pictures {whose} still correlate {guided:.2f} with the true ones"
    if guided >= _BLIND and plain <= _SEES:
        return (
            f"<p><b>Guided backpropagation shows much of the input whatever the weights</b>: {numbers}, "
            f"those of the plain gradient {plain:.2f}. Its pictures tell where edges are as well as what the "
            "network has learned.</p>"
        )
    return f"<p>Guided backpropagation: {numbers}, those of the plain gradient {plain:.2f}.</p>"
