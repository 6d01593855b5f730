"""Faces weighted by saliency: did the map help? Trainings with it, without it, and with controls."""
