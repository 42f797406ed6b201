"""The one way in which this package says no."""


class LocalError(Exception):
    """Something that the person at the terminal must know, as one clear sentence."""
