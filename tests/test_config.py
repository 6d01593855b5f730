"""The schema: overrides, refusals that name the key, and what may change on resume."""

import pytest

from data_pipelines import BadInput
from ferjax import config

FILE = "from ferjax import config\ndef get_config():\n    c = config.default()\n    return c\n"


@pytest.fixture
def experiment(tmp_path):
    path = tmp_path / "experiment.py"
    path.write_text(FILE)
    return str(path)


def test_override_takes_the_type_of_the_key(experiment):
    c = config.load(
        experiment, ["optimizer.learning_rate=1", "model.features=(8,16)", "data.dir=some/where", "seed=3"]
    )
    assert c.optimizer.learning_rate == 1.0 and isinstance(c.optimizer.learning_rate, float)
    assert c.model.features == (8, 16)
    assert c.data.dir == "some/where"
    assert c.seed == 3


@pytest.mark.parametrize(
    ("override", "words"),
    [
        (
            "optimizer.learning_rat=1",
            "unknown config key optimizer.learning_rat; did you mean optimizer.learning_rate?",
        ),
        ("optimiser.learning_rate=1", "did you mean optimizer.learning_rate?"),
        ("learning_rate=1", "did you mean optimizer.learning_rate?"),
        ("optimizer.learning_rate=-1", "config key optimizer.learning_rate is -1.0; it must be above 0"),
        ("optimizer.learning_rate=high", "it must be of type float"),
        ("train.epochs=2.5", "it must be of type int"),
        ("train.epochs=True", "it must be of type int"),
        ("augment.flip=1", "it must be of type bool"),
        ("model.kernel=4", "it must be odd"),
        ("model.features=('a',)", "it must be of type tuple"),
        ("optimizer=1", "is a group of keys"),
        ("seed", "has no value"),
        ("schedule.name=cosin", "one of constant, keras_decay, cosine, plateau"),
        ("data.name=ck_plus_plus", "config key data.name is 'ck_plus_plus'; it must be one of"),
        ("data.options.no_such=1", "unknown config key data.options.no_such"),
        ("seed.deeper=1", "unknown config key seed.deeper"),
        ("model.dropout_dense=1.0", "at least 0 and below 1"),
    ],
)
def test_a_wrong_override_is_one_line_naming_the_key(experiment, override, words):
    with pytest.raises(BadInput) as e:
        config.load(experiment, [override])
    assert words in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("c.modle = 1", "unknown config key modle"),
        ("c.model.filters = 1", "unknown config key model.filters"),
        ("del c.seed", "config key seed is missing"),
        ("c.seed = 'one'", "seed"),
        ("c.nothing.here = 1", "nothing"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path, text, words):
    path = tmp_path / "experiment.py"
    path.write_text(FILE.replace("    return c", f"    {text}\n    return c"))
    with pytest.raises(BadInput) as e:
        config.load(str(path))
    assert words in str(e.value)


def test_a_file_that_is_no_config_is_refused(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        config.load(str(tmp_path / "absent.py"))
    for text, words in (
        ("x = (", "line 1"),
        ("x = 1", "get_config"),
        ("def get_config(): return 1", "ConfigDict"),
    ):
        (tmp_path / "e.py").write_text(text)
        with pytest.raises(BadInput, match=words):
            config.load(str(tmp_path / "e.py"))


def test_json_round_trip(experiment):
    c = config.load(experiment, ["model.features=(4,4)", "data.options.n_subjects=7"])
    again = config.from_json(config.to_json(c))
    assert again.to_dict() == c.to_dict()


def test_what_matters_on_resume():
    old = config.to_json(config.default())

    def changed(*overrides):
        c = config.default()
        config.apply_overrides(c, overrides)
        return [key for key, _, _ in config.differences(old, config.to_json(c))]

    assert changed("data.dir=elsewhere", "evaluate.views=10", "checkpoint.keep=3") == []
    assert changed("optimizer.learning_rate=0.01", "seed=1") == ["optimizer.learning_rate", "seed"]
    assert changed("train.epochs=30") == []  # constant learning rate: more epochs is just going on
    assert changed("train.epochs=3") == ["train.epochs"]
    assert changed("schedule.name=cosine", "train.epochs=30") == ["schedule.name", "train.epochs"]
