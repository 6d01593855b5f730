"""The attribution explorer: what its file holds, its pictures and its face; the report names it."""

import base64
import io
import json
import shutil

import explorer_files
import numpy as np
import pytest
from explorer_files import edit, html_of, rows_of
from PIL import Image
from test_report import Page, write_run

from ferjax import report
from ferjax.report import explorer_controls, explorer_data, explorer_face, explorer_filters, explorer_pictures


def test_one_file_of_bounded_size_with_all_filters(explorer_large):
    path = html_of(explorer_large)
    assert path.stat().st_size < 15e6
    page = Page(path)
    assert not page.open and len(set(page.ids)) == len(page.ids)
    assert sum(dict(a).get("class", "").startswith("row") for t, a in page.tags if t == "tr") == 448
    assert sum(i.startswith("sprite-") for i in page.ids) == 448
    for address in page.loads:
        assert address.startswith("#"), address
    links = {a[1:] for a in page.loads if not a.startswith(("#filter=", "#au="))}
    assert links <= set(page.ids)
    keys = {f"{row['layer']}:{row['filter']}" for row in rows_of(explorer_large, "filters.csv")}
    assert {a.removeprefix("#filter=") for a in page.loads if a.startswith("#filter=")} <= keys
    css = path.read_text().split("<style>")[1].split("</style>")[0]
    assert css.count("url(") == 1 and "url(data:image/jpeg;base64," in css and "@import" not in css


def test_the_headline_and_the_controls_are_said(explorer_large):
    text = Page(html_of(explorer_large)).text
    summary = json.loads((explorer_large / "attribution/made_up/summary.json").read_text())
    h, paper = summary["headline"], summary["paper"]
    assert f"{h['both']} of {h['filters']} filters follow an action unit more closely" in text
    assert "Random networks, treated alike, give 2 to 9; to exceed all of 20 by chance has a" in text
    assert f"of {paper['active']} active filters of block3/relu (paper, as commonly quoted: 7 of 50)" in text
    assert "31 of 280 (11%) significant filters lower their AU's logit more than any of 20 filters" in text
    assert "20 of 21 made of the action unit, 0 of 21 made of the person, 0 of 21 made of the emotion" in text
    assert "of the others 7 of 90 (8%); in random networks 12 of 200 (6%) and 31 of 600 (5%)" in text
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


def test_a_count_that_random_networks_reach_is_called_no_evidence(explorer_copy):
    edit(explorer_copy, lambda s: s["headline"].update(both=9))
    assert "no evidence" in Page(report.write_explorer(explorer_copy, "made_up")).text
    edit(explorer_copy, lambda s: s["headline"].update(both=10))
    assert "no evidence" not in Page(report.write_explorer(explorer_copy, "made_up")).text
    edit(explorer_copy, lambda s: (s["headline"].update(both=0), s["controls"][1].update(both=[2, 2, 2])))
    assert (
        "within one emotion. Random networks, treated alike, give 2."
        in Page(report.write_explorer(explorer_copy, "made_up")).text
    )


def test_guided_backpropagation_is_called_blind_only_where_the_numbers_show_it(explorer_copy):
    def curves(guided, gradient):
        def change(summary):
            for entry in summary["randomisation"]:
                last = {"guided_backprop": guided, "gradient": gradient}.get(entry["method"], 0.5)
                entry["spearman"][-1] = last

        edit(explorer_copy, change)
        return Page(report.write_explorer(explorer_copy, "made_up")).text

    assert "whatever the weights" in curves(0.8, 0.1)
    for guided, gradient in ((0.3, 0.1), (0.8, 0.7)):
        text = curves(guided, gradient)
        assert "whatever the weights" not in text and f"correlate {guided:.2f}" in text


def test_same_files_same_page(explorer_copy):
    first = report.write_explorer(explorer_copy, "made_up").read_bytes()
    assert report.write_explorer(explorer_copy, "made_up").read_bytes() == first


def test_without_faces_there_is_no_picture(explorer_copy):
    html = report.write_explorer(explorer_copy, "made_up", faces=False).read_text()
    with_faces = report.write_explorer(explorer_copy, "made_up").read_text()
    jpeg = base64.b64encode(b"\xff\xd8\xff").decode()  # how every JPEG begins
    assert html.count(jpeg) == 0 and with_faces.count(jpeg) == 15
    page = Page_of(html)
    assert not [t for t, _ in page.tags if t in ("img", "image", "canvas")]
    assert not [i for i in page.ids if i.startswith("sprite")] and "url(" not in html
    assert "pictures of inputs are left out" in page.text and "block3/relu" in page.text


def Page_of(html):  # noqa: N802 (makes a Page)
    class Text:
        @staticmethod
        def read_text(encoding):
            return html

    return Page(Text)


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


def test_pictures_that_are_not_there_are_grey(explorer_small):
    top = explorer_data.read(explorer_small / "attribution/made_up").top
    key = "block3/relu:7"
    assert (top.index[top.place[key], -2:] == -1).all()
    sprite = decoded(explorer_pictures.sprites(top, [key])[key])
    assert np.abs(sprite[:, -32:] - 128).max() <= 2 and np.abs(sprite[:, :32] - 128).max() > 40


def test_quality_falls_where_pictures_would_be_too_many(explorer_small, monkeypatch):
    top = explorer_data.read(explorer_small / "attribution/made_up").top
    fine = sum(map(len, explorer_pictures.sprites(top, list(top.place)).values()))
    monkeypatch.setattr(explorer_pictures, "BUDGET", fine * 2 // 3)
    coarse = sum(map(len, explorer_pictures.sprites(top, list(top.place)).values()))
    assert coarse <= fine * 2 // 3
    monkeypatch.setattr(explorer_pictures, "BUDGET", 1)  # the coarsest, rather than none
    assert 0 < sum(map(len, explorer_pictures.sprites(top, list(top.place)).values())) < coarse


def test_thumbnails_are_cut_to_the_receptive_field(explorer_small):
    top = explorer_data.read(explorer_small / "attribution/made_up").top
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


# ---- in the report


def test_the_report_names_its_explorers(explorer_small, tmp_path):
    workdir = write_run(tmp_path / "run", epochs=2, names=("test",), n=60)
    shutil.copytree(explorer_small / "attribution/made_up", workdir / "attribution" / "a set")
    shutil.copytree(explorer_small / "attribution/made_up", workdir / "attribution" / "broken")
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
