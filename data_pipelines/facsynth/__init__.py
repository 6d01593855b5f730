"""facsynth, the built-in face set: faces with known action units, drawn by a differentiable renderer in JAX."""
