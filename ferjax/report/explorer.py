"""The attribution explorer: one page that opens from disk, to look through filters and action units.

Reads what `ferjax attribute` wrote (docs/attribution.md) and computes nothing new.
"""

import base64
import hashlib
import pathlib
from collections.abc import Mapping
from html import escape
from urllib.parse import quote

from data_pipelines import BadInput
from ferjax import files
from ferjax.report import explorer_controls, explorer_data, explorer_filters, explorer_pictures, parts
from ferjax.report.explorer_controls import count, networks
from ferjax.report.explorer_data import Attribution, number, texts, triple
from ferjax.report.explorer_filters import safe_json, small
from ferjax.report.explorer_style import CSS

_SCRIPT = pathlib.Path(__file__).with_name("explorer.js")
GLOSSARY = {
    "Effect": "ROC AUC: probability that an input with the action unit (AU) excites the filter more than one "
    "without it. 0.5 is chance, 1 is perfect. The AU is matched on one half of the subjects, the effect "
    "measured on the other half.",
    "Random networks": "the same network with random weights, never trained. A filter must exceed the 95th "
    "percentile of effect of their filters in the same layer that are matched to the same AU (of all in the "
    "layer, where fewer than 20 are). A random network is judged by the others.",
    "Within emotion": "the effect among inputs of one and the same emotion, so that it cannot come from the "
    "emotion label. A filter that passes overall but not here is called an emotion filter.",
    "Outside emotion": "the effect on inputs that belong to no emotion class.",
    "p, q, p_max": "permutation test of the effect on the measuring half, AU codes exchanged between the "
    "inputs of one person; q, its false discovery rate over all filters (Benjamini & Hochberg 1995); p_max, "
    "the max-statistic's p, which holds for all filters at once and decides where there are too few "
    "permutations for q (the settings name the one in use). In the bars of one filter, p and q are of all "
    "inputs and allow for all pairs of a filter and an AU.",
    "P[j,u]": "Breuer & Kimmel 2017: share of the filter's top inputs that show the AU; they reject a filter "
    "below 1.",
    "AP": "average precision; chance is the share of inputs with the AU.",
    "Ablation": "filters are set to their mean on neutral faces; how far the AU's logit falls, beside others "
    "of the same layer that answer about as strongly (0.8 to 1.25 times, on average) and are not matched to "
    "the AU. A filter without an effect exceeds all of 20 such filters about once in 21 times.",
    "AU head": "a linear read-out of the AU from the network, on subjects it was not fitted on.",
    "Guided, deconvnet": "guided backpropagation (Springenberg et al. 2015) and deconvnet (Zeiler & Fergus "
    "2014): pixels that raise the filter's activation. Mid-grey is zero; each picture has its own scale.",
}


def write_explorer(workdir, data: str, faces: bool = True) -> pathlib.Path:
    """Writes W/report/attribution-<data>.html, one file that opens from disk and loads nothing.

    The same files give the same page, byte for byte. A file that is missing or broken is named there.

    Args:
      workdir: W.
      data: name of a folder in W/attribution.
      faces: False embeds no picture of an input, nor what is made from one, and the page says so.
    Returns:
      The page's path.
    Raises:
      BadInput: no such attribution, its summary.json is missing or cannot be read, or the page cannot be
        written.
    """
    workdir = pathlib.Path(workdir)
    if data != pathlib.PurePath(data).name or data in ("", ".", ".."):
        raise BadInput(f"--data {data}: give the name of a folder in {workdir / 'attribution'}")
    return _write(workdir, explorer_data.read(workdir / "attribution" / data), faces)


def _write(workdir: pathlib.Path, found: Attribution, faces: bool) -> pathlib.Path:
    out = workdir / "report" / f"attribution-{found.name}.html"
    files.write(out, page(found, faces).encode())
    return out


def write_explorers(workdir: pathlib.Path, faces: bool = True) -> str:
    """Writes the page of every folder in W/attribution.

    Returns:
      HTML that names each with its headline, or what is wrong with it; "" where there is none.
    Raises:
      BadInput: a page cannot be written.
    """
    out = ""
    for folder in sorted(p for p in (workdir / "attribution").glob("*") if p.is_dir()):
        try:
            found = explorer_data.read(folder)
        except BadInput as error:
            out += parts.missing(str(error).removeprefix(f"{workdir}/"))
            continue
        link = quote(_write(workdir, found, faces).name)
        words = _sentence(found.summary) or "Its summary holds no headline."
        out += f'<p><a href="{link}">{escape(folder.name)}</a>: {words}</p>'
    return out


def page(a: Attribution, faces: bool) -> str:
    """The whole page; `faces` as in write_explorer."""
    sections = {
        "controls": ("Controls", explorer_controls.controls(a.summary)),
        "aus": ("Action units", explorer_filters.au_section(a)),
        "filters": ("Filters", explorer_filters.filter_section(a, faces)),
        "randomisation": (
            "Are the pictures about the network?",
            explorer_controls.randomisation(a.summary) + explorer_controls.truth(a.summary),
        ),
        "settings": ("Settings and provenance", _settings(a.summary)),
        "glossary": ("Glossary", parts.facts({k: escape(v) for k, v in GLOSSARY.items()})),
    }
    name = escape(str(a.summary.get("data") or a.name))
    links = "".join(f'<a href="#{key}">{title}</a>' for key, (title, _) in sections.items())
    body = "".join(
        f'<section id="{key}" aria-labelledby="{key}-h"><h2 id="{key}-h">{title}</h2>{content}</section>\n'
        for key, (title, content) in sections.items()
    )
    script = _SCRIPT.read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    style, pictures = CSS, ""
    if a.top and faces:
        keys = [f["key"] for f in a.filters]
        sheet = explorer_pictures.thumbnails(a.top, keys)
        style += f".thumb {{ background-image: url(data:image/jpeg;base64,{sheet}); }}\n"
        packed = explorer_pictures.sprites(a.top, keys)
        pictures = "".join(
            f'<script type="application/json" id="sprite-{i}">{safe_json(packed[key])}</script>\n'
            for i, key in enumerate(keys)
            if key in packed
        )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{allowed}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name} - ferjax attribution</title><style>{style}</style></head>\n"
        '<body class="explorer"><a class="skip" href="#filters">Skip to the filters</a>'
        f"<header><h1>What the filters see: {name}</h1>{_headline(a)}</header>\n"
        f'<nav aria-label="Sections">{links}</nav>\n<main>{body}</main>\n'
        f'<script type="application/json" id="data">{explorer_filters.script_data(a, faces)}</script>\n'
        f"<script>{script}</script>\n{pictures}</body></html>\n"
    )


def _sentence(summary: Mapping) -> str:
    """The finding in one sentence of HTML; "" where the summary has no headline."""
    both, of = (number(summary["headline"].get(k)) for k in ("both", "filters"))
    if both is None or of is None:
        return ""
    return (
        f"<b>{both:,.0f} of {of:,.0f}</b> filters follow an action unit more closely than random networks do "
        "(above the 95th percentile of theirs), both outside the emotion classes and within one emotion."
    )


def _headline(a: Attribution) -> str:
    s, h = a.summary, a.summary["headline"]
    out = "".join(parts.missing(f"{k}: {v}.") for k, v in a.problems.items() if k == "summary.json")
    both, of = number(h.get("both")), number(h.get("filters"))
    cards = ""
    if both is None or of is None:
        out += parts.missing("summary.json holds no headline (filters, both).")
    else:
        out += f'<p class="lead">{_sentence(s)} {_against_random(s, both)}</p>'
        cards += _card("This network", f"{both:,.0f}", f"of {of:,.0f} filters, outside and within emotion")
    for control in s["controls"]:
        value, low, high = triple(control.get("both"))
        if control.get("kind") == "trained" or value is None:
            continue
        spread = "" if low is None or high in (None, low) else f", {count(low)} to {count(high)}"
        cards += _card(str(control.get("name") or "control"), count(value), networks(control) + spread)
    p = {k: number(v) for k, v in s["paper"].items() if k != "layer"}
    if p.get("rejected") is not None and p.get("active") is not None:
        theirs = ""
        if p.get("paper_rejected") is not None and p.get("paper_active") is not None:
            theirs = f" (paper, as commonly quoted: {p['paper_rejected']:.0f} of {p['paper_active']:.0f})"
        layer = f" of {s['paper'].get('layer')}" if s["paper"].get("layer") else ""
        cards += _card(
            "Paper's rule rejects",
            f"{p['rejected']:,.0f}",
            f"of {p['active']:,.0f} active filters{layer}{theirs}",
        )
    counts = [(number(h.get(k)), w) for k, w in _STEPS]
    steps = ", ".join(f"{v:,.0f} {w}" for v, w in counts if v is not None)
    facts = {"Of these filters": steps, "Causes": _causes(s), "Measured on": _inputs(s)}
    notes = "".join(f"<p class='note'>{escape(n)}</p>" for n in texts(s["notes"]))
    return f'{out}<div class="cards">{cards}</div>{parts.facts({k: v for k, v in facts.items() if v})}{notes}'


_STEPS = (
    ("active", "active"),
    ("significant", "match an AU significantly"),
    ("above", "exceed random networks"),
    ("outside", "also outside emotion"),
    ("within", "within emotion"),
    ("both", "both"),
)


def _card(label: str, value: str, words: str) -> str:
    return (
        f'<div class="card"><span class="label">{escape(label)}</span><b>{escape(value)}</b>'
        f"<span>{escape(words)}</span></div>"
    )


def _against_random(summary: Mapping, both: float) -> str:
    for control in summary["controls"]:
        _, low, high = triple(control.get("both"))
        if control.get("kind") == "random" and low is not None and high is not None:
            span = count(low) if low == high else f"{count(low)} to {count(high)}"
            if both == 0:
                return f"Random networks, treated alike, give {span}."
            if both > high:
                return f"Random networks, treated alike, give {span}{_least_p(control)}."
            return (
                f"Random networks, treated alike, give {span}: <b>this count is no evidence</b> that "
                "training made them."
            )
    return ""


def _inputs(summary: Mapping) -> str:
    c = {k: number(v) for k, v in summary["counts"].items()}
    words = [
        (c.get(key), text)
        for key, text in (
            ("inputs", "inputs"),
            ("sequences", "sequences"),
            ("subjects", "subjects"),
            ("with_emotion", "inputs with an emotion"),
            ("without_emotion", "without"),
            ("subjects_seen_in_training", "subjects seen in training"),
        )
    ]
    out = ", ".join(f"{v:,.0f} {text}" for v, text in words if v is not None)
    choose, measure = c.get("choosing_subjects"), c.get("measuring_subjects")
    if choose is not None and measure is not None:
        out += f"; matched on {choose:,.0f} subjects, measured on {measure:,.0f} others"
    return out


def _least_p(control: Mapping) -> str:
    """How much it can mean to exceed every network of a control."""
    n = number(control.get("networks"))
    if not n:
        return ""
    return f"; to exceed all of {n:,.0f} by chance has a probability of 1 in {n + 1:,.0f}, and no less"


def _causes(summary: Mapping) -> str:
    """Of the matched filters, how many the AU's logit needs; "" where the summary does not say."""
    found = summary.get("causes")
    c = {k: v for k, v in found.items() if isinstance(v, list)} if isinstance(found, dict) else {}

    def share(key: str) -> str:
        stronger, comparable, _ = triple(c.get(key))
        if stronger is None or not comparable:
            return ""
        return f"{stronger:,.0f} of {comparable:,.0f} ({stronger / comparable:.0%})"

    matched, other, random, rest = map(share, ("matched", "other", "random_matched", "random_other"))
    if not matched:
        return ""
    out = f"set to neutral, {matched} significant filters lower their AU's logit more than any of 20 filters "
    out += "of alike activation" + (f", of the others {other}" if other else "")
    if random:
        out += f"; in random networks {random}" + (f" and {rest}" if rest else "")
    return f"{out}; luck: 5%"


def _settings(summary: Mapping) -> str:
    s = summary["settings"]
    names = {
        "top_n": "Top inputs of a filter",
        "threshold": "AU counts as present from intensity",
        "least": "Least inputs with an AU",
        "permutations": "Permutations of a match",
        "permutations_of_pairs": "Permutations of all pairs",
        "smallest_p": "Smallest p attainable",
        "fdr": "Level of significance",
        "significant_by": "Significant by",
        "random_networks": "Random networks",
        "bootstrap": "Bootstrap resamples",
        "intervals_over": "Intervals over",
    }
    facts = {}
    for key in (*names, *(k for k in s if k not in names)):
        if key in s:
            value = number(s[key])
            text = str(s[key]) if value is None or isinstance(s[key], str) else f"{value:,.10g}"
            facts[names.get(key, str(key))] = small(value, True) if key == "smallest_p" else escape(text)
    out = parts.facts(facts) if facts else parts.missing("summary.json holds no settings.")
    if summary["left_out"]:
        alike: dict[tuple, list[str]] = {}
        for e in summary["left_out"]:
            alike.setdefault((number(e.get("present")), str(e.get("why") or "")), []).append(
                str(e.get("name"))
            )
        rows = [
            f"<th scope='row'>{escape(', '.join(names))}</th>"
            f"<td>{'' if present is None else count(present)}</td><td class='left'>{escape(why)}</td>"
            for (present, why), names in alike.items()
        ]
        head = ["AU", "Inputs", "Why"]
        out += f"<h3>Action units left out</h3>{parts.table('', head, rows, 'reasons')}"
    keys = {
        "created": "Written",
        "split": "Split",
        "rule": "Its pictures",
        "split_hash": "Split hash",
        "config_hash": "Config hash",
        "checkpoint_step": "Checkpoint step",
        "seed": "Seed",
        "device": "Device",
        "wall_time_s": "Seconds taken",
        "git_revision": "Git revision",
    }
    facts = {
        title: f"<span class='mono'>{escape(str(summary[key]))}</span>"
        for key, title in keys.items()
        if summary.get(key) is not None
    }
    versions = ", ".join(f"{package} {version}" for package, version in summary["versions"].items())
    facts |= {"Versions": escape(versions)} if versions else {}
    return f"{out}<h3>Provenance</h3>{parts.facts(facts)}"
