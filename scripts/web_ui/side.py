"""The side of the picture that is logged and must be seen, in pixels."""

SIDE = 32
