"""The schema: overrides, refusals that name the key, and what may change on resume."""

import json

import pytest

from data_pipelines import BadInput
from ferjax import config, config_rules
from ferjax.ops.conv import METHODS

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


def test_an_option_that_is_a_word_stays_one(experiment):
    """135 is a camera's name, not a number; whichever comes first, the set or its option."""
    for words in ("135", "000", "045,090", "135,180", "all"):
        both = [f"data.options.cameras={words}", "data.name=rafd"]
        for given in (both, both[::-1]):
            assert config.load(experiment, given).data.options.cameras == words
    c = config.load(experiment, ["data.name=rafd", "data.options.colour=True"])
    assert c.data.options.colour is True


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
        ("schedule.name=cosin", "one of constant, keras_decay, cosine, plateau, step"),
        ("data.name=ck_plus_plus", "config key data.name is 'ck_plus_plus'; it must be one of"),
        ("data.options.no_such=1", "unknown config key data.options.no_such"),
        ("seed.deeper=1", "unknown config key seed.deeper"),
        ("model.dropout_dense=1.0", "0, or above 1/512 and at most 255/256"),
        ("model.dropout_dense=0.999", "at most 255/256"),  # would divide by zero
        ("model.dropout_conv=0.001", "above 1/512"),  # would be no dropout at all
        ("model.dropout_conv=0.001953125", "above 1/512"),
        ("optimizer.learning_rate=1e999", "config key optimizer.learning_rate is inf; it must be a finite"),
        (f"optimizer.learning_rate=1{'0' * 400}", "it must be a finite number"),
        ("augment.erase_area=(0.1,1e999)", "config key augment.erase_area is inf"),
        ("augment.erase_area=(0.1,True)", "it must be of type tuple"),
        (
            "model.conv=fft",
            "config key model.conv is 'fft'; it must be one of auto, xla, explicit, banded, wino",
        ),
        ("schedule.warmup_epochs=20", "it must be at least 0 and below train.epochs (20)"),
        ("augment.last_epochs_off=21", "it must be in 0..20 (train.epochs)"),
        ("train.epochs=0", "config key train.epochs is 0; it must be at least 1"),
        ("data.select=tenth", "config key data.select is 'tenth', and facsynth has no such choice"),
        ("data.labels=ferplus", "config key data.labels is 'ferplus', and facsynth has no such choice"),
        ("data.labels=fer", "one of '', fer2013, ferplus"),
        ("data.image_size=7", "it must be 0 (the set's own) or at least 8"),
        ("data.options.image_size=96", "config key data.options.image_size is data.image_size; set that"),
        ("data.options.size=96", "did you mean data.image_size?"),
        ("optimizer.weight_decay=0.1", "set optimizer.name=adamw"),
        ("augment.crop=49", "it must be in 0..48 (data.image_size)"),
        ("augment.crop=-1", "augment.crop is -1"),
        ("augment.crop=7", "it must be 0 (off) or at least 8"),
        ("model.name=vgg", "it must be one of fer_cnn, alexnet"),
        ("model.name=alexnet", "data.image_size is 48; it must be 0 (the set's own) or at least 63"),
        ("model.width=0.5", "it must be 1.0, as fer_cnn has none"),
        ("model.form=caffe", "it must be torchvision, as fer_cnn has none"),
        ("transfer.file=w.pth", "empty where model.name is fer_cnn"),
        ("schedule.step_epochs=0", "it must be above 0"),
        ("model.normalise=image", "one of scale, standardise, imagenet"),
    ],
)
def test_a_wrong_override_is_one_line_naming_the_key(experiment, override, words):
    with pytest.raises(BadInput) as e:
        config.load(experiment, [override])
    assert words in str(e.value)
    assert "\n" not in str(e.value)


def test_what_alexnet_cannot_have(experiment):
    alexnet = ["model.name=alexnet", "data.image_size=256"]
    for words, refusal in (
        (
            ["augment.crop=62"],
            "augment.crop is 62; it must be 0 (off) or at least 63, as model.name is alexnet",
        ),
        (["model.form=caffe", "augment.crop=66"], "at least 67"),
        (["model.dense=64"], "model.dense is 64; it must be 512 (its default): alexnet has its own"),
        (["model.features=(4,4)"], "alexnet has its own"),
        (
            ["transfer.file=a", "transfer.workdir=b"],
            "transfer.file is 'a'; it must be empty where transfer.workdir",
        ),
    ):
        with pytest.raises(BadInput) as e:
            config.load(experiment, [*alexnet, *words])
        assert refusal in str(e.value)
    model = config.default().model
    for key, own in (config_rules.OF_FER_CNN | config_rules.OF_ALEXNET).items():
        assert model[key] == own


def test_a_workdir_from_before_a_key_was_there(experiment):
    """Its default means what was done then: the run goes on, and is read."""
    new = config.to_json(config.load(experiment))
    old = json.loads(json.dumps(new))
    for group, key in (("model", "form"), ("model", "width"), ("augment", "crop"), ("transfer", "file"),
                       ("schedule", "step_epochs")):  # fmt: skip
        del old[group][key]
    assert (
        config.differences(old, new) == []
        and config.from_json(old).to_dict() == config.from_json(new).to_dict()
    )
    cut = {**new, "augment": {**new["augment"], "crop": 40}}
    assert config.differences(old, cut) == [("augment.crop", 0, 40)]


def test_winograd_is_for_two_kernels(experiment):
    for kernel in (3, 5):
        assert (
            config.load(experiment, ["model.conv=winograd", f"model.kernel={kernel}"]).model.kernel == kernel
        )
    with pytest.raises(
        BadInput, match=r"model\.conv is 'winograd'.*model\.kernel is 7; winograd takes 3 and 5"
    ):
        config.load(experiment, ["model.conv=winograd", "model.kernel=7"])


def test_the_methods_are_those_of_ops():
    assert config_rules.CONV_METHODS == METHODS


def test_text_stays_text(experiment):
    c = config.load(experiment, ["name=2024", "data.dir=007", "data.cache_dir=None"])
    assert (c.name, c.data.dir, c.data.cache_dir) == ("2024", "007", "None")
    assert config.load(experiment, ["name='a b'"]).name == "a b"


@pytest.mark.parametrize(
    "overrides",
    [
        ["data.image_size=0"],
        ["data.labels="],
        ["data.name=fer2013", "data.labels=ferplus", "data.select=tenth"],
        ["data.name=npz"],
        ["model.dropout_conv=0.0", "model.dropout_dense=0.996"],
        ["optimizer.name=adamw", "optimizer.weight_decay=0.1"],
        ["augment.last_epochs_off=20"],
        ["augment.crop=48"],
        ["augment.crop=300", "data.image_size=0"],
        [
            "model.name=alexnet",
            "data.image_size=256",
            "augment.crop=224",
            "model.width=0.5",
            "transfer.file=w.pth",
        ],
        ["schedule.name=step", "schedule.step_epochs=0.5", "schedule.factor=0.1"],
    ],
)
def test_what_is_allowed(experiment, overrides):
    config.load(experiment, overrides)


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
        ("\nx = epochs", "e.py, line 2: NameError: name 'epochs' is not defined"),
        ("import no_such_module", "e.py, line 1: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def get_config():\n    return int('x')", "e.py, line 2: ValueError: invalid literal"),
        ("import json\ndef get_config():\n    return json.loads('{')", "e.py, line 3: JSONDecodeError: "),
        ("def get_config():\n    raise Exception", "e.py, line 2: Exception: no message"),
        ("def get_config(a): pass", "e.py: TypeError: "),
    ):
        (tmp_path / "e.py").write_text(text)
        with pytest.raises(BadInput, match=words):
            config.load(str(tmp_path / "e.py"))


def test_json_round_trip(experiment):
    c = config.load(experiment, ["model.features=(4,4)", "data.options.n_subjects=7"])
    again = config.from_json(config.to_json(c))
    assert again.to_dict() == c.to_dict()


def test_a_runs_config_json_is_a_config(experiment, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config.to_json(config.load(experiment, ["model.features=(4,4)", "seed=5"]))))
    c = config.load(str(path), ["optimizer.learning_rate=0.5"])
    assert (c.model.features, c.seed, c.optimizer.learning_rate, c.is_locked) == ((4, 4), 5, 0.5, True)
    with pytest.raises(BadInput, match=r"train\.epochs is 0"):
        config.load(str(path), ["train.epochs=0"])
    for text, words in (
        ('{"seed": ', "config.json: cannot be read as JSON"),
        ("[1]", "config.json: holds no JSON object"),
        ('{"sed": 1}', "config.json: unknown config key sed; did you mean seed"),
        ('{"optimizer": {"learning_rate": Infinity}}', "config.json: .*learning_rate is inf"),
    ):
        path.write_text(text)
        with pytest.raises(BadInput, match=words):
            config.load(str(path))


def test_a_file_of_another_ending_is_read_as_python(tmp_path):
    (tmp_path / "notes.md").write_text("# no config\n")
    with pytest.raises(BadInput, match=r"notes\.md: has no function get_config"):
        config.load(str(tmp_path / "notes.md"))


def test_the_former_default_of_labels():
    """Runs from before data.labels was "" by default go on, and can be evaluated."""
    new = config.to_json(config.default())
    old = {**new, "data": {**new["data"], "labels": "fer2013"}}
    assert config.differences(old, new) == []
    assert config.from_json(old).data.labels == ""
    fer2013 = {**old, "data": {**old["data"], "name": "fer2013"}}
    assert config.from_json(fer2013).data.labels == "fer2013"
    ferplus = {**new, "data": {**new["data"], "labels": "ferplus"}}
    assert config.differences(old, ferplus) == [("data.labels", "fer2013", "ferplus")]


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
    assert changed("schedule.name=step", "train.epochs=30") == ["schedule.name"]
    assert changed("schedule.name=cosine", "train.epochs=30") == ["schedule.name", "train.epochs"]
