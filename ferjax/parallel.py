"""The only room that knows how many devices and hosts there are.

A step is written for one device with the named axis `data`; here it is compiled for all of them, as
`jax.pmap` (the default) or as `jax.jit(jax.shard_map(...))`, with the same arguments and results.
"""

import collections
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from data_pipelines import BadInput
from ferjax.ops.memory import give_back_memory

AXIS = "data"
HEARTBEAT = 20  # seconds without a word after which another process of a run counts as gone
IN_FLIGHT = 2  # steps queued; on forced CPU devices a long queue aborts the process at a rendezvous


class Devices:
    """A row of devices over all hosts, and how to run a step on them.

    Args:
      mode: "pmap" or "shard_map".
      batch_size: examples a step over all hosts, which must divide evenly among the devices; None: the
        caller rounds it to fit.
      per_host: devices of this host to use; 0 takes as many as divide the batch.
    Raises:
      BadInput: more devices asked for than there are, or a batch that does not divide among them.
    """

    def __init__(self, mode: str, batch_size: int | None, per_host: int = 0):
        local, hosts = jax.local_device_count(), jax.process_count()
        if per_host > local:
            raise BadInput(f"config key parallel.devices is {per_host}; this host has {local}")
        share = local if batch_size is None else batch_size // hosts
        if not per_host:
            per_host = max(d for d in range(1, local + 1) if share % d == 0)
        if mode == "pmap" and hosts > 1 and per_host != local:
            raise BadInput(
                f"config key parallel.mode is pmap, which on several hosts uses all {local} devices of each; "
                f"set parallel.devices=0 and input.batch_size to a multiple of {local * hosts}, or "
                "parallel.mode=shard_map"
            )
        if batch_size is not None and batch_size % (per_host * hosts):
            raise BadInput(
                f"config key input.batch_size is {batch_size}; it must be a multiple of {per_host * hosts} "
                "devices"
            )
        self.mode = mode
        self.process, self.processes, self.per_host = jax.process_index(), hosts, per_host
        chosen = [d for p in range(hosts) for d in _of_process(p)[:per_host]]
        self.count = len(chosen)
        self.mesh = Mesh(np.array(chosen), (AXIS,))
        self.replicated = NamedSharding(self.mesh, P())
        self.split = NamedSharding(self.mesh, P(AXIS))

    @property
    def main(self) -> bool:
        """Whether this process writes files."""
        return is_main()

    def describe(self) -> str:
        """Words for the run's description, such as "8 x cpu, pmap"."""
        kind = self.mesh.devices.flat[0].device_kind
        hosts = f", {self.processes} processes" if self.processes > 1 else ""
        return f"{self.count} x {kind}, {self.mode}{hosts}"

    def compile(
        self, step: Callable, *, per_example: bool = False, donate: bool = False, steps: int = 1
    ) -> Callable:
        """Compiles step(state, batch, resident).

        Args:
          step: written for one device; sees its share of the batch, and the whole of state and resident.
          per_example: results are per example [b, ...], else the same on all devices.
          donate: the state's memory is reused for the result.
          steps: most steps that one call does; more than 1 is for a step that returns (state, sums).
        Returns:
          A function of (state, batch, resident); batch is this process's share [b / hosts, ...] as NumPy.
          With `steps` above 1, batch is a list of up to so many batches, and sums are [steps, ...], of which
          the first len(batch) count.
        """
        donated = (0,) if donate else ()

        # An argument without leaves shifts in_axes of pmap: the last leaf of the batch would come whole to
        # all devices (jax 0.10 and 0.11). So resident, which may be {}, always travels with a scalar.
        def body(state, batch, resident):
            if steps > 1:
                return _several(step, state, batch, *resident)
            return step(state, batch, resident[0])

        if self.mode == "pmap":
            run = jax.pmap(
                body,
                axis_name=AXIS,
                in_axes=(None, 0, None),
                out_axes=0 if per_example else None,
                devices=list(self.mesh.devices.flat) if self.processes == 1 else None,
                donate_argnums=donated,
            )
            place = self._stack
        else:
            body = jax.shard_map(
                body,
                mesh=self.mesh,
                in_specs=(P(), P(AXIS), P()),
                out_specs=P(AXIS) if per_example else P(),
                check_vma=False,  # with the check, gradients of replicated weights come out summed twice
            )
            run = jax.jit(body, donate_argnums=donated)
            place = self._shard
        # over several processes pmap's program is for all hosts, and does not take this one's arguments
        if jax.default_backend() == "cpu" and self.processes == 1:
            run = _lean(run)
        scalar = self.put(np.float32(0))

        def call(state, batch, resident):
            out = run(state, place(batch), (resident, scalar))
            return self._gather(out) if per_example else out

        def call_several(state, batches, resident):
            n = len(batches)  # short of `steps`, the rest is never run: one program serves every length
            several = [*batches, *batches[-1:] * (steps - n)]
            stacked = jax.tree.map(lambda *each: np.stack(each, 1), *several)  # [b, steps, ...]
            return run(state, place(stacked), (resident, self.put(np.int32(n))))

        return call if steps == 1 else call_several

    def _stack(self, batch):
        return jax.tree.map(lambda a: a.reshape(self.per_host, len(a) // self.per_host, *a.shape[1:]), batch)

    def _shard(self, batch):
        if self.processes == 1:
            return jax.device_put(batch, self.split)
        return jax.tree.map(
            lambda a: jax.make_array_from_process_local_data(self.split, np.asarray(a)), batch
        )

    def _gather(self, out):
        """Per-example results of all hosts, as NumPy [b, ...] in the global batch's order."""
        if self.processes > 1:
            tiled = self.mode != "pmap"
            out = jax.tree.map(lambda a: multihost_utils.process_allgather(a, tiled=tiled), out)
        out = jax.tree.map(np.asarray, out)
        return out if self.mode != "pmap" else jax.tree.map(self._unstack, out)

    def _unstack(self, a):
        lead = 3 if self.processes > 1 else 2  # hosts, devices of each, examples of each
        return a.reshape(-1, *a.shape[lead:])

    def init(self, make: Callable):
        """Runs make() inside jit; the result is the same on every device."""
        out = jax.jit(make, out_shardings=self.replicated)()
        return self.to_local(out)

    def put(self, arrays):
        """NumPy arrays, the same on every host -> arrays that are whole on every device."""
        if self.processes == 1:
            return jax.device_put(arrays, self.replicated)
        whole = jax.tree.map(
            lambda a: jax.make_array_from_callback(
                np.shape(a), self.replicated, lambda i, a=a: np.asarray(a)[i]
            ),
            arrays,
        )
        return self.to_local(whole)

    def to_local(self, tree):
        """Global arrays -> what this mode's compiled step takes (pmap wants host-local ones)."""
        if self.processes == 1 or self.mode != "pmap":
            return tree
        return multihost_utils.global_array_to_host_local_array(tree, self.mesh, P())

    def to_global(self, tree):
        """What the compiled step gives -> global arrays, as Orbax wants them."""
        if self.processes == 1 or self.mode != "pmap":
            return tree
        return multihost_utils.host_local_array_to_global_array(tree, self.mesh, P())


class InFlight:
    """Bounds the steps queued on the devices and hands back each step's sums once it is done."""

    def __init__(self, limit: int = IN_FLIGHT):
        self.limit = limit
        self.queue = collections.deque()

    def push(self, step, sums) -> list:
        """Queues sums of a step, or of several; returns [(step, sums)] of those that had to finish first."""
        self.queue.append((step, sums))
        return [self._pop() for _ in range(len(self.queue) - self.limit)]

    def drain(self) -> list:
        """Waits for everything queued."""
        return [self._pop() for _ in range(len(self.queue))]

    def idle(self) -> bool:
        """Whether all that was queued is done, so that the devices wait for the next step."""
        return not self.queue or all(a.is_ready() for a in jax.tree.leaves(self.queue[-1][1]))

    def wait(self) -> None:
        """Waits for everything queued, and leaves it there."""
        jax.block_until_ready([sums for _, sums in self.queue])

    def _pop(self):
        step, sums = self.queue.popleft()
        return step, jax.tree.map(np.asarray, jax.block_until_ready(sums))


def _lean(run: Callable) -> Callable:
    """As `run`, compiled before its first step, so that what compiling leaves behind is not held beside it.

    On CPU the compiler's memory is the program's own: 150 to 200 MB after compiling the paper's network.
    """
    compiled = {}

    def call(*args):
        kinds = tuple((np.shape(a), getattr(a, "dtype", type(a))) for a in jax.tree.leaves(args))
        if kinds not in compiled:
            compiled[kinds] = run.lower(*args).compile()
            give_back_memory()
        return compiled[kinds](*args)

    return call


def _several(step: Callable, state, batch, resident, n):
    """The first n steps of a batch [b, steps, ...], one after the other: (state, sums [steps, ...])."""
    wide = jax.tree.leaves(batch)[0].shape[1]

    def one(state, i):
        return step(state, jax.tree.map(lambda a: a[:, i], batch), resident)

    _, like = jax.eval_shape(one, state, 0)
    sums = jax.tree.map(lambda a: jnp.zeros((wide, *a.shape), a.dtype), like)

    def then(i, carried):
        state, sums = carried
        state, found = one(state, i)
        return state, jax.tree.map(lambda all_, a: all_.at[i].set(a), sums, found)

    return jax.lax.fori_loop(0, n, then, (state, sums))


def connect(coordinator: str, processes: int, process: int) -> None:
    """Joins several processes into one run; call before anything else touches a device.

    Args:
      coordinator: host:port of process 0; empty leaves it to jax (SLURM, Kubernetes, TPU pods).
      processes, process: how many, and which one this is.
    """
    limits = {"heartbeat_timeout_seconds": HEARTBEAT, "shutdown_timeout_seconds": 3 * HEARTBEAT}
    if coordinator:
        jax.distributed.initialize(coordinator, processes, process, **limits)
    else:
        jax.distributed.initialize(**limits)


def is_main() -> bool:
    """Whether this process is the one that writes files."""
    return jax.process_index() == 0


def _of_process(process: int) -> list:
    return [d for d in jax.devices() if d.process_index == process]
