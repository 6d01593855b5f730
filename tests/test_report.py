"""The report: one page, complete, safe, and honest about what is missing."""

import base64
import html.parser
import io
import json
import math
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import human_files
import numpy as np
import pytest
from PIL import Image

from data_pipelines import BadInput
from ferjax import human, metrics, report, results
from ferjax.report import charts, parts, strips

CLASSES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
SHORT = ("joy", "fear", "<b>&awe")


def write_run(workdir, classes=CLASSES, epochs=12, names=("test", "select"), n=400):
    """A workdir with made-up numbers in every file that a training and its evaluations leave."""
    rng, k = np.random.default_rng(0), len(classes)
    config = {
        "name": "demo <1>",
        "optimizer": {"name": "adam", "learning_rate": 3e-4},
        "data": {"name": "facsynth"},
    }
    hashes = {part: f"{i}" * 64 for i, part in enumerate(("train", "select", "test"))}
    results.describe_run(workdir, config, hashes, "8 x cpu, pmap", selection="unseen subjects")
    with open(workdir / "metrics.jsonl", "w") as file:
        for epoch in range(1, epochs + 1):
            for split, gap in (("train", 0.0), ("select", 0.04)):
                good = 0.93 - 0.75 * math.exp(-epoch / 3) - gap + 0.01 * rng.standard_normal()
                line = {
                    "step": 100 * epoch,
                    "epoch": epoch,
                    "split": split,
                    "loss": 2.2 * (1 - good),
                    "accuracy": good,
                }
                line |= {"learning_rate": 1e-3 * math.cos(epoch / 9)} if split == "train" else {}
                file.write(json.dumps(line) + "\n")
    with open(workdir / "timing.jsonl", "w") as file:
        for step in range(20, 100 * epochs, 20):
            file.write(json.dumps({"step": step, "images_per_s": 2150 + 90 * rng.standard_normal()}) + "\n")
    for name in names:
        label = rng.integers(0, k, n)
        probability = rng.dirichlet(np.ones(k), n)
        probability[np.arange(n), label] += 0.22
        probability /= probability.sum(1, keepdims=True)
        subject = [f"s{i:02d}" for i in rng.integers(0, 53, n)]
        scores = metrics.classification(label, probability, classes, subject, n_bootstrap=100)
        facts = {
            "split": f"facsynth/{name}",
            "split_hash": hashes[name.removesuffix("_without_duplicates")],
            "config": config,
            "seed": 0,
        }
        facts |= {"selected_on": "accuracy on unseen subjects", "checkpoint_step": 1000, "wall_time_s": 3.2}
        results.write_result(workdir, name, scores, **facts, device="8 x cpu, pmap", figure=False)
        write_worst(workdir / "results" / f"{name}_worst.npz", label, probability, rng)
    return workdir


def write_worst(path, label, probability, rng, m=24):
    predicted = probability.argmax(1)
    rows = np.flatnonzero(predicted != label)[:m]
    y, x = np.mgrid[:48, :48] - 24
    face = 60 + 120 * ((x / 17) ** 2 + (y / 22) ** 2 < 1) - 90 * ((abs(x) - 8) ** 2 + (y + 5) ** 2 < 9)
    face = face[None] + rng.integers(-20, 20, (len(rows), 48, 48))
    np.savez(
        path,
        image=face.clip(0, 255).astype(np.uint8)[..., None],
        label=label[rows],
        predicted=predicted[rows],
        confidence=probability.max(1)[rows],
        id=np.array([f"test/s{i:02d}_{i:04d}" for i in rows]),
    )


class Page(html.parser.HTMLParser):
    """Tags, ids, text and whatever would be fetched."""

    VOID = ("meta", "img", "br")

    def __init__(self, path):
        super().__init__()
        self.tags, self.ids, self.words, self.loads, self.open = [], [], [], [], []
        self.feed(path.read_text("utf-8"))
        self.close()
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for key, value in attrs if key == "id"]
        self.loads += [
            value for key, value in attrs if key in ("href", "src", "srcset", "data", "action", "poster")
        ]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += [data] if "style" not in self.open else []

    def count(self, tag):
        return sum(t == tag for t, _ in self.tags)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run, tmp_path / "copy")


def test_the_page_is_whole_and_loads_nothing(run):
    path = report.write_report(run)
    assert path == run / "report" / "index.html"
    page = Page(path)
    assert not page.open and len(set(page.ids)) == len(page.ids)
    for address in page.loads:
        assert address.startswith(("#", "data:image/png;base64,")), address
    assert {a[1:] for a in page.loads if a.startswith("#")} <= set(page.ids)
    assert page.count("script") == 0 and page.count("link") == 0 and page.count("h1") == 1
    assert page.count("img") == 2 * 24 and all(a.get("alt") for t, a in page.tags if t == "img")
    css = path.read_text().split("<style>")[1].split("</style>")[0]
    assert "url(" not in css and "@import" not in css


def test_the_page_says_the_numbers(run):
    text = Page(report.write_report(run)).text
    test = results.read_result(run / "results" / "test.json")
    m = test["metrics"]["accuracy"]
    assert f"test accuracy {100 * m['value']:.1f} % {100 * m['low']:.1f} to {100 * m['high']:.1f}" in text
    for words in ("demo <1>", "accuracy on unseen subjects", "53 subjects", "step 1,000", "scored: epoch 10"):
        assert words in text
    for value in (test["split_hash"], test["config_hash"], "8 x cpu, pmap", "select: seen while training"):
        assert value in text
    row = test["confusion"][1]
    assert (
        f"happiness {sum(row)} {100 * row[0] / sum(row):.0f} % {row[0]} {100 * row[1] / sum(row):.0f} %"
        in text
    )
    assert "missing" not in text


def test_same_files_same_page(run):
    assert report.write_report(run).read_bytes() == report.write_report(run).read_bytes()


def test_no_faces(copy):
    page = Page(report.write_report(copy, faces=False))
    assert page.count("img") == 0 and b"base64" not in (copy / "report/index.html").read_bytes()
    assert "the pictures are left out" in page.text and "Probability" in page.text


def test_people_and_network_side_by_side(copy, tmp_path):
    assert "people" not in Page(report.write_report(copy)).ids
    text = human_files.TABLE.replace("Made up", "Made & <up>")
    group = human_files.add_comparison(copy, "test", human_files.write_table(tmp_path / "people.csv", text))
    page = Page(report.write_report(copy))
    assert "people" in page.ids and not page.open
    assert "People: Made & <up>, for a test. people.csv" in page.text
    assert human.shared_words(group) in page.text.replace("\xa0", " ")
    assert human.chance_words(group) in page.text and "over the network's 20 subjects" in page.text
    fear = group["classes"].index("fear")
    for key, words in (("people", "fear 102 "), ("network", "fear ")):
        row = [
            f"{100 * share:.0f}" if share >= 0.005 else "<1" if share else "0" for share in group[key][fear]
        ]
        assert words + " ".join(row) in page.text
    m = group["correlation"]["spearman"]
    assert f"Spearman 42 {m['value']:.3f} {m['low']:.3f} to {m['high']:.3f} {m['p']:.2g}" in page.text
    assert "contempt; " in page.text and "at most 4.8% (anger)" in page.text


def test_names_are_escaped(tmp_path):
    page = Page(report.write_report(write_run(tmp_path, classes=SHORT, names=("test",), n=60)))
    assert page.count("b") == 3  # the headline's three numbers
    assert "<b>&awe" in page.text


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("metrics.jsonl", None, "metrics.jsonl: missing; no training curves"),
        (
            "metrics.jsonl",
            b'{"step": 1}\n{"st',
            "metrics.jsonl: left out 1 unreadable line, line 2; no training",
        ),
        ("timing.jsonl", None, "timing.jsonl: missing; no throughput"),
        ("timing.jsonl", b"\xff\xfe", "timing.jsonl: cannot be read"),
        ("config.json", None, "config.json: missing; the configuration is unknown"),
        ("config.json", b"[1]", "config.json: holds no JSON object"),
        ("run.json", b"{", "run.json: cannot be read as JSON"),
        ("run.json", b'{"split_hashes": 3, "versions": [], "resumed": [1]}', "Git revision unknown"),
        ("results/test.json", None, "select accuracy"),
        (
            "results/test.json",
            b'{"schema": "ferjax/result/9"}',
            "results/test.json: schema is 'ferjax/result/9'",
        ),
        ("results/test_worst.npz", None, "results/test_worst.npz: missing; no mistakes"),
        ("results/test_worst.npz", b"PK\x03\x04nothing", "results/test_worst.npz: cannot be shown"),
        ("results/test_worst.npz", b"", "results/test_worst.npz: cannot be shown"),
    ],
)
def test_what_is_missing_or_broken_is_named(copy, name, content, words):
    if content is None:
        (copy / name).unlink()
    else:
        (copy / name).write_bytes(content)
    page = Page(report.write_report(copy))
    assert words in page.text and not page.open


def test_wrong_arrays_of_mistakes_are_named(copy):
    path = copy / "results" / "test_worst.npz"
    good = dict(np.load(path))
    for key, value, words in [
        ("image", good["image"].astype(float), "not uint8"),
        ("label", good["label"] + 90, "is none of the result's 8"),
        ("label", good["label"] - 90, "is none of the result's 8"),
        ("id", good["id"][:3], "differ in length"),
        ("id", np.array([{}] * 24, object), "allow_pickle"),
    ]:
        np.savez(path, **(good | {key: value}))
        assert words in Page(report.write_report(copy)).text
    np.savez(path, **{key: value[:0] for key, value in good.items()})
    assert "Not one mistake" in Page(report.write_report(copy)).text
    np.savez(path, **(good | {"image": good["image"].repeat(3, -1)}))
    assert Page(report.write_report(copy)).count("img") == 48


def test_variants_without_duplicates_have_no_mistakes_of_their_own(tmp_path):
    """Theirs are among those of the whole, and no file is missed."""
    write_run(tmp_path, names=("test", "test_without_duplicates"))
    (tmp_path / "results" / "test_without_duplicates_worst.npz").unlink()
    page = Page(report.write_report(tmp_path))
    assert "missing" not in page.text and page.count("img") == 24


def test_as_many_mistakes_as_the_file_holds_up_to_a_limit(tmp_path):
    write_run(tmp_path, names=("test",))
    path = tmp_path / "results" / "test_worst.npz"
    good = dict(np.load(path))
    for times, shown in ((2, 48), (5, parts.MOST)):
        np.savez(path, **{key: np.concatenate([value] * times) for key, value in good.items()})
        assert Page(report.write_report(tmp_path)).count("img") == shown


def test_a_training_without_results_yet(tmp_path):
    write_run(tmp_path, names=())
    text = Page(report.write_report(tmp_path)).text
    assert "No result yet" in text and "best on select: epoch" in text


def test_nothing_there(tmp_path):
    with pytest.raises(BadInput, match="nothing of a run"):
        report.write_report(tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(BadInput, match="no such workdir"):
        report.write_report(tmp_path / "nowhere")


def test_strange_lines_are_left_out(copy):
    odd = ["3", '{"split": ["a"]}', '{"split": "train", "epoch": [1], "loss": "x", "step": 1}']
    odd += ['{"split": "select", "epoch": 2, "step": 1, "loss": NaN, "accuracy": 0.5}']
    (copy / "metrics.jsonl").write_text("\n".join(odd))
    (copy / "timing.jsonl").write_text('{"step": 1, "images_per_s": 10}')
    assert "left out 1 unreadable line, line 1" in Page(report.write_report(copy)).text


def test_imports_no_jax():
    code = (
        "import sys; from ferjax import report; assert not {'jax', 'flax', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_ticks():
    assert charts.ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert charts.ticks(0.36, 2.31) == [0.5, 1, 1.5, 2]
    assert charts.ticks(3, 3) == [3] and charts.ticks(0, math.inf) == [0]
    assert charts.ticks(1e-5, 9e-5)[0] == pytest.approx(2e-5)


def test_chart_of_one_point_and_of_none():
    assert charts.line_chart("k", "t", "x", [("a", [(1, math.nan)])]) == ""
    svg = charts.line_chart("k", "t", "x", [("a", [(1, 2)])], mark=(1, "here"))
    assert svg.startswith("<svg") and "nan" not in svg and "here" in svg
    assert ">0.6<" not in svg  # no half epochs


def test_one_wild_point_does_not_flatten_a_chart():
    calm = [(x, 1 + 1 / x) for x in range(2, 40)]
    assert "cut off" not in charts.line_chart("k", "Loss", "x", [("a", calm)])
    assert "cut off at" in charts.line_chart("k", "Loss", "x", [("a", [(1, 900.0), *calm])])


def test_a_dot_chart_places_values_by_hand_and_leaves_out_what_is_not_there():
    rows = [("AU01", [(0.5, 0.4, 0.6), None]), ("AU02 <x>", [(math.nan, 0, 1), (1.0, None, None)])]
    svg = charts.dot_chart("k", "AUC", ["a", "b"], rows)
    ElementTree.fromstring(svg)
    # names of 8 letters take 72.8, the scale runs from there to 546: 0.5 at 309.4, 0.4 and 0.6 47.3 aside
    assert 'cx="309.4"' in svg and 'x1="262.1" x2="356.7"' in svg
    assert svg.count('class="span') == 1 and svg.count("<circle") == 2  # the legend's and the value's
    assert svg.count("<rect") == 2 and 'x="542.5"' in svg  # 546, less half a mark
    assert "AU02 &lt;x&gt;, b: 1.00" in svg and charts.dot_chart("k", "AUC", ["a"], []) == ""


def clip_file(path, n=2):
    """n clips of 3 frames, the first told right and the second wrong."""
    p = np.array([[[0.5, 0.5], [0.8, 0.2], [0.9, 0.1]]] * n)
    np.savez(
        path,
        id=np.array([f"<s{i}>/c" for i in range(n)]),
        label=np.array([0, 1][:n]),
        predicted=np.zeros(n, int),
        apex=np.ones(n, int),
        known=np.array([True, False][:n]),
        mask=np.ones((n, 3), bool),
        probability=p,
        weight=np.array([[0.1, 0.4, -0.2]] * n),
        step=np.array([[0, 1, 2]] * n),
        frames=np.full((n, 3, 4, 4), 100, np.uint8),
        pixels=np.zeros((n, 3, 4, 4)) + np.eye(4),
        classes=np.array(["disgust", "happiness"]),
    )
    return path


def test_film_strips_show_frames_evidence_and_answers(tmp_path):
    html_ = strips.section(clip_file(tmp_path / "e.npz"), "k", True)
    assert "&lt;s0&gt;/c: disgust, right (0.90)" in html_ and "told as disgust" in html_
    assert html_.count("<img") == 2 * 2 * 3 and html_.count("1 apex</span>") == 2
    assert "0 onset" in html_ and "2 offset" in html_ and "middle (no apex coded)" in html_
    # evidence is red over the face: full strength from 0.6 of the clip's largest, none elsewhere
    png = html_.split('alt="frame 2">')[1].split("base64,")[1].split('"')[0]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))))
    assert pixels[0, 0].tolist() == [214, 40, 40] and pixels[0, 1].tolist() == [100, 100, 100]
    assert "<img" not in strips.section(tmp_path / "e.npz", "k", False)
    (tmp_path / "bad.npz").write_bytes(b"PK")
    assert "bad.npz: cannot be shown" in strips.section(tmp_path / "bad.npz", "k", True)
