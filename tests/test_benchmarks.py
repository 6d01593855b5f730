"""What benchmarks make of their measurements, by hand."""

import csv
import io
import json

import pytest

from benchmarks import input_speed, step_parts, throughput


def _round(host, train, memory=None):
    found = {(way,): {"images_per_s": v} for way, v in (("host", host), ("train", train), ("rows", 1e6))}
    return found | ({("memory",): {"resident_mb": memory}} if memory else {})


def test_claims_of_the_input():
    held = [_round(40_000, 1000, [500, 600, 600, 605, 610, 611]), _round(20_000, 8000), _round(36_000, 6000)]
    told = input_speed.summarise(held)
    assert told["images_per_s"]["host"] == {"median": 36_000, "low": 20_000, "high": 40_000}
    assert told["over_training"] == 6  # 40, 2.5, 6
    assert told["memory_mb"] == {"epochs": 6, "first": 500, "warm": 600, "last": 611}
    assert list(told["claims"].values()) == [True, True, True]
    json.dumps(told)
    held[0]["memory",]["resident_mb"][-1] = 613
    held[2]["host",]["images_per_s"] = 29_999
    told = input_speed.summarise(held)
    assert list(told["claims"].values()) == [False, False, False]  # 29,999; 4.99983 times; 2.2 % more
    assert "30,000 images/s: NO" in input_speed.table(told)


def test_parts_of_a_step_are_compared_within_rounds(tmp_path):
    taken = {("step", "whole"): [1.0, 2.0, 4.0], ("block1/conv", "xla"): [0.5, 0.2, 1.0]}
    rows = step_parts.summarise(taken)
    assert [row["of_step"] for row in rows] == [1, 0.25]
    assert rows[1]["ms"] == {"median": 500, "low": 200, "high": 1000}
    assert "500.0 (200.0-1000.0)  25 %" in step_parts.table(rows)


def test_the_networks_products_are_what_xla_counts_and_give_the_utilisation():
    import jax
    import jax.numpy as jnp

    from ferjax import config
    from ferjax.models import fer_cnn

    c = config.default()
    c.model.conv = "xla"
    model = fer_cnn.build(c.model, 8)
    x = jnp.zeros((2, 48, 48, 1))
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), x))
    counted = jax.jit(lambda p: model.apply(p, x)).lower(params).cost_analysis()["flops"]
    # XLA leaves out taps that fall into the padding: 6 of 5 n along an axis
    inside = [(5 * n - 6) ** 2 * pair for n, pair in ((48, 64), (24, 64 * 128), (12, 128 * 256))]
    whole = [25 * n**2 * pair for n, pair in ((48, 64), (24, 64 * 128), (12, 128 * 256))]
    counted /= 2e9  # of two pictures; a flop is a product or a sum
    rest = counted - (throughput.FORWARD_GFLOP - 2e-9 * (sum(whole) - sum(inside)))
    assert 0 <= rest < 1e-3, rest  # biases, ReLU, pooling: an operation a number or so
    held = [{("ferjax", 128): {"train": [0.128], "infer": [0.064], "peak_mb": 1}}]  # 1,000 and 2,000 images/s
    rows = throughput.summarise(held, [128])
    assert rows[0]["train"]["tflop_s"] == pytest.approx(3 * throughput.FORWARD_GFLOP)
    assert "train 14.7%, infer 9.8%" in throughput.utilisation(rows, 10)
    both = [*rows, rows[0] | {"contestant": "ferjax-bf16"}]
    assert [line.split()[0] for line in throughput.utilisation(both, 10).splitlines()[1:]] == ["ferjax-bf16"]


def test_the_fast_path_and_xla_are_compared_picture_by_picture(data_dir, tmp_path, monkeypatch, capsys):
    import runs

    from benchmarks import fast_path

    path = runs.write_config(tmp_path / "experiment.py", data_dir)
    words = ["--config", path, "--workdir", str(tmp_path / "w"), "--seeds", "1,2", "--config.train.epochs=1"]
    out = tmp_path / "found.json"
    monkeypatch.setattr("sys.argv", ["fast_path", *words, "--out", str(out)])
    assert fast_path.main() == 0
    for seed in (1, 2):
        for method in ("auto", "xla"):
            folder = tmp_path / "w" / f"{method}-{seed}"
            kept = json.loads((folder / "config.json").read_text())
            assert (kept["seed"], kept["model"]["conv"]) == (seed, method)
        pair = json.loads(out.read_text())["seeds"][str(seed)]
        told = json.loads((folder / "results/test.json").read_text())["metrics"]["accuracy"]["value"]
        assert pair[1] == pytest.approx(told)
    answers = tmp_path / "w/auto-2/results/test_predictions.csv"  # as if that network had always been right
    rows = list(csv.DictReader(io.StringIO(answers.read_text())))
    for row in rows:
        row |= {name: str(float(name == f"p({row['label']})")) for name in row if name.startswith("p(")}
    with open(answers, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(reversed(rows))
    assert fast_path.main() == 0  # trains nothing anew
    found = json.loads(out.read_text())
    (a, b), (c, d) = found["seeds"].values()
    assert c == d < 1
    assert found["difference"] == pytest.approx((a - b + 1 - d) / 2)
    assert found["low"] <= found["difference"] <= found["high"]
    assert f"auto less xla: {50 * (a - b + 1 - d):+.1f} points" in capsys.readouterr().out
