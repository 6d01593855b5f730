"""Operations a model needs that XLA does slowly on CPU: convolution and 2x2 max pooling."""

from ferjax.ops.conv import conv2d
from ferjax.ops.memory import keep_freed_memory
from ferjax.ops.pool import max_pool_2x2

__all__ = ["conv2d", "keep_freed_memory", "max_pool_2x2"]
