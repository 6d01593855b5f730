"""The rules by which a coding and the frames on disk come together, each by hand."""

import pytest

from data_pipelines import rules
from data_pipelines.coding import Coding


def settle(onset, apex, offset, numbers):
    settled, told = rules.settle(Coding(2, "s/c", "s", onset, apex, offset, None, "fear"), list(numbers))
    where = settled and (settled.onset, settled.apex, settled.offset)
    return where, {t.rule: t.words for t in told}


TEN = range(10, 21)


@pytest.mark.parametrize(
    ("coded", "numbers", "where", "told"),
    [
        ((10, 15, 20), TEN, (10, 15, 20), {}),
        ((12, 15, 18), TEN, (12, 15, 18), {}),  # a recording longer than the expression
        ((10, -1, 20), TEN, (10, -1, 20), {"no_apex": ""}),
        ((-1, 15, -1), TEN, (10, 15, 20), {"no_onset": "", "no_offset": ""}),
        ((10, 10, 20), TEN, (10, 10, 20), {"apex_at_onset": "10"}),
        ((10, 20, 20), TEN, (10, 20, 20), {}),
        ((10, 22, 20), TEN, (10, -1, 20), {"apex_outside": "22; 10 to 20"}),
        ((12, 11, 20), TEN, (12, -1, 20), {"apex_outside": "11; 12 to 20"}),
        ((10, 15, 34), TEN, (10, 15, 20), {"offset_past_end": "34; the last is 20"}),
        ((10, 25, 34), TEN, (10, -1, 20),
         {"offset_past_end": "34; the last is 20", "apex_outside": "25; 10 to 20"}),
        ((4, 15, 20), TEN, (10, 15, 20), {"onset_before_start": "4; the first is 10"}),
        ((10, 15, 9), TEN, (10, 15, 20), {"offset_before_onset": "9 before 10"}),
        ((30, 35, 40), TEN, None, {"elsewhere": "30 to 40; on disk 10 to 20"}),
        ((1, 5, 9), TEN, None, {"elsewhere": "1 to 9; on disk 10 to 20"}),
        ((10, 10, 10), [10], None, {"one_frame": "1 on disk"}),
        ((10, 15, 20), [], None, {"one_frame": "0 on disk"}),
        (
            (12, 12, 12),
            [10, 11, 12],
            None,
            {"apex_at_onset": "12", "one_frame": "onset and offset are both 12"},
        ),
        ((10, 15, 20), [10, 11, 13, 14, 15, 19, 20], (10, 15, 20), {"gap": "12, 16-18"}),
        ((10, 15, 20), [10, 11, 12, 18, 19, 20], (10, 12, 20), {"gap": "13-17; apex 15 is now 12"}),
        ((10, 16, 20), [10, 11, 12, 18, 19, 20], (10, 18, 20), {"gap": "13-17; apex 16 is now 18"}),
        ((12, 13, 19), [10, 11, 14, 15, 18, 20], (11, 14, 18),
         {"gap": "12-13, 16-17, 19; onset 12 is now 11; apex 13 is now 14; offset 19 is now 18"}),
    ],
)  # fmt: skip
def test_settle(coded, numbers, where, told):
    assert settle(*coded, numbers) == (where, told)


def test_every_rule_that_applies_has_words():
    assert all(words and not words.endswith(".") for words in rules.RULES.values())


def test_the_frame_that_has_the_codes():
    row = Coding(2, "s/c", "s", 10, 15, 20, None, "")
    assert rules.coded_frame(row, TEN) == 15
    assert rules.coded_frame(row._replace(apex=-1), range(1, 40)) == 15
    assert rules.coded_frame(row._replace(apex=-1, offset=13), TEN) == 11
