"""The explorer's action units and filters: the tables, and the numbers that its script shows on demand."""

import json
from collections.abc import Mapping
from html import escape
from urllib.parse import quote

from ferjax.report import explorer_pictures, parts
from ferjax.report.explorer_data import PAIR_NUMBERS, SURVIVES, VERDICTS, Attribution, number, texts, triple
from ferjax.report.explorer_face import PLACES, face

CORRECTIONS = {
    "q": "Benjamini-Hochberg false discovery rate of the permutation test",
    "p_max": "p of the permutation test by the max-statistic, which allows for all filters",
}
COLUMNS = (  # key of the sort, title, what it is
    ("layer", "Layer", "layer of the network"),
    ("filter", "Filter", "its number in the layer"),
    ("au", "AU", "action unit matched on the choosing half of the subjects"),
    ("auc", "Effect", "ROC AUC of the filter for its AU on the measuring half, with its interval"),
    ("auc_within", "Within", "the same among inputs of one emotion (stratified)"),
    ("auc_outside", "Outside", "the same on inputs outside the emotion classes"),
    ("q", "q", CORRECTIONS["q"]),
    ("verdict", "Verdict", "what the controls leave of the match"),
)
_LEFT = ("layer", "au", "verdict")  # texts


def au_section(a: Attribution) -> str:
    """The face map, the table of action units with a button each, and what is known of each unit."""
    if not a.aus:
        return parts.missing("summary.json and filters.csv name no action unit.")
    matched = {name: [f for f in a.filters if f["au"] == name] for name in a.aus}
    survive = {name: sum(f["verdict"] == SURVIVES for f in of) for name, of in matched.items()}
    heads = {str(entry.get("au")): entry for entry in a.summary["heads"]}
    ablation = {str(entry.get("au")): entry for entry in a.summary["ablation"]}
    made: dict[str, str] = {}  # the first of an AU is the filter that fires on it
    for entry in a.summary["planted"]:
        made.setdefault(str(entry.get("planted")), str(entry.get("verdict") or ""))
    rows, articles = [], ""
    for i, (name, au) in enumerate(a.aus.items()):
        head, cut = heads.get(name, {}), ablation.get(name, {})
        rows.append(
            f'<th scope="row"><button type="button" class="pick" data-au="{escape(name)}" '
            f'aria-pressed="false" aria-controls="au-{i}">{escape(name)}</button></th>'
            f'<td class="left">{escape(au["facs"])}</td><td>{_count(au["present"])}</td>'
            f"<td>{survive[name] if a.filters else ''}</td>"
            f"<td>{share(number(head.get('auc')))}</td><td>{_drop(cut)}</td>"
        )
        articles += _article(i, au, matched[name], head, cut, made.get(name, ""))
    head = ["AU", "FACS name", "Inputs", "AU filters", "Head AUC", "Ablation"]
    table = parts.table("", head, rows, "aus")
    nowhere = [name for name in a.aus if name not in PLACES]
    note = f"<p class='soft'>Not drawn: {escape(', '.join(nowhere))}.</p>" if nowhere else ""
    return (
        '<p class="soft hint">Choose an action unit on the face or in the table. Tinted places: at least one '
        f'filter survives for it.</p><div class="three"><div class="map">{face(survive)}{note}</div>{table}'
        '<div id="au-panel" class="panel" role="region" aria-live="polite" '
        f'aria-label="The action unit chosen">{articles}</div></div>'
    )


def _article(i: int, au: Mapping, matched: list[dict], head: Mapping, cut: Mapping, made: str) -> str:
    name = escape(au["name"])
    facts = {"Seen in": f"{_of(au)} inputs"}
    if au["together_with"]:
        facts["Nearly always with"] = escape(", ".join(au["together_with"]))
    if au["comes_with"]:
        facts["Nearly always shown with it"] = escape(", ".join(au["comes_with"]))
    auc = number(head.get("auc"))
    if auc is None:
        facts["AU head"] = "none was measured"
    else:
        words = f"ROC AUC {share(auc)}{between(head.get('low'), head.get('high'))}"
        random = number(head.get("random_auc"))
        facts["AU head"] = words + (f"; on random networks {share(random)}" if random is not None else "")
    facts["Ablation"] = _ablation(cut)
    if made:
        facts["A filter made of it"] = f"is called: {escape(made)}"
    chips = ""
    for verdict in (*VERDICTS[:4], *sorted({f["verdict"] for f in matched} - set(VERDICTS))):
        of = sorted((f for f in matched if f["verdict"] == verdict), key=lambda f: -(f["auc"] or 0))
        if of:
            title = escape(verdict) or "no verdict"
            chips += f'<h4>{title} <span class="soft">({len(of)})</span></h4>{_chips(of)}'
    rest = sum(f["verdict"] in VERDICTS[4:] for f in matched)
    chips += f"<p class='soft'>{rest} more lean to it, without a significant match.</p>" if rest else ""
    if not matched:
        chips = "<p>No filter is matched with it.</p>"
    else:
        chips += f'<p><button type="button" class="only" data-au="{name}">Show its filters in the table'
        chips += "</button></p>"
    return (
        f'<article id="au-{i}" data-au="{name}"><h3>{name} '
        f'<span class="soft">{escape(au["facs"])}</span></h3>'
        f"{parts.facts(facts)}{chips}</article>"
    )


def _chips(of: list[dict]) -> str:
    """Links to filters by their numbers, a line a layer."""
    out = ""
    for layer in dict.fromkeys(f["layer"] for f in of):
        links = " ".join(
            f'<a href="#filter={address(f["key"])}" title="{escape(f["key"])}">{f["filter"]}</a>'
            for f in of
            if f["layer"] == layer
        )
        out += f'<p class="chips"><span class="soft">{escape(layer)}:</span> {links}</p>'
    return out


def _ablation(cut: Mapping) -> str:
    """The ablation's result as a sentence in HTML."""
    drop = number(cut.get("drop"))
    if drop is None:
        return "not measured"
    filters = texts(cut.get("filters"))
    which = f"{len(filters)} matched filter{'s' * (len(filters) != 1)}"
    out = f"with {which} set to neutral, the AU's logit falls by {number_text(drop)}"
    out += between(cut.get("low"), cut.get("high"), 2)
    mean, most, others = (number(cut.get(k)) for k in ("random_mean", "random_95", "others_drop"))
    if mean is not None:
        out += f"; for random filters of alike activation by {number_text(mean)}"
        out += f" (95th percentile {number_text(most)})" if most is not None else ""
    if others is not None:
        out += f"; the other AUs by {number_text(others)}"
    if isinstance(cut.get("stronger"), bool):
        out += f": <b>{'' if cut['stronger'] else 'not '}more</b> than 95 % of random sets"
    elif (like := number(cut.get("share"))) is not None:
        out += f": not comparable, the random filters' mean activation is {like:.2f} times theirs"
    elif mean is None:
        out += ": not comparable, too few filters are left to stand in"
    return out + "."


def _drop(cut: Mapping) -> str:
    drop = number(cut.get("drop"))
    if drop is None:
        return ""
    words = ""
    if isinstance(cut.get("stronger"), bool):
        words = "more" if cut["stronger"] else "not more"
    return f"{drop:.2f} <small>{words}</small>".replace("-0.00 ", "0.00 ")


def filter_section(a: Attribution, faces: bool) -> str:
    """The table of filters with its choices, and the empty panel that the script fills."""
    if not a.filters:
        return _problems(a, "filters.csv", "no table of filters")
    rank = {verdict: i for i, verdict in enumerate(VERDICTS)}
    order = sorted(range(len(a.filters)), key=lambda i: _first(a.filters[i], rank))
    by = a.summary["settings"].get("significant_by")
    by = by if isinstance(by, str) and by in CORRECTIONS else "q"
    columns = [(by, by, CORRECTIONS[by]) if key == "q" else (key, *rest) for key, *rest in COLUMNS]
    body = "".join(_row(a.filters[i], i, rank, a.top is not None and faces, by) for i in order)
    heads = "".join(
        f'<th scope="col" class="{"left" if key in _LEFT else ""}" title="{escape(what)}" '
        f'aria-sort="{"ascending" if key == "verdict" else "none"}">'
        f'<button type="button" data-column="{column}">{title}</button></th>'
        for column, (key, title, what) in enumerate(columns, 1)
    )
    layers = list(dict.fromkeys(f["layer"] for f in a.filters))
    seen = {f["verdict"] for f in a.filters}
    verdicts = [v for v in VERDICTS if v in seen] + sorted(v for v in seen - set(VERDICTS) if v)
    units = [au for au in a.aus if any(f["au"] == au for f in a.filters)]
    choices = "".join(
        f'<label>{title} <select data-choice="{key}"><option value="">all</option>'
        + "".join(f"<option>{escape(value)}</option>" for value in values)
        + "</select></label>"
        for key, title, values in (
            ("layer", "Layer", layers),
            ("verdict", "Verdict", verdicts),
            ("au", "AU", units),
        )
    )
    out = "".join(_problems(a, file, then) for file, then in _FILES.items() if file in a.problems)
    if not faces:
        out += "<p class='note'>Written without faces (--no-faces): pictures of inputs are left out.</p>"
    survive = sum(f["verdict"] == SURVIVES for f in a.filters)
    paper = f"{survive} of {len(a.filters)} filters are called AU filters; only these are printed."
    return (
        f'{out}<p class="only-print">{paper}</p><div class="bench"><div class="side">'
        f'<div class="choices">{choices}<button type="button" id="all">Show all</button> '
        f'<output id="count" class="soft">{len(a.filters)} of {len(a.filters)} filters</output></div>'
        '<div class="rows"><table class="filters" role="grid" aria-label="Filters; arrow keys choose one">'
        f'<thead><tr><td></td>{heads}</tr></thead><tbody id="rows">{body}</tbody></table></div></div>'
        '<div id="panel" class="panel" role="region" tabindex="0" aria-label="The filter chosen">'
        '<p class="soft">Choose a filter in the table: click it, or move with the arrow keys.</p></div></div>'
    )


_FILES = {
    "filters.csv": "what is there of filters is shown",
    "pairs.csv": "no action unit's bars",
    "top.npz": "no pictures",
}


def _problems(a: Attribution, file: str, then: str) -> str:
    return parts.missing(f"{file}: {a.problems.get(file, 'holds no row')}; {then}.")


def _first(f: Mapping, rank: Mapping[str, int]) -> tuple:
    return rank.get(f["verdict"], len(rank)), -(f["auc"] or 0), f["layer"], f["filter"]


def _row(f: Mapping, i: int, rank: Mapping[str, int], thumb: bool, by: str) -> str:
    place = ""
    if thumb:
        x, y = i % explorer_pictures.ACROSS, i // explorer_pictures.ACROSS
        place = f'<i class="thumb" style="--x:{x};--y:{y}"></i>'
    effect = _interval(f, "auc", "auc_low", "auc_high")
    verdict = f["verdict"]
    css = " survives" if verdict == SURVIVES else ""
    cells = (
        f"<td>{place}</td>"
        f'<td class="left" data-v="{escape(f["layer"])}">{escape(f["layer"])}</td>'
        f'<td data-v="{f["filter"]}">{f["filter"]}</td>'
        f'<td class="left" data-v="{escape(f["au"])}">{escape(f["au"])}</td>'
        f'<td data-v="{_value(f["auc"])}">{share(f["auc"])}{effect}</td>'
    )
    for key, low, high in (
        ("auc_within", "within_low", "within_high"),
        ("auc_outside", "outside_low", "outside_high"),
    ):
        cells += f'<td data-v="{_value(f[key])}">{share(f[key])}{_interval(f, key, low, high)}</td>'
    cells += f'<td data-v="{_value(f[by])}">{small(f[by])}</td>'
    order = rank.get(verdict, len(rank))
    cells += f'<td class="left" data-v="{order}"><span class="verdict v{order}">{escape(verdict)}</span></td>'
    return f'<tr data-i="{i}" tabindex="-1" class="row{css}" aria-selected="false">{cells}</tr>'


def _interval(f: Mapping, value: str, low: str, high: str) -> str:
    if f[value] is None or f[low] is None or f[high] is None:
        return ""
    return f"<small>{share(f[low])}&ndash;{share(f[high])}</small>"


def script_data(a: Attribution, faces: bool) -> str:
    """What the script shows of a filter on demand, as JSON that is safe inside a <script>."""
    units = list(a.aus)
    bands = {str(e.get("name")): e.get("random_band") for e in a.summary["layers"]}
    shown = []
    for f in a.filters:
        entry = {k: f[k] for k in ("key", "au", "verdict", "words", "layer")}
        of = a.pairs.get(f["key"], {})
        entry["facts"] = _facts(f)
        band = bands.get(f["layer"]) if isinstance(bands.get(f["layer"]), dict) else {}
        entry["null"] = [list(triple(band.get(au))[:2]) for au in units]
        entry["pairs"] = [
            [units.index(au), *(_round(values[name]) for name in PAIR_NUMBERS)]
            for au, values in sorted(of.items(), key=lambda pair: units.index(pair[0]) if pair[0] else -1)
            if au
        ]
        entry["top"] = _inputs(a, f["key"]) if a.top and f["key"] in a.top.place else []
        shown.append(entry)
    out = {
        "filters": shown,
        "aus": [[au["name"], au["facs"]] for au in a.aus.values()],
        "columns": PAIR_NUMBERS,
    }
    if a.top:
        h, w, by = explorer_pictures.scale(a.top)
        out["picture"] = {"h": h, "w": w, "by": by, "n": a.top.index.shape[1], "faces": faces}
    return safe_json(out)


def _facts(f: Mapping) -> list[list[str]]:
    """Terms and values of one filter, plain text; what is not there is left out."""

    def interval(value, low, high) -> str:
        return share(f[value]) + between(f[low], f[high])

    def side(name) -> str:
        found = interval(f"auc_{name}", f"{name}_low", f"{name}_high")
        n = [f[f"{name}_{key}"] for key in ("present", "absent")]
        if not found:
            return "" if None in n else f"not measured: {n[0]:.0f} with it, {n[1]:.0f} without"
        if f[f"random_95_{name}"] is not None:
            found += f"; random networks reach {share(f[f'random_95_{name}'])}"
        return found + ("" if None in n else f"; inputs: {n[0]:.0f} with it, {n[1]:.0f} without")

    counts = ", ".join(f"{f[k]:.0f} {k}" for k in ("present", "absent") if f[k] is not None)
    counts = counts and f"; inputs: {counts}"
    matched = f["au"] + (f" (nearly always with {f['together'].replace(';', ', ')})" if f["together"] else "")
    top = "" if f["p_top_n"] is None else f"{share(f['p_top_n'])} for {f['au_top_n'] or 'its best AU'}"
    if top and f["rejected"] is not None:
        top += ": rejected, as below 1" if f["rejected"] else ": kept"
    emotion = f["emotion"] and f["emotion"] + (
        f", ROC AUC {share(f['emotion_auc'])}" if f["emotion_auc"] is not None else ""
    )
    effect, choose = interval("auc", "auc_low", "auc_high"), share(f["auc_choose"])
    grads = [number_text(f[k]) for k in ("grad_present", "grad_absent")]
    if f["implied"]:
        matched += f"; {f['implied'].replace(';', ', ')} nearly always shown with it"
    p = [f"{k} {small(f[k], True)}" for k in ("p", "q") if f[k] is not None]
    p += [f"max-statistic p {small(f['p_max'], True)}"] if f["p_max"] is not None else []
    most, others = f["ablation_limit"], f["ablation_others"]
    ablation = number_text(f["ablation_drop"])
    if ablation and most is not None:
        ablation += f"; of 20 filters like it at most {number_text(most)}"
    elif ablation and f["ablation_share"] is not None:
        ablation += (
            f"; no filters like it (the nearest answer {number_text(f['ablation_share'])} times as strongly)"
        )
    if ablation and others is not None:
        ablation += f"; the other AUs' by {number_text(others)}"
    random = "" if f["random_95"] is None else f"; random networks reach {share(f['random_95'])}"
    if effect and f["d"] is not None:
        effect += f", Cohen's d {f['d']:.2f}"
    facts = [
        ("Matched AU", matched + (f", {choose} on the choosing half" if choose else "")),
        ("Effect", effect and f"ROC AUC {effect}{random}{counts}"),
        ("Within emotion", side("within")),
        ("Outside emotion", side("outside")),
        ("Average precision", share(f["ap"])),
        ("Permutation test", ", ".join(p)),
        ("Paper's P[j,u]", top),
        ("Emotion preferred", emotion),
        ("Gradient x activation", f"AU present {grads[0]}, absent {grads[1]}" if all(grads) else ""),
        ("Ablation, logit falls by", ablation),
    ]
    return [[term, value] for term, value in facts if value]


def _inputs(a: Attribution, key: str) -> list[list]:
    """The top inputs that are there: column in the sprite, activation, box, name."""
    top = a.top
    j = top.place[key]
    return [
        [i, _round(number(float(top.activation[j, i]))), top.box[j, i].tolist(), top.id[top.index[j, i]]]
        for i in range(top.index.shape[1])
        if top.index[j, i] >= 0
    ]


def safe_json(value) -> str:
    """JSON that no text in it can lead out of a <script>."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def address(key: str) -> str:
    """A name as the part of a link after "#filter="."""
    return quote(key, safe="/:")


def share(value: float | None) -> str:
    """An AUC or a share, "" where there is none."""
    return "" if value is None else f"{value:.2f}"


def small(value: float | None, exact: bool = False) -> str:
    """A p or q value; those below 0.001 only so, unless exactly."""
    if value is None:
        return ""
    if value >= 0.001 or value == 0:
        return f"{value:.3f}"
    return f"{value:.1e}".replace("e-0", "e-") if exact else "<0.001".replace("<", "&lt;")


def number_text(value: float | None) -> str:
    """A number without a scale of its own, to three digits."""
    return "" if value is None else f"{value:.3g}"


def between(low, high, digits: int = 2) -> str:
    """The interval in brackets; "" where there is none."""
    low, high = number(low), number(high)
    return "" if low is None or high is None else f" ({low:.{digits}f} to {high:.{digits}f})"


def _of(au: Mapping) -> str:
    present, known = au["present"], au["known"]
    if present is None:
        return "unknown"
    return f"{present:,.0f}" + (f" of {known:,.0f}" if known is not None else "")


def _value(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _round(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
