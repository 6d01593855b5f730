"""Where people look: maps of any pictures, their metrics, and ML-Net trained to draw them."""
