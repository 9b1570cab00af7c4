"""Weights, images and labels from a formula, and the compact form of a tensor. `tests/parity/` in Rust repeats all of it.

Nothing large is stored: both sides work out the same float32 numbers from the counter-based generator. A number is
worked out in float64, where every step before the last is exact or correctly rounded, and rounded to float32 once.
"""

import math
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "bench"))
from anmok_random import bits, key, uniform  # noqa: E402

WHOLE = 24  # tensors up to this many elements are stored whole
SAMPLES = 12  # of larger ones, this many elements
PROJECTIONS = 4  # and this many sums with random signs


def signed(words, count):
    """`count` float64 numbers in [-1, 1)."""
    return uniform(key(words), count).astype(np.float64) * 2 - 1


def weight(seed, index, name, shape):
    """The value of the state dict's float tensor number `index`, float32 in PyTorch's layout.

    Convolutions and Linear are uniform with Kaiming's variance by fan-in, so that activations neither vanish nor grow;
    BatchNorm's scale and running variance lie around 1, biases and running means around 0.
    """
    noise = signed([seed, "weights", index], math.prod(shape))
    if len(shape) > 1:
        value = noise * math.sqrt(6 / math.prod(shape[1:]))
    elif name.endswith(("weight", "running_var")):
        value = 1 + 0.5 * noise
    else:
        value = 0.25 * noise
    return torch.from_numpy(value.astype(np.float32).reshape(shape))


def images(seed, batch, shape):
    """Images as float32 [batch, channels, height, width]: a grid of 4x4 coloured blocks under weaker noise.

    Pure noise would make all images alike once a network has averaged over positions; BatchNorm would then divide by
    next to nothing and blow up every rounding error. The generator counts in the order of [batch, height, width, channels].
    """
    channels, height, width = shape
    blocks = signed([seed, "blocks"], batch * 16 * channels).reshape(batch, 4, 4, channels)
    noise = signed([seed, "noise"], batch * height * width * channels).reshape(batch, height, width, channels)
    rows = np.arange(height) * 4 // height
    columns = np.arange(width) * 4 // width
    value = 2 * blocks[:, rows][:, :, columns] + 0.5 * noise
    return torch.from_numpy(value.astype(np.float32)).permute(0, 3, 1, 2).contiguous()


def labels(seed, word, batch, classes):
    """One class per image, int64 [batch]."""
    return torch.from_numpy((bits(key([seed, word]), np.arange(batch)) % np.uint64(classes)).astype(np.int64))


def short(number, digits=12):
    """A float without digits that mean nothing."""
    return float(f"{number:.{digits}g}")


def digest(words, reference, float32s):
    """The compact form of a float64 tensor, with the largest error of PyTorch's own float32 results against it.

    `error` is the Euclidean norm of the difference, `max_error` the largest element of it. A sum with random signs of
    a difference has the difference's norm as its standard deviation, so that a few of them stand for the whole tensor.
    """
    flat = reference.detach().double().flatten().numpy()
    differences = [value.detach().double().flatten().numpy() - flat for value in float32s]
    compact = {
        "norm": short(np.linalg.norm(flat)),
        "error": short(max(np.linalg.norm(d) for d in differences), 3),
        "max_error": short(max(np.abs(d).max() for d in differences), 3),
    }
    if len(flat) <= WHOLE:
        return compact | {"elements": [short(x) for x in flat]}
    positions = bits(key(words + ["samples"]), np.arange(SAMPLES)) % np.uint64(len(flat))
    signs = bits(key(words + ["signs"]), np.arange(len(flat)))
    sums = []
    for projection in range(PROJECTIONS):
        negative = (signs >> np.uint64(projection)) & np.uint64(1)
        sums.append(short(np.where(negative == 1, -flat, flat).sum()))
    return compact | {"elements": [short(x) for x in flat[positions.astype(np.int64)]], "projections": sums}


KINKS = {torch.nn.ReLU: (0.0,), torch.nn.Hardswish: (-3.0, 3.0), torch.nn.Hardsigmoid: (-3.0, 3.0)}


class Kinks:
    """Watches the inputs of a model's activations and max-pools, to measure how far they stay from a kink.

    At a kink the derivative jumps: an input that float32 rounds to the other side changes gradients by a whole step,
    which says nothing about the quality of the arithmetic. Inputs (by seed) are chosen so that none comes near one.
    """

    def __init__(self, model):
        self.inputs = []
        watched = (*KINKS, torch.nn.MaxPool2d)
        self.hooks = [m.register_forward_pre_hook(self.watch) for m in model.modules() if isinstance(m, watched)]

    def watch(self, module, inputs):
        self.inputs.append((module, inputs[0].detach().double().clone()))

    def stop(self, reverse):
        """What was seen; `reverse` tells that the images came in reverse."""
        for hook in self.hooks:
            hook.remove()
        return [(module, value.flip(0) if reverse else value) for module, value in self.inputs]


def clearance(reference, float32s):
    """The smallest distance to a kink, in units of that layer's float32 error (root mean square).

    reference: what `Kinks` saw in float64; float32s: the same for each float32 run.
    """
    smallest = math.inf
    for layer, (module, value) in enumerate(reference):
        error = max((seen[layer][1] - value).square().mean().sqrt().item() for seen in float32s)
        if isinstance(module, torch.nn.MaxPool2d):
            padded = torch.nn.functional.pad(value, (module.padding,) * 4, value=-math.inf)
            windows = padded.unfold(2, module.kernel_size, module.stride).unfold(3, module.kernel_size, module.stride)
            best = windows.flatten(4).topk(2).values
            gaps = best[..., 0] - best[..., 1]
            distance = gaps[gaps > 0].min().item()  # equal ones are zeros out of a ReLU, which passes no gradient there
        else:
            distance = min((value - kink).abs().min().item() for kink in KINKS[type(module)])
        smallest = min(smallest, distance / max(error, 1e-12))
    return smallest
