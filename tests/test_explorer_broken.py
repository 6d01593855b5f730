"""The attribution explorer of files that are missing, broken or hostile."""

import csv
import json

import explorer_files
import numpy as np
import pytest
from explorer_files import edit, html_of, rows_of
from test_report import Page

from data_pipelines import BadInput
from ferjax import report
from ferjax.report import explorer_data, explorer_filters

EVIL = "</script><img src=x onerror=\"document.title='taken'\"><!--<script>&amp;'"

BROKEN = [
    ("filters.csv", None, "filters.csv: missing; what is there of filters is shown"),
    ("filters.csv", b"", "filters.csv: has no column layer, filter, au"),
    ("filters.csv", b"\xff\xfe\x00", "filters.csv: cannot be read"),
    (
        "filters.csv",
        b"layer,filter,verdict\nblock1/relu,0,unclear\n",
        "filters.csv: has no column au, together",
    ),
    ("filters.csv", b"layer,filter\nblock1/relu,x\n,\n", "filters.csv: has no column"),
    ("pairs.csv", None, "pairs.csv: missing; no action unit's bars"),
    ("pairs.csv", b"layer,filter,au,auc\nblock1/relu,0,AU12,lots\n", "pairs.csv: has no column present"),
    ("top.npz", None, "top.npz: missing; no pictures"),
    ("top.npz", b"", "top.npz: cannot be shown"),
    ("top.npz", b"PK\x03\x04nothing", "top.npz: cannot be shown"),
]


@pytest.mark.parametrize(("name", "content", "words"), BROKEN)
def test_what_is_missing_or_broken_is_named_and_the_rest_shown(explorer_copy, visit, name, content, words):
    path = explorer_copy / "attribution" / "made_up" / name
    path.unlink() if content is None else path.write_bytes(content)
    html = report.write_explorer(explorer_copy, "made_up")
    page = Page(html)
    assert words in page.text and not page.open
    assert "2 of 14 filters follow" in page.text or "3 of 14 filters follow" in page.text
    screen = visit(html)
    assert screen.locator("#panel h3").inner_text().startswith("block")  # filters are there, by name at least


def test_rows_that_cannot_be_read_are_counted(explorer_copy):
    path = explorer_copy / "attribution/made_up/filters.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], "block1/relu,seven", lines[2], *lines[3:]]))
    assert (
        "left out 1 rows that name no layer and filter"
        in Page(report.write_explorer(explorer_copy, "made_up")).text
    )
    path.write_text("\n".join([*lines[:3], lines[2], *lines[3:]]))
    page = Page(report.write_explorer(explorer_copy, "made_up"))
    assert "names a filter twice" in page.text and len(set(page.ids)) == len(page.ids)


@pytest.mark.parametrize(
    ("key", "change", "words"),
    [
        ("image", lambda a: a.astype(float), "image is float64"),
        ("image", lambda a: a[..., 0], "not uint8 [m, h, w, 1 or 3]"),
        ("index", lambda a: a + 12, "index names image"),
        ("index", lambda a: a.astype(float), "not whole numbers"),
        ("box", lambda a: a + 30, "is no part of a 32x32 picture"),
        ("box", lambda a: a[:, :, ::-1], "is no part of"),
        ("guided", lambda a: a[:, :3], "guided has shape"),
        ("deconv", lambda a: a.astype(np.uint16), "must be uint8"),
        ("activation", lambda a: a.astype(str), "activation is <U"),
        ("id", lambda a: np.array([{}] * len(a), object), "allow_pickle"),
        ("box", None, "box is not a file in the archive"),
    ],
)
def test_wrong_arrays_are_named(explorer_copy, key, change, words):
    path = explorer_copy / "attribution/made_up/top.npz"
    arrays = dict(np.load(path))
    value = arrays.pop(key)
    np.savez(path, **(arrays if change is None else arrays | {key: change(value)}))
    assert words in Page(report.write_explorer(explorer_copy, "made_up")).text


def test_an_activation_that_is_not_finite_is_left_open(explorer_copy):
    path = explorer_copy / "attribution/made_up/top.npz"
    arrays = dict(np.load(path))
    arrays["activation"][:] = np.nan
    np.savez(path, **arrays)
    assert (
        "NaN"
        not in report.write_explorer(explorer_copy, "made_up").read_text().split('id="data">')[1][:200_000]
    )


def test_sections_that_the_summary_lacks_are_named(explorer_copy, visit):
    whole = json.loads((explorer_copy / "attribution/made_up/summary.json").read_text())
    for key in explorer_data._SECTIONS:
        for value in (None, 3, [3, None], {"a": {}}):
            edit(explorer_copy, lambda s, key=key, value=value: s.update(whole, **{key: value}))
            assert not Page(report.write_explorer(explorer_copy, "made_up", faces=False)).open
    edit(explorer_copy, lambda s: (s.clear(), s.update(schema=whole["schema"])))
    html = report.write_explorer(explorer_copy, "made_up")
    text = Page(html).text
    for words in (
        "no counts, settings, headline",
        "holds no headline",
        "holds no controls",
        "holds no layers",
    ):
        assert words in text
    assert "holds no settings" in text and "no randomisation test" in text
    visit(html)


def test_values_of_the_wrong_kind_are_left_open(explorer_copy, visit):
    def change(value):
        def walk(of, depth=0):
            if isinstance(of, dict):
                return {k: walk(v, depth + 1) for k, v in of.items()}
            if isinstance(of, list):
                return [walk(v, depth + 1) for v in of]
            return of if of == explorer_data.SCHEMA else value

        return walk

    original = (explorer_copy / "attribution/made_up/summary.json").read_text()
    for value in ("x", None, True, float("nan"), float("inf"), -1, 1e300, [], {}):
        (explorer_copy / "attribution/made_up/summary.json").write_text(
            json.dumps(change(value)(json.loads(original)))
        )
        html = report.write_explorer(explorer_copy, "made_up")
        assert not Page(html).open
    visit(html)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "summary.json: missing"),
        (b"{", "summary.json: cannot be read as JSON"),
        (b"[1]", "summary.json: holds no JSON object"),
        (b"\xff", "summary.json: cannot be read"),
        (b'{"schema": "ferjax/attribution/9"}', "summary.json: schema is 'ferjax/attribution/9'"),
    ],
)
def test_an_unreadable_summary_is_refused(explorer_copy, content, words):
    path = explorer_copy / "attribution/made_up/summary.json"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(BadInput, match=words):
        report.write_explorer(explorer_copy, "made_up")
    assert not html_of(explorer_copy).exists()


def test_no_such_attribution(explorer_copy):
    with pytest.raises(BadInput, match="elsewhere: no such attribution"):
        report.write_explorer(explorer_copy, "elsewhere")
    for name in ("../made_up", "", ".", "..", "a/b"):
        with pytest.raises(BadInput, match="name of a folder"):
            report.write_explorer(explorer_copy, name)


def test_no_filter_at_all(tmp_path, visit):
    folder = explorer_files.write_attribution(tmp_path, filters=14, inputs=5, size=32)
    for name in ("filters.csv", "pairs.csv", "top.npz"):
        (folder / name).unlink()
    html = report.write_explorer(tmp_path, "made_up")
    assert "filters.csv: missing; no table of filters" in Page(html).text
    page = visit(html, "#filter=block1/relu:0")
    assert page.locator(".pick").count() == 21 and page.locator("#panel").count() == 0


def test_scripts_hold_no_tag(explorer_copy):
    html = report.write_explorer(explorer_copy, "made_up").read_text()
    assert html.count("</script>") == html.count("<script") == 2 + 14
    assert explorer_filters.safe_json(EVIL).isascii() and json.loads(explorer_filters.safe_json(EVIL)) == EVIL
    assert not set("<>&") & set(explorer_filters.safe_json(EVIL))


def test_names_are_escaped(tmp_path, visit):
    folder = explorer_files.write_attribution(tmp_path, filters=7, inputs=6, size=32, aus=("AU12", EVIL))

    def change(s):
        s.update(data=EVIL, notes=[EVIL], split=EVIL, versions={EVIL: EVIL}, device=EVIL)
        s["left_out"][0].update(name=EVIL, why=EVIL)
        s["layers"][0]["name"] = s["controls"][1]["name"] = s["randomisation"][0]["method"] = EVIL
        s["randomisation"][0]["layers"][0] = s["aus"][0]["facs"] = s["paper"]["layer"] = EVIL
        s["settings"][EVIL] = EVIL

    edit(tmp_path, change)
    rows = rows_of(tmp_path, "filters.csv")
    for row in rows:
        row |= {
            "layer": EVIL,
            "words": EVIL,
            "verdict": EVIL,
            "together": EVIL,
            "emotion": EVIL,
            "au_top_n": EVIL,
        }
    with (folder / "filters.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(row | {"filter": i} for i, row in enumerate(rows))
    arrays = dict(np.load(folder / "top.npz"))
    arrays["layer"], arrays["filter"] = np.array([EVIL] * 7), np.arange(7)
    arrays["id"] = np.array([EVIL] * 6)
    np.savez(folder / "top.npz", **arrays)
    html = report.write_explorer(tmp_path, "made_up")
    assert not Page(html).open
    page = visit(html)
    assert page.locator("#panel h3").inner_text().startswith(EVIL) and page.locator("img").count() == 0
    page.locator("#rows tr").nth(3).click()
    assert EVIL in page.locator("#panel p").first.inner_text()
    page.locator(".pick").nth(1).click()
    assert page.locator("article:visible h3").inner_text().startswith(EVIL)
    page.locator("article:visible .chips a").first.click()
    assert page.locator("#panel h3").inner_text().startswith(EVIL)
    page.reload()  # the link holds the whole name
    assert page.locator("#panel h3").inner_text().startswith(EVIL)
    assert page.title() != "taken" and page.locator("#panel canvas").count() >= 4 * 7
