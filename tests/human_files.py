"""Made-up tables of human confusions for the tests, and a result that is compared with one."""

import json

import numpy as np

from ferjax import human, human_table, results

TABLE = """# Made up, for a test
shown,angry,disgusted,fear,happy,neutral,sad,surprise,none,n
anger,70,20,2,0,3,4,1,5,105
disgust,25,65,4,0,1,4,1,0,100
fear,3,6,60,1,0,5,25,2,102
happiness,0,0,0,97,2,0,1,0,100
neutral,4,1,0,3,85,7,0,0,100
sadness,6,5,6,0,12,71,0,0,100
surprise,1,0,12,3,1,0,83,0,100
"""
NAMES = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")


def write_table(path, text: str = TABLE) -> str:
    """The table as a file."""
    path.write_text(text)
    return str(path)


def examples(shares, n: int = 200, seed: int = 0, people: int = 25):
    """label [k n], predicted [k n] and subject [k n] drawn from rows of shares [k, k]."""
    rng, k = np.random.default_rng(seed), len(shares)
    label = np.repeat(np.arange(k), n)
    predicted = np.concatenate([rng.choice(k, n, p=np.array(row) / sum(row)) for row in shares])
    return label, predicted, np.array([f"s{i:02d}" for i in rng.integers(0, people, k * n)])


def add_comparison(workdir, name: str, table_path) -> dict:
    """Puts a comparison into a result of a made-up workdir, from its own confusion matrix."""
    path = workdir / "results" / f"{name}.json"
    result = json.loads(path.read_text())
    counts = np.array(result["confusion"])
    label, predicted = (
        np.repeat(axis, counts.reshape(-1)) for axis in np.indices(counts.shape).reshape(2, -1)
    )
    subject = [f"s{i % 20}" for i in range(len(label))]
    table = human_table.read(table_path)
    result["human"] = human.compare(label, predicted, result["classes"], table, subject, 200)
    results.save_result(workdir, result, figure=False)
    return result["human"]
