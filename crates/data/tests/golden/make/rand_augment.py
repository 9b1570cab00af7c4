#!/usr/bin/env python3
"""Make ../rand_augment.bin with torchvision (0.20 or later). usage: rand_augment.py

The image is the one that the test `every_operation_equals_torchvisions` makes.
"""
from pathlib import Path

import torch
from torchvision.transforms import InterpolationMode, RandAugment
from torchvision.transforms.autoaugment import _apply_op

MASK = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15
HEIGHT, WIDTH = 18, 16


def bits(key, counter):
    word = (key + (counter + 1) * GAMMA) & MASK
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB & MASK
    return word ^ (word >> 31)


out = bytearray()
for channels in (3, 1):
    size = HEIGHT * WIDTH * channels
    values = [20 + i % 7 * 11 + i * 40 // size + bits(channels, i) % 60 for i in range(size)]
    image = torch.tensor(values, dtype=torch.uint8).view(HEIGHT, WIDTH, channels).permute(2, 0, 1)
    for name, (magnitudes, signed) in RandAugment()._augmentation_space(31, (HEIGHT, WIDTH)).items():
        for index, sign in ((9, 1), (30, -1)):
            magnitude = float(magnitudes[index]) if magnitudes.ndim else 0.0
            result = _apply_op(image, name, sign * magnitude if signed else magnitude, InterpolationMode.NEAREST, None)
            out += bytes(result.permute(1, 2, 0).reshape(-1).tolist())
(Path(__file__).resolve().parent.parent / "rand_augment.bin").write_bytes(out)
