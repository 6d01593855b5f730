"""Optimizer and learning rate, from config."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict


def learning_rate(config: ConfigDict, steps_per_epoch: int) -> Callable:
    """step -> learning rate, before the plateau rule's factor.

    keras_decay is Keras' former `decay`: learning_rate / (1 + decay * step). cosine goes from learning_rate
    to final_fraction of it over train.epochs (Loshchilov & Hutter 2017, one cycle). step multiplies it by
    factor after every step_epochs (Caffe's "step").
    """
    s, peak = config.schedule, config.optimizer.learning_rate
    warmup = round(s.warmup_epochs * steps_per_epoch)
    total = config.train.epochs * steps_per_epoch

    def rate(step):
        step = jnp.asarray(step, jnp.float32)
        if s.name == "keras_decay":
            value = peak / (1 + s.decay * step)
        elif s.name == "cosine":
            t = jnp.clip((step - warmup) / max(1, total - warmup), 0, 1)
            value = peak * (s.final_fraction + (1 - s.final_fraction) * 0.5 * (1 + jnp.cos(jnp.pi * t)))
        elif s.name == "step":
            value = peak * s.factor ** jnp.floor(step / max(1, round(s.step_epochs * steps_per_epoch)))
        else:
            value = jnp.full_like(step, peak)
        return value * jnp.minimum(1.0, (step + 1) / warmup) if warmup else value

    return rate


def transform(config: ConfigDict) -> optax.GradientTransformation:
    """Gradient -> step of unit learning rate (descent direction, still to be scaled by -rate)."""
    o = config.optimizer
    parts = []
    if o.clip_norm:
        parts.append(optax.clip_by_global_norm(o.clip_norm))
    if o.name == "sgd":
        # torch's order: decay joins the gradient before momentum
        if o.weight_decay:
            parts.append(optax.add_decayed_weights(o.weight_decay, mask=kernels))
        parts.append(optax.trace(o.momentum, nesterov=o.momentum > 0))
    else:  # adam and adamw differ by the decay alone, which config_rules refuses with adam
        parts.append(optax.scale_by_adam(o.beta1, o.beta2, o.epsilon))
        if o.weight_decay:
            parts.append(optax.add_decayed_weights(o.weight_decay, mask=kernels))
    return optax.chain(*parts)


def kernels(params) -> dict:
    """True for weights that multiply, False for biases."""
    return jax.tree.map(lambda p: p.ndim > 1, params)


def ema(average, params, decay: float, step):
    """Exponential moving average of the weights, warmed up as min(decay, (1 + step) / (10 + step))."""
    d = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda a, p: a + (1 - d).astype(a.dtype) * (p - a), average, params)
