"""Every key of a training's config, with its default and meaning."""

from ml_collections import ConfigDict


def default() -> ConfigDict:
    """Every key ferjax knows, with its default."""
    c = ConfigDict()
    c.name = "unnamed"  # shown in the report
    c.seed = 0  # initial weights, order of examples, augmentation, dropout

    c.task = "emotion"  # or aus: the presence of each action unit

    c.data = d = ConfigDict()
    d.name = "facsynth"  # folder under data_pipelines, or npz
    d.dir = ""  # the user's files, as unpacked
    d.cache_dir = ""  # prepared data; empty: ~/.cache/ferjax
    d.image_size = 48  # pixels, square; 0: the set's own, and the network takes that
    d.options = ConfigDict()  # what the set itself offers; see docs/data.md
    d.labels = ""  # the set's own; for fer2013 that is fer2013, or ferplus: majority of ten votes
    d.exclude_blank = False  # drop images of one single grey value
    d.exclude_duplicates = "none"  # or across: drop training images that recur in select or test
    d.select = "auto"  # the set's own rule; tenth: a hashed tenth of the training part selects the epoch
    d.published = ""  # names a division made elsewhere, whose parts may share images, never people
    d.kfolds = 0  # 0: the set's own division; else all of it in so many folds, by subject
    d.kfold = 0  # the one reported; the next one selects the epoch, the rest trains
    d.map = (
        ""  # emotions by name: contempt=disgust, or a map of data_pipelines/labels.py; contempt= leaves out
    )
    d.classes = ""  # emotions kept, comma between; empty: all
    d.limit = 0  # first n examples of each part, for trying things out; 0: all
    d.shuffle_labels = 0  # control: labels of train and select permuted with this seed; 0: as they are

    d.saliency = v = ConfigDict()  # maps of where people look, laid over the pictures; docs/saliency.md
    v.mode = "none"  # product (Mavani et al. 2017), blend, or channel: the map beside the picture
    v.method = "spectral"  # spectral residual; centre: a Gaussian; maps: those of the folder below
    v.control = "none"  # shuffled: another picture's map; inverted
    v.maps = ""  # folder that ferjax saliency wrote
    v.share = 0.5  # blend: how much of a picture its map can take away
    v.sigma = 0.25  # centre: the Gaussian's deviation, share of the side

    c.input = i = ConfigDict()
    i.batch_size = 128  # examples a step, over all devices and hosts
    i.placement = "device"  # device: set resident, gathered in the step; host: tf.data
    i.prefetch = 2  # batches ahead, host placement

    c.model = m = ConfigDict()
    m.name = "fer_cnn"  # or alexnet, whose layers are its own: of the next keys, form and width alone
    m.features = (64, 128, 256)  # filters per block; Breuer & Kimmel 2017
    m.kernel = 5  # pixels; odd
    m.dense = 512  # units of the hidden layer
    m.form = "torchvision"  # alexnet: 224 pixels; caffe: 227, the first convolution without padding
    m.width = 1.0  # alexnet: share of its filters and units
    m.dropout_conv = 0.25  # after the last block; this rate and the next are rounded to 1/256ths
    m.dropout_dense = 0.5  # after the hidden layer; alexnet: before both hidden layers, and no other
    m.init = "glorot_uniform"  # or he_normal
    m.normalise = "scale"  # scale: x / 255; standardise: each image to mean 0, deviation 1; imagenet
    m.conv = "auto"  # ops.conv method: auto, xla, explicit, banded or winograd (3x3 and 5x5 kernels only)
    m.compute_dtype = "float32"  # or bfloat16
    m.param_dtype = "float32"

    c.augment = a = ConfigDict()
    a.flip = True  # left-right, half of the images
    a.flip_alternate = False  # by turns instead of by lot: each image in every other epoch (Jordan 2024)
    a.rotation = 0.0  # degrees, uniform in +-
    a.translation = 0.0  # share of the side, uniform in +-
    a.scale = 0.0  # uniform in 1 +-
    a.shear = 0.0  # degrees, uniform in +-
    a.contrast = 0.0  # gain uniform in 1 +-, about the image's mean
    a.erase = 0.0  # chance of random erasing (Zhong et al. 2017)
    a.erase_area = (0.02, 0.2)  # share of the image
    a.crop = 0  # side in pixels, cut anywhere in training and from the middle in evaluation; 0: off
    a.last_epochs_off = 0  # epochs at the end without augmentation other than flips

    c.loss = lo = ConfigDict()
    lo.label_smoothing = 0.0
    lo.class_weights = "none"  # or balanced: inverse class frequency, mean 1 over examples

    c.aus = u = ConfigDict()  # task=aus
    u.units = ""  # names, comma between; empty: all with enough images
    u.least = 8  # training images that show a unit, and that do not, or it is left out
    u.threshold = 1  # least intensity that counts as present: 1 (A, trace); benchmarks take 2
    u.weights = "none"  # or balanced: images with and without a unit weigh the same

    c.optimizer = o = ConfigDict()
    o.name = "adam"  # adam, adamw or sgd (Nesterov)
    o.learning_rate = 1e-3
    o.beta1 = 0.9  # Adam
    o.beta2 = 0.999
    o.epsilon = 1e-7  # Keras' value
    o.momentum = 0.9  # sgd
    o.weight_decay = (
        0.0  # kernels only. adamw: decoupled; sgd: joins the gradient before momentum, as in torch
    )
    o.clip_norm = 0.0  # of the whole gradient; 0: off
    o.ema_decay = 0.0  # of the weights, per step; 0: off. Evaluation uses the average

    c.schedule = s = ConfigDict()
    s.name = "constant"  # constant, keras_decay, cosine, plateau or step
    s.decay = 1e-5  # keras_decay: learning_rate / (1 + decay * step)
    s.warmup_epochs = 0.0  # linear from 0
    s.final_fraction = 0.0  # cosine: last learning rate / first
    s.factor = 0.5  # plateau, step: multiplies the learning rate
    s.step_epochs = 10.0  # step: epochs after which it does so, again and again
    s.patience = 3  # plateau: epochs without a better selection value

    c.transfer = t = ConfigDict()
    t.workdir = ""  # a training whose weights to start from; empty: all are drawn anew
    t.file = ""  # or published weights: .pth or safetensors of torchvision's AlexNet
    t.checkpoint = "best"  # of the workdir: best, last or a step
    t.take = "block*"  # parts taken along, as patterns, comma between; the others begin anew
    t.freeze = ""  # parts that never learn
    t.rates = ""  # block*=0.1,dense=0.5: factors of the learning rate
    t.unfreeze = ""  # block3*=1,block*=3: parts that stay as they are before that epoch

    c.train = t = ConfigDict()
    t.epochs = 20
    t.select_by = "accuracy"  # accuracy, uf1 or loss, on the selecting part; task=aus: auc, f1 or loss
    t.select_every = 1  # epochs between looks at the selecting part; weights are saved then
    t.log_every = 50  # steps between progress lines

    c.checkpoint = k = ConfigDict()
    k.every_steps = 0  # also between epochs; 0: after each epoch only
    k.keep = 1  # latest ones kept, beside the best

    c.parallel = p = ConfigDict()
    p.mode = "pmap"  # or shard_map
    p.devices = 0  # of this host; 0: all that divide the batch evenly
    p.keep_memory = False  # on CPU: freed buffers are kept; 1.2 times as fast, up to 60 % more held
    p.microbatch = 0  # examples of a device at once; 0: all, on CPU mostly 64
    p.steps_per_call = 0  # steps that one call of the device does; 0: one on CPU, else 32. placement=device

    c.evaluate = e = ConfigDict()
    e.batch_size = 256
    e.views = 1  # 1; 2: and mirrored; 10: five shifts (with augment.crop: corners and middle), each mirrored
    e.bootstrap = 2000  # resamples behind each interval
    e.human = ""  # a CSV of human confusions to compare with, see docs/human.md; empty: none

    c.attribute = t = ConfigDict()
    t.layers = ""  # names, comma between; empty: the ReLU of every block
    t.batch_size = 128  # inputs at once
    t.top_n = 9  # strongest inputs a filter is matched by; Breuer & Kimmel's N
    t.pictures = 9  # strongest inputs a filter is shown with
    t.threshold = 1  # least intensity (1 = A, trace) that counts as showing an AU
    t.least = 8  # inputs that must show an AU, and that must not, or it is left out; half of it in each half
    t.permutations = 200_000  # of AU rows within people, for the table of pairs; some 20,000 of a match
    t.fdr = 0.05  # of Benjamini-Hochberg; of the max-statistic where permutations are too few for it
    t.random_networks = 20  # with random weights; 2 or more, since each is judged by the others
    t.seeds = 0  # further trainings with other seeds: which matches recur
    t.shuffled = 0  # trainings on shuffled labels
    t.bootstrap = 2000  # resamples of subjects behind each interval
    t.causal_inputs = 256  # inputs that gradients of units and ablation look at
    t.randomised_inputs = (
        24  # inputs of the cascading randomisation of pixel methods, and of truth; 0: neither
    )
    return c


def recipe(batch_size: int, epochs: int, rate: float) -> ConfigDict:
    """`default()` with another recipe than the paper's, which studies start from.

    Each picture standardised, since lighting differs most between sets; He's initialisation; AdamW with
    cosine decay, half an epoch of warm-up and clipped gradients.
    """
    c = default()
    c.input.batch_size = batch_size
    c.train.epochs = epochs
    c.model.normalise = "standardise"
    c.model.init = "he_normal"
    c.optimizer.name = "adamw"
    c.optimizer.learning_rate = rate
    c.optimizer.weight_decay = 1e-2
    c.optimizer.clip_norm = 2.0
    c.schedule.name = "cosine"
    c.schedule.warmup_epochs = 0.5
    return c
