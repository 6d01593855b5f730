"""Saliency: ML-Net trained and measured beside maps that need no weights, and maps of any pictures."""
