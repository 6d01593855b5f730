"""A workdir as one page to read: reads files only, computes nothing new, imports no model code and no JAX."""
