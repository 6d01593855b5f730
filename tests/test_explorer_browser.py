"""The attribution explorer in a browser that has no network."""

import functools

import numpy as np
import pytest
from explorer_files import edit, html_of, rows_of

from ferjax import report


def shown(page, cell):
    """The text of a cell of every row that is to be seen, in order."""
    script = "(rows, i) => rows.filter(r => !r.hidden).map(r => r.cells[i].childNodes[0]?.textContent ?? '')"
    return page.eval_on_selector_all("#rows tr", script, cell)


def test_a_first_filter_is_shown_with_its_pictures(explorer_large, visit):
    page = visit(html_of(explorer_large))
    best = best_first(explorer_large)[0]
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
        "0.8; of 20 filters like it at most 0.5; the other AUs' by 0.1",
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


def test_pictures_are_those_of_the_filter(explorer_large, visit):
    """What the canvases show, read back, beside the arrays of top.npz."""
    arrays = np.load(explorer_large / "attribution/made_up/top.npz")
    key = ("block2/relu", 40)
    j = next(i for i, k in enumerate(zip(arrays["layer"], arrays["filter"], strict=True)) if k == key)
    page = visit(html_of(explorer_large), f"#filter={key[0]}:{key[1]}")
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


def test_sorting(explorer_large, visit):
    page = visit(html_of(explorer_large))
    rows = rows_of(explorer_large, "filters.csv")
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


def test_narrowing(explorer_large, visit):
    page = visit(html_of(explorer_large))
    rows = rows_of(explorer_large, "filters.csv")
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


def test_choosing_a_filter_by_mouse_and_by_keyboard(explorer_large, visit):
    page = visit(html_of(explorer_large))
    order = best_first(explorer_large)

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


def test_the_table_is_reached_by_tab_and_chosen_from_by_enter(explorer_small, visit):
    page = visit(report.write_explorer(explorer_small, "made_up"))
    page.locator("#all").focus()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className.startsWith('row')"):
            break
    page.evaluate("document.querySelector('#panel').replaceChildren()")
    page.keyboard.press("Enter")
    assert page.locator("#panel h3").count() == 1


def test_choosing_an_action_unit(explorer_large, visit):
    page = visit(html_of(explorer_large))
    rows = rows_of(explorer_large, "filters.csv")
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
        "Nearly always with\nAU06" in text and "ROC AUC 0.88 (0.81 to 0.99); on random networks 0.78" in text
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


def test_links_that_lead_nowhere_say_so(explorer_small, visit):
    html = report.write_explorer(explorer_small, "made_up")
    for link in ("#filter=block9/relu:1", "#filter=%E0%A4%A", "#filter=<b>", "#au=AU99", "#controls"):
        page = visit(html, link)
        assert ("here." in page.locator("#panel").inner_text()) == link.startswith("#filter"), link
    page.locator("#rows tr").first.click()
    assert page.locator("#panel h3").count() == 1


def test_links_lead_to_a_filter_or_an_action_unit(explorer_large, visit):
    page = visit(html_of(explorer_large), "#filter=block3/relu:17")
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
    page = visit(html_of(explorer_large), "#au=AU15")
    assert page.locator("article:visible h3").inner_text() == "AU15 lip corner depressor"


def test_methods_beside_the_truth(explorer_copy, visit):
    """Means over AU12 and AU25 by hand, say 0.60 of 0.7 and 0.5; a unit without a score is left out of it."""
    page = visit(report.write_explorer(explorer_copy, "made_up"))
    after = page.locator("#randomisation h3", has_text="Where the answer is known").locator("xpath=..")
    rest = " in pointing and mass, 0 in rank."
    assert [text.removesuffix(rest) for text in after.locator("h3 ~ p").all_inner_texts()[1:]] == [
        "Against what the unit changes, mean of 2 action units. Noise would have 0.07",
        "Against where it changes fastest, mean of 2 action units. Noise would have 0.04",
        "Against planted network: what it can read. Noise would have 0.08",
    ]
    shown, slope, region = after.locator("h3 ~ .scroll table").all()
    for table in (shown, slope, region):
        table.scroll_into_view_if_needed()
        assert table.is_visible()
        box = table.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 1366
        assert table.locator("thead th").all_inner_texts() == ["Method", "Pointing", "Mass", "Rank"]
        methods = ["gradient", "guided backprop", "edges (no network)"]
        assert table.locator("tbody th").all_inner_texts() == methods

    def cells(table):
        return [text.split("\n") for text in table.locator("tbody td").all_inner_texts()]

    assert cells(shown)[:3] == [
        ["0.60", "other faces 0.20"],
        ["0.20", "other faces 0.07"],
        ["0.18", "other faces -0.01"],
    ]
    assert cells(shown)[6:] == [
        ["0.30", "other faces 0.29"],
        ["0.15", "other faces 0.15"],
        ["0.10", "other faces 0.10"],
    ]
    assert cells(slope)[3:6] == [
        ["0.50", "other faces 0.40"],
        ["0.20", "other faces 0.20"],
        ["0.24", "other faces 0.20"],
    ]
    assert cells(region)[3] == ["0.96", "other faces 0.95"]
    edit(explorer_copy, lambda s: s.pop("truth"))
    page = visit(report.write_explorer(explorer_copy, "made_up"))
    assert page.locator("#randomisation h2").is_visible()
    assert page.get_by_text("Where the answer is known").count() == 0


def test_no_faces_in_a_browser(explorer_copy, visit):
    page = visit(report.write_explorer(explorer_copy, "made_up", faces=False))
    assert page.locator("canvas").count() == 0 and page.locator("#panel .pairs tbody tr").count() == 21
    assert page.locator("#panel dl").inner_text().startswith("Matched AU")


def test_on_paper(explorer_large, visit):
    page = visit(html_of(explorer_large))
    page.get_by_label("Verdict").select_option(
        "as in random networks"
    )  # what is narrowed away is printed all the same
    page.emulate_media(media="print")
    survive = best_first(explorer_large)
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
def test_words_stand_out_from_their_ground(browser, explorer_small, scheme):
    """WCAG 2.2, 1.4.3: a contrast of 4.5 for every small text that is seen."""
    context = browser.new_context(viewport={"width": 1366, "height": 768}, color_scheme=scheme)
    page = context.new_page()
    page.goto(report.write_explorer(explorer_small, "made_up").resolve().as_uri())
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
