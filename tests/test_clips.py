"""Clips: from frames with ids, their phases, sampling in time, key frames, joined sets."""

import dataclasses

import numpy as np
import pytest
from clip_sets import make_clips

from data_pipelines import BadInput, clips
from data_pipelines.split import Split


def frames_split(ids, label=None, subject=None) -> Split:
    """Frames whose pixels are their place in the list."""
    n = len(ids)
    image = np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)
    return Split(
        "set/frames",
        image,
        np.zeros(n) if label is None else np.array(label),
        np.arange(n, dtype=np.int8)[:, None] % 6,
        np.array(["p"] * n if subject is None else subject),
        np.array(ids),
        ("disgust", "happiness"),
        ("AU04",),
    )


def test_frames_become_clips_in_the_order_of_their_numbers():
    split = frames_split(["a/000010", "a/000009", "b/c/1000000", "b/c/999999", "alone.png", "a/000011"])
    made = clips.of_frames(split, {"a": (9, 10, 11)}, 200)
    assert made.id.tolist() == ["a", "b/c"]
    assert made.number.tolist() == [9, 10, 11, 999999, 1000000]
    assert made.frames(0)[:, 0, 0, 0].tolist() == [1, 0, 5]
    assert made.frames(1)[:, 0, 0, 0].tolist() == [3, 2]
    assert (made.onset.tolist(), made.apex.tolist(), made.offset.tolist()) == ([0, 0], [1, -1], [2, 1])
    assert made.aus[0, 0] == 0  # the code of the apex frame, number 10, which is row 0


@pytest.mark.parametrize(
    ("phase", "says"),
    [
        ((9, 20, 11), "clip a: its apex is frame 20, and its frames are 9 to 11;"),
        ((9, 10, 12), "clip a: its offset is frame 12, and its frames are 9 to 11;"),
        ((10, 9, 11), "clip a: onset 10, apex 9, offset 11 are not in order"),
    ],
)
def test_phases_that_cannot_be(phase, says):
    with pytest.raises(BadInput, match=says):
        clips.of_frames(frames_split(["a/000009", "a/000010", "a/000011"]), {"a": phase}, 200)


def test_a_frame_missing_in_the_middle_is_told_as_a_gap():
    with pytest.raises(BadInput, match="its apex is frame 10, and its frames are 9 to 11, with gaps"):
        clips.of_frames(frames_split(["a/000009", "a/000011"]), {"a": (9, 10, 11)}, 200)


def test_a_clip_of_two_emotions_or_subjects():
    with pytest.raises(BadInput, match="clip a has frames of several emotions"):
        clips.of_frames(frames_split(["a/000001", "a/000002"], label=[0, 1]), {}, 200)
    with pytest.raises(BadInput, match="clip a has frames of several subjects"):
        clips.of_frames(frames_split(["a/000001", "a/000002"], subject=["p", "q"]), {}, 200)


def test_resampling_by_hand():
    made = make_clips(("s1",), (9,))
    place, mask = clips.positions(made, "resample", 5)
    assert place.tolist() == [[0, 2, 4, 6, 8]] and mask.all()
    place, _ = clips.positions(made, "interpolate", 6)
    np.testing.assert_allclose(place, [[0, 1.6, 3.2, 4.8, 6.4, 8]])
    place, mask = clips.positions(made, "pad", 6, stride=2)
    assert place.tolist() == [[0, 2, 4, 6, 8, 8]] and mask.tolist() == [[True] * 5 + [False]]
    with pytest.raises(BadInput, match=r"clip s1/clip00 has 9 frames .* clip.length is 6: raise it"):
        clips.positions(made, "pad", 6)


def test_mixtures_between_frames_by_hand():
    frames = np.array([0, 100, 50], np.uint8)[:, None, None, None]
    assert clips.frames_at(frames, np.array([0, 0.5, 1.25, 2])).ravel().tolist() == [0, 50, 88, 50]


def test_key_frames_of_a_clip_cut_at_onset_and_offset():
    made = make_clips(("s1", "s2"), (9, 12))
    key = clips.key_frames(made)
    assert key.id.tolist() == [
        *("s1/clip00/000100", "s1/clip00/000104", "s1/clip00/000108"),
        *("s2/clip01/000100", "s2/clip01/000106", "s2/clip01/000111"),
    ]
    assert [key.classes[k] for k in key.label] == [
        "neutral",
        "disgust",
        "neutral",
        "neutral",
        "happiness",
        "neutral",
    ]
    assert (key.aus[:, 0] == [-1, 4, -1, -1, 0, -1]).all()
    wide = clips.key_frames(made, near=1, step=2, neutral="")
    assert [i[-6:] for i in wide.id[:3]] == ["000102", "000104", "000106"] and wide.classes == made.classes


def test_key_frames_of_a_longer_recording_have_onset_and_offset_as_the_emotion():
    made = dataclasses.replace(make_clips(("s1",), (9,)), onset=np.array([2]), offset=np.array([7]))
    key = clips.key_frames(made)
    found = [(i[-3:], key.classes[k]) for i, k in zip(key.id.tolist(), key.label, strict=True)]
    assert found == [
        ("100", "neutral"),
        ("102", "disgust"),
        ("104", "disgust"),
        ("107", "disgust"),
        ("108", "neutral"),
    ]


def test_sets_are_joined_by_name():
    a = make_clips(("s1",), (9,))
    b = dataclasses.replace(
        make_clips(("s1",), (10,)), classes=("surprise", "disgust"), au_names=("AU01", "AU04")
    )
    both = clips.joined("composite", {"x": a, "y": b})
    assert both.subjects == ("x-s1", "y-s1") and both.id.tolist() == ["x-s1/clip00", "y-s1/clip00"]
    assert both.classes == ("disgust", "happiness", "surprise")
    again = clips.joined("composite", {"x": dataclasses.replace(a, subject=np.array(["x-s1"])), "y": b})
    assert again.subjects == both.subjects  # a name has its set's prefix once, so that leaks are seen
    assert [both.classes[k] for k in both.label] == ["disgust", "surprise"]
    assert both.au_names == ("AU01", "AU04", "AU12") and both.aus.tolist() == [[-1, 4, 0], [4, 0, -1]]
    assert (both.frames(1) == b.frames(0)).all()


def test_emotions_by_name_and_what_is_left_out():
    made = make_clips()
    kept, told = clips.relabel(made, "happiness=positive,disgust=", "")
    assert kept.classes == ("positive",) and len(kept) == 2 and (kept.frames(0) == made.frames(1)).all()
    assert told == ("tiny: emotions by name: happiness as positive; left out: 2 clips of disgust",)
    with pytest.raises(BadInput, match="surprise is not among"):
        clips.relabel(made, "", "surprise")


def test_inner_subjects_never_hold_the_one_left_out():
    people = [f"sub{i:02d}" for i in range(16)]
    for who in people:
        chosen = clips.inner(people, who, 3)
        assert len(set(chosen)) == 3 and who not in chosen
    assert len({clips.inner(people, who, 3) for who in people}) > 10


def test_the_hash_follows_pixels_and_phases():
    made = make_clips()
    assert made.take(np.arange(4)).hash == made.hash
    assert dataclasses.replace(made, apex=made.apex + 1).hash != made.hash
    image = made.image.copy()
    image[0, 0, 0, 0] ^= 1
    assert dataclasses.replace(made, image=image).hash != made.hash
