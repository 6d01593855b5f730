"""The recurrent part of Breuer & Kimmel 2017's micro-expression network, and heads without time beside it.

A frame network's features, one vector a frame, go into one LSTM layer with recurrent dropout and an output
layer.
Masked time steps change nothing: the state stays what it was, bit for bit.

Axis letters: b batch, t time, d features of a frame, h units of the LSTM, k classes.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from data_pipelines import BadInput

Array = jax.Array
KINDS = ("lstm", "shuffled", "mean", "apex", "last")
NAMES = {
    "lstm": "LSTM over all frames",
    "shuffled": "LSTM over all frames in random order",
    "mean": "mean over all frames, without order",
    "apex": "the apex frame alone (its place is told)",
    "last": "the last frame alone",
}


class MicroLstm(nn.Module):
    """One LSTM layer and an output layer (Hochreiter & Schmidhuber 1997, with a forget gate).

    i, f, o = sigmoid, g = tanh of  x_t W + h_{t-1} U + b;  c_t = f c_{t-1} + i g;  h_t = o tanh(c_t).

    Recurrent dropout leaves out units of h_{t-1}, the same ones at every step of a sequence (Gal & Ghahramani
    2016, as Keras' recurrent_dropout); dropout of the features likewise, and of the last state before the
    output layer.

    Attributes:
      outputs: k.
      hidden: h.
      dropout: share of the features left out.
      recurrent_dropout: share of the state left out.
      dropout_out: share of the last state left out.
    """

    outputs: int
    hidden: int = 64
    dropout: float = 0.2
    recurrent_dropout: float = 0.2
    dropout_out: float = 0.2
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Array, mask: Array, keys: Array | None = None, apex: Array | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """Logits after the last unmasked step, and what was there at every step.

        Args:
          x: [b, t, d].
          mask: [b, t] bool; False steps are passed over, wherever they lie.
          keys: [b] one random key a sequence, for dropout; None: evaluation.
          apex: [b] int, step of the apex; not looked at here.
        Returns:
          logits [b, k] float32; {"hidden": [b, t, h], "logits/time": [b, t, k], what the output layer would
          say if the clip ended there}.
        """
        del apex
        d, h = x.shape[-1], self.hidden
        kernel = self.param("input", nn.initializers.glorot_uniform(), (d, 4 * h))
        recurrent = self.param("recurrent", nn.initializers.orthogonal(), (h, 4 * h))
        bias = self.param("bias", _forget_one, (4 * h,))
        w = self.param("output", nn.initializers.glorot_uniform(), (h, self.outputs))
        b = self.param("output_bias", nn.initializers.zeros, (self.outputs,))
        keep_x = _kept(keys, 0, d, self.dropout, len(x))
        keep_h = _kept(keys, 1, h, self.recurrent_dropout, len(x))
        keep_y = _kept(keys, 2, h, self.dropout_out, len(x))

        def step(state, now):
            c, s = state
            at, there = now
            z = (at * keep_x) @ kernel + (s * keep_h) @ recurrent + bias
            i, f, g, o = jnp.split(z, 4, -1)
            new_c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            new_s = jax.nn.sigmoid(o) * jnp.tanh(new_c)
            new = jnp.where(there[:, None], new_c, c), jnp.where(there[:, None], new_s, s)
            return new, new[1]

        zero = jnp.zeros((len(x), h), self.dtype)
        steps = jnp.moveaxis(x.astype(self.dtype), 1, 0), jnp.moveaxis(mask, 1, 0)
        (_, last), states = jax.lax.scan(step, (zero, zero), steps)
        states = jnp.moveaxis(states, 0, 1)
        logits = ((last * keep_y) @ w + b).astype(jnp.float32)
        return logits, {"hidden": states, "logits/time": states @ w + b, "logits": logits}


class FrameHead(nn.Module):
    """A hidden layer and an output layer on one vector a clip: what an LSTM must beat to have used time.

    Attributes:
      outputs: k.
      kind: "mean" over unmasked frames; "last" of them; or "apex".
      hidden: units of the hidden layer.
      dropout: share of the features left out.
      dropout_out: share of the hidden layer left out.
    """

    outputs: int
    kind: str
    hidden: int = 64
    dropout: float = 0.2
    dropout_out: float = 0.2

    @nn.compact
    def __call__(
        self, x: Array, mask: Array, keys: Array | None = None, apex: Array | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """As `MicroLstm`; apex [b] int is the step of the apex."""
        if self.kind == "mean":
            there = mask[..., None]
            x = jnp.where(there, x, 0).sum(1) / jnp.maximum(there.sum(1), 1)
        else:
            last = mask.shape[1] - 1 - jnp.argmax(mask[:, ::-1], 1)
            x = x[jnp.arange(len(x)), apex if self.kind == "apex" else last]
        x = x * _kept(keys, 0, x.shape[-1], self.dropout, len(x))
        x = nn.relu(nn.Dense(self.hidden, kernel_init=nn.initializers.he_normal(), name="hidden")(x))
        x = x * _kept(keys, 2, self.hidden, self.dropout_out, len(x))
        logits = nn.Dense(self.outputs, name="output")(x).astype(jnp.float32)
        return logits, {"hidden": x, "logits": logits}


def _forget_one(key, shape, dtype=jnp.float32):
    """Zeros, and ones for the forget gate (Jozefowicz et al. 2015)."""
    del key
    h = shape[0] // 4
    return jnp.zeros(shape, dtype).at[h : 2 * h].set(1.0)


def _kept(keys: Array | None, layer: int, units: int, rate: float, b: int) -> Array:
    """[b, units]: 0 where left out, else 1 / (1 - rate); ones without keys."""
    if keys is None or rate == 0:
        return jnp.ones((b, units))
    draw = jax.vmap(lambda k: jax.random.uniform(jax.random.fold_in(k, layer), (units,)))(keys)
    return jnp.where(draw >= rate, 1 / (1 - rate), 0.0)


def build(
    kind: str, outputs: int, hidden: int, dropout: float, recurrent_dropout: float, dropout_out: float
) -> nn.Module:
    """A head by its kind; all are called with (x, mask, keys, apex).

    Raises:
      BadInput: no such kind.
    """
    if kind not in KINDS:
        raise BadInput(f"config key kinds names {kind!r}; there are {', '.join(KINDS)}")
    if kind in ("lstm", "shuffled"):  # whoever trains shuffles; the network is the same
        return MicroLstm(outputs, hidden, dropout, recurrent_dropout, dropout_out)
    return FrameHead(outputs, kind, hidden, dropout, dropout_out)
