#!/usr/bin/env python3
"""Make ../tiny.jpg with Pillow: a 10 x 10 gradient. usage: tiny_jpeg.py"""
from pathlib import Path

from PIL import Image

image = Image.new("RGB", (10, 10))
image.putdata([(25 * x, 25 * y, 128) for y in range(10) for x in range(10)])
image.save(Path(__file__).resolve().parent.parent / "tiny.jpg", quality=90)
