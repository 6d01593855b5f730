import numpy as np
import pytest

from data_pipelines import BadInput, labels


def test_tables_name_known_emotions():
    for table in (
        labels.FER2013_CLASSES,
        labels.FERPLUS_CLASSES,
        labels.CKPLUS_CODES.values(),
        labels.SYNONYMS,
    ):
        assert set(table) <= set(labels.EMOTIONS)
        assert len(set(table)) == len(table)
    assert set(labels.FERPLUS_CLASSES) == set(labels.CKPLUS_CODES.values()) == set(labels.EMOTIONS)
    assert labels.FER2013_CODES[3] == "happiness"
    assert labels.CKPLUS_CODES[3] == "disgust"


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("angry", "anger"),
        (" Happy ", "happiness"),
        ("SAD", "sadness"),
        ("surprised", "surprise"),
        ("fear", "fear"),
    ],
)
def test_emotion(word, name):
    assert labels.emotion(word) == name


@pytest.mark.parametrize("word", ["3", "", "sadly"])
def test_emotion_refuses(word):
    with pytest.raises(BadInput, match="no known emotion"):
        labels.emotion(word)


def test_au_names():
    assert [labels.au_name(number) for number in (1, 12)] == ["AU01", "AU12"]
    assert [labels.au_number(name) for name in ("AU01", "au_1", "AU12_r", "au_4_intensity", "AU45_c")] == [
        1,
        1,
        12,
        4,
        45,
    ]
    assert labels.facs_name("AU12") == "lip corner puller"
    assert labels.facs_name("AU99") == ""
    assert all(labels.au_name(labels.au_number(name)) == name for name in labels.FACS_NAMES)
    with pytest.raises(BadInput, match="AU01"):
        labels.au_number("brow")


def test_au_present():
    aus = np.array([-1, 0, 1, 2, 5, 9], np.int8)
    np.testing.assert_array_equal(labels.au_present(aus), [-1, 0, 1, 1, 1, 1])
    np.testing.assert_array_equal(labels.au_present(aus, 2), [-1, 0, 0, 1, 1, -1])
    with pytest.raises(ValueError, match="1 to 5"):
        labels.au_present(aus, 0)


def test_map_labels():
    label = np.array([0, 1, 2, -1])
    mapped = labels.map_labels(label, ("fear", "contempt", "anger"), ("anger", "fear"))
    np.testing.assert_array_equal(mapped, [1, -1, 0, -1])


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ("", "basic", "basic"),
        ("fear=", "", "fear="),
        ("fear=anger", "anger=disgust", {"fear": "disgust", "anger": "disgust"}),
        ("anger=fear,contempt=", "fear=sadness", {"anger": "sadness", "contempt": "", "fear": "sadness"}),
        ("anger=fear", "without_neutral", {"anger": "fear", "neutral": ""}),
        ("anger=fear,fear=anger", "fear=", {"anger": "", "fear": "anger"}),
    ],
)
def test_maps_one_after_the_other(first, second, both):
    got = labels.then(first, second)
    assert got == both if isinstance(both, str) else labels.label_map(got) == both
