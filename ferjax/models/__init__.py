"""Networks: each returns (logits, named activations)."""
