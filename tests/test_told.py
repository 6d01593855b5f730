"""One answer a clip from what heads told after every epoch: by hand, and what the field's rule sees."""

import numpy as np
import pytest

from ferjax.micro import told

# two folds, one seed, three epochs, two classes; fold 0 reports clip 1 and watches clip 0 as inner, fold 1
# reports clip 0
WATCH = np.array([[1, 0], [0, -1]])
CHOOSE = np.array([[False, True], [False, False]])
P = np.zeros((3, 2, 2, 2))
P[..., 0] = [[[0.1, 0.9], [0.6, 0.0]], [[0.7, 0.9], [0.2, 0.0]], [[0.3, 0.9], [0.4, 0.0]]]
P[..., 1] = 1 - P[..., 0]


def test_the_clean_answer_is_of_the_epoch_that_the_rule_gave():
    out = told.clean(P, np.array([2, 0]), WATCH, CHOOSE, 2)
    np.testing.assert_allclose(out[0, :, 0], [0.6, 0.3])


def test_the_fields_answer_is_of_the_epoch_that_did_best_on_the_one_held_out():
    out, best = told.field_style(P, WATCH, CHOOSE, np.array([1, 0]))
    assert best.tolist() == [1, 1]  # clip 1 is class 0: epoch 1 says 0.7; clip 0 is class 1: epoch 1 says 0.2
    np.testing.assert_allclose(out[0, :, 0], [0.2, 0.7])
    out, best = told.field_style(P, WATCH, CHOOSE, np.array([0, 1]))
    assert best.tolist() == [0, 0]


def test_every_clip_is_reported_once():
    with pytest.raises(ValueError, match="reported by no fold"):
        told.clean(P, np.array([0, 0]), WATCH, CHOOSE, 3)
    with pytest.raises(ValueError, match="another fold reports too"):
        told.clean(P, np.array([0, 0]), np.array([[1, 0], [1, -1]]), CHOOSE, 2)
