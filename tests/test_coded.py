"""Inputs with known action units, and shuffled labels."""

import numpy as np
import pytest

from data_pipelines import BadInput, arrays, coded, exported


def test_coded_load_of_facsynth_joins_both_modes_of_unseen_people(tmp_path):
    data = {
        "name": "facsynth",
        "cache_dir": str(tmp_path),
        "options": {"n_subjects": 5, "images_per_subject": 8},
        "image_size": 16,
    }
    found, parts = coded.load(data), arrays.load_parts(data)
    split = found.split
    assert set(split.subject) == set(parts.test.subject)
    assert not set(split.subject) & set(parts.train.subject)
    with_emotion = split.label >= 0
    assert with_emotion.sum() == (~with_emotion).sum() == 8
    np.testing.assert_array_equal(split.image[with_emotion], parts.test.image)
    assert (found.sequence == split.id).all()


def test_coded_load_takes_rows_with_codes_and_refuses_sets_without(tmp_path):
    write_npz(tmp_path, aus=np.array([[-1, -1], [0, 3], [-1, 9]], np.int8))
    found = coded.load({"name": "npz", "dir": str(tmp_path)})
    assert len(found.split) == 6
    assert (found.split.aus != -1).any(1).all()
    write_npz(tmp_path, aus=np.full((3, 2), -1, np.int8))
    with pytest.raises(BadInput, match="npz: not one input has action-unit labels"):
        coded.load({"name": "npz", "dir": str(tmp_path)})


def test_shuffled_labels_keep_counts_and_leave_test_alone(tmp_path):
    write_npz(tmp_path, aus=np.zeros((3, 2), np.int8), n=300)
    plain = arrays.load_parts({"name": "npz", "dir": str(tmp_path)})
    mixed = arrays.load_parts({"name": "npz", "dir": str(tmp_path), "shuffle_labels": 1})
    for part in ("train", "select"):
        a, b = getattr(plain, part), getattr(mixed, part)
        np.testing.assert_array_equal(np.bincount(a.label), np.bincount(b.label))
        assert (a.label != b.label).any()
        np.testing.assert_array_equal(a.image, b.image)
    np.testing.assert_array_equal(plain.test.label, mixed.test.label)


def write_npz(folder, aus, n=3):
    """train.npz, select.npz and test.npz of n rows whose codes repeat `aus`."""
    parts = []
    for number, part in enumerate(("train", "select", "test")):
        rng = np.random.default_rng(number)
        parts.append(
            arrays.Split(
                name=f"made/{part}",
                image=rng.integers(0, 255, (n, 4, 4, 1)).astype(np.uint8),
                label=rng.integers(0, 2, n).astype(np.int32),
                aus=np.resize(aus, (n, 2)),
                subject=np.full(n, f"{part}-one"),
                id=np.array([f"{part}{i}" for i in range(n)]),
                classes=("anger", "happiness"),
                au_names=("AU01", "AU12"),
            )
        )
    exported.write(arrays.Parts(*parts, "made"), folder)
