# Each target makes its own virtual environment and installs what it needs.
PYTHON ?= python3
PIP_OPTIONS ?= --quiet --disable-pip-version-check

.PHONY: demo test lint bench format clean

RUN = .venv/bin
DEV = .venv-dev/bin

.venv/ok: requirements.txt setup.py
	$(PYTHON) -m venv .venv
	$(RUN)/pip install $(PIP_OPTIONS) -e .
	touch $@

.venv-dev/ok: requirements.txt requirements-dev.txt setup.py
	$(PYTHON) -m venv .venv-dev
	$(DEV)/pip install $(PIP_OPTIONS) -e . -r requirements-dev.txt
	touch $@

# filters and action units in short: the last block, 1,500 pictures; without these flags, all
SHORT = --config.data.limit=1500 --config.attribute.layers=block3/relu --config.attribute.permutations=10000 \
	--config.attribute.random_networks=3 --config.attribute.bootstrap=200 --config.attribute.pictures=4 \
	--config.attribute.causal_inputs=32 --config.attribute.randomised_inputs=0

# the built-in faces: train, evaluate on unseen subjects, match filters, report; four to six minutes on two cores
demo: .venv/ok
	$(RUN)/ferjax train --config experiments/demo.py --workdir runs/demo
	$(RUN)/ferjax evaluate --workdir runs/demo --split test
	$(RUN)/ferjax attribute --workdir runs/demo $(SHORT)

# FERJAX_REAL_DATA=folder adds the checks on real data
test: .venv-dev/ok
	$(DEV)/python -m pytest -q -n auto --maxprocesses=4 --dist loadfile --no-loadscope-reorder $(TESTS)

lint: .venv-dev/ok
	$(DEV)/ruff check .
	$(DEV)/ruff format --check .

format: .venv-dev/ok
	$(DEV)/ruff format .
	$(DEV)/ruff check --fix .

# speed and memory as ratios from one run; each writes benchmarks/results/<name>.json:
#   throughput    (latest.json) training and inference beside Keras and PyTorch
#   big_networks  AlexNet and ML-Net beside PyTorch
#   input_speed   (input.json) tf.data beside training, memory over epochs; fails where a claim of it does
#   step_parts    where the time of a step goes
#   scanned       a convolution inside of lax.scan beside the same outside
#   scaling       one batch on 1 to 8 devices, and on 2 and 4 processes
#   attribution   (attribution_short.json) all filters over 2,500 pictures: seconds and memory
#   loso          (loso_short.json) heads of all folds as one program beside one after the other
bench: .venv-dev/ok
	$(DEV)/python -m benchmarks.throughput
	$(DEV)/python -m benchmarks.big_networks
	$(DEV)/python -m benchmarks.input_speed
	$(DEV)/python -m benchmarks.step_parts
	$(DEV)/python -m benchmarks.scanned
	$(DEV)/python -m benchmarks.scaling
	$(DEV)/python -m benchmarks.attribution --images 2500 --out benchmarks/results/attribution_short.json
	$(DEV)/python -m benchmarks.loso --folds 8 --seeds 2 --clips 56 --out benchmarks/results/loso_short.json

clean:
	rm -rf .venv .venv-dev build *.egg-info
