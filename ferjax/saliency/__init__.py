"""Where people look: maps, their metrics, and faces weighted by them."""
