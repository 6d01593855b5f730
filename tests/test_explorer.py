"""The attribution explorer: what its file holds, and how it behaves in a browser that has no network."""

import base64
import csv
import functools
import io
import json
import pathlib
import shutil

import explorer_files
import numpy as np
import pytest
from PIL import Image
from test_report import Page, write_run

from data_pipelines import BadInput
from ferjax import report
from ferjax.report import explorer_controls, explorer_data, explorer_face, explorer_filters, explorer_pictures

FLAGS = (
    "--no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --disable-quic"
)
EVIL = "</script><img src=x onerror=\"document.title='taken'\"><!--<script>&amp;'"


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A workdir with the attribution of 448 filters, and its page."""
    workdir = tmp_path_factory.mktemp("large")
    explorer_files.write_attribution(workdir)
    report.write_explorer(workdir, "made_up")
    return workdir


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A workdir with 14 filters."""
    workdir = tmp_path_factory.mktemp("small")
    explorer_files.write_attribution(workdir, filters=14, inputs=12, size=32)
    return workdir


@pytest.fixture
def copy(small, tmp_path):
    return shutil.copytree(small, tmp_path / "copy")


@pytest.fixture(scope="module")
def browser():
    """Chromium: Debian's, or whichever is on the path."""
    names = ("/usr/bin/chromium", "chromium", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no browser: install Debian's chromium, or put chromium or google-chrome on the path")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS.split())
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser):
    """visit(path, "#filter=..."): the page, opened from disk. In the end: nothing loaded, nothing amiss."""
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    said, asked = [], []

    def go(path, link=""):
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        address = pathlib.Path(path).resolve().as_uri()
        page.goto(address + link)
        go.own = (address, "data:")
        return page

    yield go
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(go.own)] == []


def html_of(workdir, data="made_up"):
    return workdir / "report" / f"attribution-{data}.html"


def rows_of(workdir, file, data="made_up"):
    text = (workdir / "attribution" / data / file).read_text()
    return list(csv.DictReader(text.splitlines()))


def shown(page, cell):
    """The text of a cell of every row that is to be seen, in order."""
    script = "(rows, i) => rows.filter(r => !r.hidden).map(r => r.cells[i].childNodes[0]?.textContent ?? '')"
    return page.eval_on_selector_all("#rows tr", script, cell)


# ---- the file


def test_one_file_of_bounded_size_with_all_filters(large):
    path = html_of(large)
    assert path.stat().st_size < 15e6
    page = Page(path)
    assert not page.open and len(set(page.ids)) == len(page.ids)
    assert sum(dict(a).get("class", "").startswith("row") for t, a in page.tags if t == "tr") == 448
    assert sum(i.startswith("sprite-") for i in page.ids) == 448
    for address in page.loads:
        assert address.startswith("#"), address
    links = {a[1:] for a in page.loads if not a.startswith(("#filter=", "#au="))}
    assert links <= set(page.ids)
    keys = {f"{row['layer']}:{row['filter']}" for row in rows_of(large, "filters.csv")}
    assert {a.removeprefix("#filter=") for a in page.loads if a.startswith("#filter=")} <= keys
    css = path.read_text().split("<style>")[1].split("</style>")[0]
    assert css.count("url(") == 1 and "url(data:image/jpeg;base64," in css and "@import" not in css


def test_the_headline_and_the_controls_are_said(large):
    text = Page(html_of(large)).text
    summary = json.loads((large / "attribution/made_up/summary.json").read_text())
    h, paper = summary["headline"], summary["paper"]
    assert f"{h['both']} of {h['filters']} filters follow an action unit more closely" in text
    assert "Random networks, treated alike, give 2 to 9." in text
    assert f"of {paper['active']} active filters of block3/relu (paper: 7 of 50)" in text
    assert "31 of 300 significant filters lower their AU's logit" in text and "network 12 of 240" in text
    for words in ("random weights 5 20 networks, 2 to 9", "shuffled labels 6 1 network", "64% 60% to 70%"):
        assert words in text
    for words in (
        summary["notes"][0],
        "AU22 5 seen in fewer than 8 inputs",
        "jax 0.10.2",
        "200,000",
        "5.0e-6",
    ):
        assert words in text


def test_a_count_that_random_networks_reach_is_called_no_evidence(copy):
    edit(copy, lambda s: s["headline"].update(both=9))
    assert "no evidence" in Page(report.write_explorer(copy, "made_up")).text
    edit(copy, lambda s: s["headline"].update(both=10))
    assert "no evidence" not in Page(report.write_explorer(copy, "made_up")).text
    edit(copy, lambda s: (s["headline"].update(both=0), s["controls"][1].update(both=[2, 2, 2])))
    assert (
        "within one emotion. Random networks, treated alike, give 2."
        in Page(report.write_explorer(copy, "made_up")).text
    )


def test_guided_backpropagation_is_called_blind_only_where_the_numbers_show_it(copy):
    def curves(guided, gradient):
        def change(summary):
            for entry in summary["randomisation"]:
                last = {"guided_backprop": guided, "gradient": gradient}.get(entry["method"], 0.5)
                entry["spearman"][-1] = last

        edit(copy, change)
        return Page(report.write_explorer(copy, "made_up")).text

    assert "nearly blind" in curves(0.8, 0.1)
    for guided, gradient in ((0.3, 0.1), (0.8, 0.7)):
        text = curves(guided, gradient)
        assert "nearly blind" not in text and f"correlate {guided:.2f}" in text


def test_same_files_same_page(copy):
    first = report.write_explorer(copy, "made_up").read_bytes()
    assert report.write_explorer(copy, "made_up").read_bytes() == first


def test_without_faces_there_is_no_picture(copy):
    html = report.write_explorer(copy, "made_up", faces=False).read_text()
    with_faces = report.write_explorer(copy, "made_up").read_text()
    jpeg = base64.b64encode(b"\xff\xd8\xff").decode()  # how every JPEG begins
    assert html.count(jpeg) == 0 and with_faces.count(jpeg) == 15
    page = Page_of(html)
    assert not [t for t, _ in page.tags if t in ("img", "image", "canvas")]
    assert not [i for i in page.ids if i.startswith("sprite")] and "url(" not in html
    assert "pictures of inputs are left out" in page.text and "block3/relu" in page.text


def test_scripts_hold_no_tag(copy):
    html = report.write_explorer(copy, "made_up").read_text()
    assert html.count("</script>") == html.count("<script") == 2 + 14
    assert explorer_filters.safe_json(EVIL).isascii() and json.loads(explorer_filters.safe_json(EVIL)) == EVIL
    assert not set("<>&") & set(explorer_filters.safe_json(EVIL))


# ---- pictures


def decoded(text):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))).astype(float)


@pytest.mark.parametrize(("size", "channels"), [(48, 1), (48, 3), (200, 1)])
def test_sprites_hold_the_pictures_in_their_places(size, channels):
    names = explorer_files.layers(7)
    arrays = explorer_files.top(names, 10, size, np.random.default_rng(1))
    image = arrays["image"].repeat(channels, -1)
    top = explorer_data._checked({**arrays, "image": image})
    key = "block3/relu:2"
    j = top.place[key]
    sprite = decoded(explorer_pictures.sprites(top, [key, "nowhere:1"])[key])
    h, w, by = explorer_pictures.scale(top)
    assert sprite.shape == (3 * h, 9 * w) and max(h, w) <= explorer_pictures.LARGEST
    for i in range(9):
        for strip, array in enumerate(
            (arrays["image"][top.index[j, i], ..., 0], top.guided[j, i], top.deconv[j, i])
        ):
            want = array if by == 1 else Image.fromarray(array).resize((w, h), Image.Resampling.BOX)
            got = sprite[strip * h : (strip + 1) * h, i * w : (i + 1) * w]
            assert np.abs(got - np.asarray(want, float)).mean() < 6


def test_pictures_that_are_not_there_are_grey(small):
    top = explorer_data.read(small / "attribution/made_up").top
    key = "block3/relu:7"
    assert (top.index[top.place[key], -2:] == -1).all()
    sprite = decoded(explorer_pictures.sprites(top, [key])[key])
    assert np.abs(sprite[:, -32:] - 128).max() <= 2 and np.abs(sprite[:, :32] - 128).max() > 40


def test_quality_falls_where_pictures_would_be_too_many(small, monkeypatch):
    top = explorer_data.read(small / "attribution/made_up").top
    fine = sum(map(len, explorer_pictures.sprites(top, list(top.place)).values()))
    monkeypatch.setattr(explorer_pictures, "BUDGET", fine * 2 // 3)
    coarse = sum(map(len, explorer_pictures.sprites(top, list(top.place)).values()))
    assert coarse <= fine * 2 // 3
    monkeypatch.setattr(explorer_pictures, "BUDGET", 1)  # the coarsest, rather than none
    assert 0 < sum(map(len, explorer_pictures.sprites(top, list(top.place)).values())) < coarse


def test_thumbnails_are_cut_to_the_receptive_field(small):
    top = explorer_data.read(small / "attribution/made_up").top
    keys = [*top.place, "nowhere:1"]
    sheet = decoded(explorer_pictures.thumbnails(top, keys))
    side = explorer_pictures.THUMB
    i = keys.index("block3/relu:3")
    y0, x0, y1, x1 = top.box[i, 0]
    want = Image.fromarray(top.guided[i, 0, y0:y1, x0:x1].copy()).resize(
        (side, side), Image.Resampling.NEAREST
    )
    got = sheet[:side, i * side : (i + 1) * side]
    assert np.corrcoef(got.ravel(), np.asarray(want, float).ravel())[0, 1] > 0.97
    assert np.abs(sheet[:side, 14 * side : 15 * side] - 128).max() <= 2


# ---- the face


def test_every_action_unit_of_the_face_has_a_place():
    on_the_face = [au for au in explorer_files.FACS_NAMES if int(au[2:]) < 50]
    assert set(explorer_face.PLACES) == set(on_the_face)
    for au, ellipses in explorer_face.PLACES.items():
        for cx, cy, rx, ry, _ in ellipses:
            assert 0 < cx <= 160 and 0 < cy < 408 and rx > 0 and ry > 0, au


def test_labels_of_a_face_do_not_overlap():
    for aus in (explorer_files.AUS, tuple(explorer_face.PLACES), ("AU12",)):
        svg = explorer_face.face(dict.fromkeys([*aus, "AU51"], 1))
        assert "AU51" not in svg
        boxes = [part.split('"') for part in svg.split("<rect x=")[1:]]
        for side in {b[1] for b in boxes}:
            ys = sorted(float(b[3]) for b in boxes if b[1] == side)
            assert ys[0] >= 0 and ys[-1] + 21 <= 408
            assert min(np.diff(ys), default=99) >= 16


# ---- missing and broken files


def edit(workdir, change, data="made_up"):
    path = workdir / "attribution" / data / "summary.json"
    summary = json.loads(path.read_text())
    change(summary)
    path.write_text(json.dumps(summary))


def Page_of(html):  # noqa: N802 (makes a Page)
    class Text:
        @staticmethod
        def read_text(encoding):
            return html

    return Page(Text)


BROKEN = [
    ("filters.csv", None, "filters.csv: missing; what is there of filters is shown"),
    ("filters.csv", b"", "filters.csv: has no column layer, filter, au"),
    ("filters.csv", b"\xff\xfe\x00", "filters.csv: cannot be read"),
    (
        "filters.csv",
        b"layer,filter,verdict\nblock1/relu,0,chance\n",
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
def test_what_is_missing_or_broken_is_named_and_the_rest_shown(copy, visit, name, content, words):
    path = copy / "attribution" / "made_up" / name
    path.unlink() if content is None else path.write_bytes(content)
    html = report.write_explorer(copy, "made_up")
    page = Page(html)
    assert words in page.text and not page.open
    assert "2 of 14 filters follow" in page.text or "3 of 14 filters follow" in page.text
    screen = visit(html)
    assert screen.locator("#panel h3").inner_text().startswith("block")  # filters are there, by name at least


def test_rows_that_cannot_be_read_are_counted(copy):
    path = copy / "attribution/made_up/filters.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], "block1/relu,seven", lines[2], *lines[3:]]))
    assert (
        "left out 1 rows that name no layer and filter" in Page(report.write_explorer(copy, "made_up")).text
    )
    path.write_text("\n".join([*lines[:3], lines[2], *lines[3:]]))
    page = Page(report.write_explorer(copy, "made_up"))
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
def test_wrong_arrays_are_named(copy, key, change, words):
    path = copy / "attribution/made_up/top.npz"
    arrays = dict(np.load(path))
    value = arrays.pop(key)
    np.savez(path, **(arrays if change is None else arrays | {key: change(value)}))
    assert words in Page(report.write_explorer(copy, "made_up")).text


def test_an_activation_that_is_not_finite_is_left_open(copy):
    path = copy / "attribution/made_up/top.npz"
    arrays = dict(np.load(path))
    arrays["activation"][:] = np.nan
    np.savez(path, **arrays)
    assert "NaN" not in report.write_explorer(copy, "made_up").read_text().split('id="data">')[1][:200_000]


def test_sections_that_the_summary_lacks_are_named(copy, visit):
    whole = json.loads((copy / "attribution/made_up/summary.json").read_text())
    for key in explorer_data._SECTIONS:
        for value in (None, 3, [3, None], {"a": {}}):
            edit(copy, lambda s, key=key, value=value: s.update(whole, **{key: value}))
            assert not Page(report.write_explorer(copy, "made_up", faces=False)).open
    edit(copy, lambda s: (s.clear(), s.update(schema=whole["schema"])))
    html = report.write_explorer(copy, "made_up")
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


def test_values_of_the_wrong_kind_are_left_open(copy, visit):
    def change(value):
        def walk(of, depth=0):
            if isinstance(of, dict):
                return {k: walk(v, depth + 1) for k, v in of.items()}
            if isinstance(of, list):
                return [walk(v, depth + 1) for v in of]
            return of if of == explorer_data.SCHEMA else value

        return walk

    original = (copy / "attribution/made_up/summary.json").read_text()
    for value in ("x", None, True, float("nan"), float("inf"), -1, 1e300, [], {}):
        (copy / "attribution/made_up/summary.json").write_text(
            json.dumps(change(value)(json.loads(original)))
        )
        html = report.write_explorer(copy, "made_up")
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
def test_an_unreadable_summary_is_refused(copy, content, words):
    path = copy / "attribution/made_up/summary.json"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(BadInput, match=words):
        report.write_explorer(copy, "made_up")
    assert not html_of(copy).exists()


def test_no_such_attribution(copy):
    with pytest.raises(BadInput, match="elsewhere: no such attribution"):
        report.write_explorer(copy, "elsewhere")
    for name in ("../made_up", "", ".", "..", "a/b"):
        with pytest.raises(BadInput, match="name of a folder"):
            report.write_explorer(copy, name)


def test_no_filter_at_all(tmp_path, visit):
    folder = explorer_files.write_attribution(tmp_path, filters=14, inputs=5, size=32)
    for name in ("filters.csv", "pairs.csv", "top.npz"):
        (folder / name).unlink()
    html = report.write_explorer(tmp_path, "made_up")
    assert "filters.csv: missing; no table of filters" in Page(html).text
    page = visit(html, "#filter=block1/relu:0")
    assert page.locator(".pick").count() == 21 and page.locator("#panel").count() == 0


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


# ---- in a browser


def test_a_first_filter_is_shown_with_its_pictures(large, visit):
    page = visit(html_of(large))
    best = best_first(large)[0]
    assert page.locator("#panel h3").inner_text() == f"{best['layer']}:{best['filter']} AU filter"
    assert page.locator("#panel p").first.inner_text() == best["words"]
    assert page.locator("#panel canvas").count() == 4 * 9
    page.wait_for_function("document.querySelector('#panel canvas').width > 1")
    assert page.evaluate(SPREAD) > 10
    assert page.locator("#panel .pairs tbody tr").count() == 21
    assert page.locator("#panel .pairs .matched").count() == 1
    facts = page.locator("#panel dl").inner_text()
    for value in (best["auc"], best["auc_within"], best["ap"], best["p_top_n"]):
        assert f"{float(value):.2f}" in facts
    for words in (
        "p 5.0e-6, q 6.0e-4",
        "AU present 0.031, absent -0.004",
        "0.8; random filters' 95th percentile 0.5",
    ):
        assert words in facts


SPREAD = """() => {
  const c = document.querySelector('#panel canvas');
  const data = c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter((_, i) => i % 4 === 0);
  return Math.max(...data) - Math.min(...data);
}"""


def best_first(workdir):
    rows = [r for r in rows_of(workdir, "filters.csv") if r["verdict"] == "AU filter"]
    return sorted(rows, key=lambda r: (-float(r["auc"]), r["layer"], int(r["filter"])))


def test_pictures_are_those_of_the_filter(large, visit):
    """What the canvases show, read back, beside the arrays of top.npz."""
    arrays = np.load(large / "attribution/made_up/top.npz")
    key = ("block2/relu", 40)
    j = next(i for i, k in enumerate(zip(arrays["layer"], arrays["filter"], strict=True)) if k == key)
    page = visit(html_of(large), f"#filter={key[0]}:{key[1]}")
    page.wait_for_function("document.querySelectorAll('#panel canvas')[35].width > 1")
    for line, name in ((1, "image"), (2, "guided"), (3, "deconv")):
        for i in (0, 5, 8):
            y0, x0, y1, x1 = arrays["box"][j, i]
            whole = arrays["image"][arrays["index"][j, i], ..., 0] if name == "image" else arrays[name][j, i]
            got = np.array(page.evaluate(PIXELS, [9 * line + i, int(x1 - x0), int(y1 - y0)]))
            want = whole[y0:y1, x0:x1].astype(float)
            assert np.abs(got - want.ravel()).mean() < 6, (name, i)
            assert np.corrcoef(got, want.ravel())[0, 1] > 0.93, (name, i)


READER = """n => {
  const from = document.querySelectorAll('#panel canvas')[n], to = document.createElement('canvas');
  [to.width, to.height] = [from.width, from.height];
  const pen = to.getContext('2d', { willReadFrequently: true });
  pen.drawImage(from, 0, 0);
  return [to.width, to.height, pen.getImageData(0, 0, to.width, to.height).data];
}"""
PIXELS = (
    """([n, w, h]) => {
  const [wide, high, data] = ("""
    + READER
    + """)(n), out = [];
  for (let y = 0; y < h; y++) for (let x = 0; x < w; x++)
    out.push(data[4 * (wide * ((y + .5) * high / h | 0) + ((x + .5) * wide / w | 0))]);
  return out;
}"""
)


def test_sorting(large, visit):
    page = visit(html_of(large))
    rows = rows_of(large, "filters.csv")
    head = page.locator(".filters th", has_text="Effect")
    assert page.locator(".filters th", has_text="Verdict").get_attribute("aria-sort") == "ascending"
    effects = sorted((f"{float(r['auc']):.2f}" for r in rows if r["auc"]), reverse=True)
    none = [""] * sum(not r["auc"] for r in rows)
    assert none
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert shown(page, 4) == effects + none
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert shown(page, 4) == effects[::-1] + none  # what has no effect stays last
    assert page.locator('th[aria-sort="none"]').count() == 7
    page.locator(".filters th", has_text="Filter").get_by_role("button").click()
    assert shown(page, 2) == sorted(shown(page, 2), key=int)
    page.locator(".filters th", has_text="AU").get_by_role("button").focus()
    page.keyboard.press("Enter")
    units = [r["au"] for r in rows if r["au"]]
    assert shown(page, 3)[: len(units)] == sorted(units)


def test_narrowing(large, visit):
    page = visit(html_of(large))
    rows = rows_of(large, "filters.csv")
    page.get_by_label("Verdict").select_option("emotion filter")
    page.get_by_label("Layer").select_option("block2/relu")
    want = [r for r in rows if (r["verdict"], r["layer"]) == ("emotion filter", "block2/relu")]
    assert sorted(shown(page, 2), key=int) == [r["filter"] for r in want]
    assert page.locator("#count").inner_text() == f"{len(want)} of 448 filters"
    page.locator("#all").click()
    assert len(shown(page, 2)) == 448
    page.locator(".pick", has_text="AU12").click()
    page.locator("article:visible .only").click()
    assert set(shown(page, 3)) == {"AU12"}


def test_choosing_a_filter_by_mouse_and_by_keyboard(large, visit):
    page = visit(html_of(large))
    order = best_first(large)

    def chosen():
        assert page.locator('[aria-selected="true"]').count() == 1
        return page.locator("#panel h3").inner_text(), page.locator("#panel p").first.inner_text()

    def named(row):
        return f"{row['layer']}:{row['filter']} {row['verdict']}", row["words"]

    page.locator("#rows tr").nth(4).click()
    assert chosen() == named(order[4])
    assert page.url.endswith(f"#filter={order[4]['layer']}:{order[4]['filter']}")
    page.keyboard.press("ArrowDown")
    assert chosen() == named(order[5])
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert chosen() == named(order[3])
    page.keyboard.press("PageDown")
    assert chosen() == named(order[13])
    page.keyboard.press("End")
    page.keyboard.press("ArrowDown")
    assert chosen()[0].endswith("inactive")
    page.keyboard.press("Home")
    assert chosen() == named(order[0])
    assert page.locator('#rows tr[tabindex="0"]').count() == 1


def test_the_table_is_reached_by_tab_and_chosen_from_by_enter(small, visit):
    page = visit(report.write_explorer(small, "made_up"))
    page.locator("#all").focus()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className.startsWith('row')"):
            break
    page.evaluate("document.querySelector('#panel').replaceChildren()")
    page.keyboard.press("Enter")
    assert page.locator("#panel h3").count() == 1


def test_choosing_an_action_unit(large, visit):
    page = visit(html_of(large))
    rows = rows_of(large, "filters.csv")
    page.locator(".pick", has_text="AU12").focus()
    page.keyboard.press("Enter")
    article = page.locator("article:visible")
    assert article.count() == 1 and article.locator("h3").inner_text() == "AU12 lip corner puller"
    want = {
        f"{r['layer']}:{r['filter']}"
        for r in rows
        if r["au"] == "AU12" and r["verdict"] not in ("no match", "inactive")
    }
    assert {a.get_attribute("title") for a in article.locator(".chips a").all()} == want
    text = article.inner_text()
    assert (
        "Nearly always with\nAU06" in text and "ROC AUC 0.88 (0.81 to 0.99); on a random network 0.78" in text
    )
    assert "falls by 1.2 (0.80 to 1.60)" in text and "for random filters of alike activation by 0.3" in text
    on = page.eval_on_selector_all(".face .on", "all => all.map(g => g.dataset.au)")
    assert set(on) == {"AU12"} and len(on) == 2  # its region and its label
    assert page.locator('.pick[aria-pressed="true"]').inner_text() == "AU12"
    page.keyboard.press("ArrowDown")
    page.keyboard.press(" ")
    assert article.locator("h3").inner_text() == "AU14 dimpler"
    page.locator('.face .region[data-au="AU02"] ellipse').first.click()
    assert article.locator("h3").inner_text() == "AU02 outer brow raiser"
    page.locator('.face .label[data-au="AU26"] rect').click(position={"x": 3, "y": 3})
    assert article.locator("h3").inner_text() == "AU26 jaw drop" and page.url.endswith("#au=AU26")


def test_links_that_lead_nowhere_say_so(small, visit):
    html = report.write_explorer(small, "made_up")
    for link in ("#filter=block9/relu:1", "#filter=%E0%A4%A", "#filter=<b>", "#au=AU99", "#controls"):
        page = visit(html, link)
        assert ("here." in page.locator("#panel").inner_text()) == link.startswith("#filter"), link
    page.locator("#rows tr").first.click()
    assert page.locator("#panel h3").count() == 1


def test_links_lead_to_a_filter_or_an_action_unit(large, visit):
    page = visit(html_of(large), "#filter=block3/relu:17")
    assert page.locator("#panel h3").inner_text().startswith("block3/relu:17 ")
    page.wait_for_function("document.querySelector('#panel canvas').width > 1")
    assert page.locator('#rows [aria-selected="true"]').is_visible()
    page.evaluate("location.hash = '#au=AU24'")
    page.wait_for_function("document.querySelector('article:not([hidden])').dataset.au === 'AU24'")
    link = page.locator("article:visible .chips a").first
    key = link.get_attribute("title")
    link.click()
    page.wait_for_function(
        "key => document.querySelector('#panel h3').innerText.startsWith(key + ' ')", arg=key
    )
    page = visit(html_of(large), "#au=AU15")
    assert page.locator("article:visible h3").inner_text() == "AU15 lip corner depressor"


def test_no_faces_in_a_browser(copy, visit):
    page = visit(report.write_explorer(copy, "made_up", faces=False))
    assert page.locator("canvas").count() == 0 and page.locator("#panel .pairs tbody tr").count() == 21
    assert page.locator("#panel dl").inner_text().startswith("Matched AU")


def test_on_paper(large, visit):
    page = visit(html_of(large))
    page.get_by_label("Verdict").select_option("chance")  # what is narrowed away is printed all the same
    page.emulate_media(media="print")
    survive = best_first(large)
    assert page.locator("#rows tr:visible").count() == len(survive)
    for css in ("h1", ".cards", ".controls", ".aus", ".only-print"):
        assert page.locator(css).first.is_visible(), css
    for css in (".choices", "#panel", "#au-panel", ".face", "nav"):
        assert not page.locator(css).first.is_visible(), css
    assert page.locator(".aus tbody tr:visible").count() == 21
    page.set_viewport_size({"width": 718, "height": 1000})  # A4 with margins of 1 cm
    wide = page.eval_on_selector_all(
        "table", "all => all.filter(t => t.offsetWidth > innerWidth).map(t => t.className)"
    )
    assert wide == []
    assert page.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(browser, small, scheme):
    """WCAG 2.2, 1.4.3: a contrast of 4.5 for every small text that is seen."""
    context = browser.new_context(viewport={"width": 1366, "height": 768}, color_scheme=scheme)
    page = context.new_page()
    page.goto(report.write_explorer(small, "made_up").resolve().as_uri())
    found = page.evaluate(GROUNDS)
    context.close()
    assert len(found) > 50
    for text, ink, grounds in found:
        ground = functools.reduce(over, reversed(grounds))
        assert contrast(over(ground, ink), ground) >= 4.5, (text, ink, grounds)


GROUNDS = """() => {
  const colour = (text) => text.match(/[\\d.]+/g).map(Number), out = [];
  for (const e of document.querySelectorAll('td, th, p, span, dt, dd, h3, h4, button, a, small, b')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.offsetParent || e.closest('.confusion')) continue;
    const grounds = [];
    for (let p = e; p; p = p.parentElement) grounds.push(colour(getComputedStyle(p).backgroundColor));
    out.push([e.textContent.slice(0, 40), colour(getComputedStyle(e).color), grounds]);
  }
  return out;
}"""


def over(ground, colour):
    alpha = colour[3] if len(colour) > 3 else 1.0
    return [alpha * c + (1 - alpha) * g for c, g in zip(colour[:3], ground[:3], strict=True)]


def contrast(one, two):
    def light(colour):
        parts = [c / 255 for c in colour[:3]]
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    bright, dark = sorted((light(one), light(two)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


# ---- in the report


def test_the_report_names_its_explorers(small, tmp_path):
    workdir = write_run(tmp_path / "run", epochs=2, names=("test",), n=60)
    shutil.copytree(small / "attribution/made_up", workdir / "attribution" / "a set")
    shutil.copytree(small / "attribution/made_up", workdir / "attribution" / "broken")
    (workdir / "attribution/broken/summary.json").write_text("{")
    page = Page(report.write_report(workdir))
    assert html_of(workdir, "a set").exists() and not html_of(workdir, "broken").exists()
    assert "attribution-a%20set.html" in page.loads and "#attribution" in page.loads
    assert "a set : 3 of 14 filters follow an action unit" in page.text
    assert "attribution/broken/summary.json: cannot be read as JSON" in page.text
    assert "sprite-0" in html_of(workdir, "a set").read_text()
    report.write_report(workdir, faces=False)
    assert "sprite-0" not in html_of(workdir, "a set").read_text()


def test_numbers_read_well():
    assert explorer_filters.small(5e-6, True) == "5.0e-6" and explorer_filters.small(0.0129) == "0.013"
    assert explorer_filters.small(5e-6) == "&lt;0.001" and explorer_filters.small(None) == ""
    assert explorer_filters.address("block3/relu:17") == "block3/relu:17"
    assert explorer_data.number("1e999") is None and explorer_data.number(True) is None
    assert explorer_data.number(10**400) is None and explorer_data.number(" 0.5 ") == 0.5
    assert explorer_data.triple([1, 2]) == (1, 2, None) and explorer_data.triple(None) == (None, None, None)
    assert explorer_controls.count(3.0) == "3" and explorer_controls.count(2.25) == "2.2"
