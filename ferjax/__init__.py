"""ferjax: what does a network that reads facial expressions look at, and is it what FACS says?"""

__version__ = "0.1.0"
