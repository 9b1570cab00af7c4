"""Goldens of the zoo's networks: torchvision's own models, or their variants for small images."""

import copy
import functools

import torch
import torchvision
from torchvision.models import mobilenetv3

from formula import Kinks, clearance, digest, images, labels, short, weight

CLASSES = 10
CLEARANCE = 6  # in float32 errors (root mean square): see formula.Kinks
STEPS = 10
MARGINS = 4  # images whose logits in training mode are compared: each costs the test one pass


def mobilenet_v3(name, stem):
    """torchvision's MobileNetV3 without dropout. The CIFAR variant has stride 1 in the stem and the first strided block."""
    if stem == "imagenet":
        return getattr(torchvision.models, name)(weights=None, num_classes=CLASSES, dropout=0.0)
    blocks, last_channel = mobilenetv3._mobilenet_v3_conf(name)
    next(block for block in blocks if block.stride == 2).stride = 1
    model = mobilenetv3.MobileNetV3(blocks, last_channel, num_classes=CLASSES, dropout=0.0)
    model.features[0][0].stride = (1, 1)
    return model


def resnet18(stem):
    """torchvision's ResNet18. The CIFAR variant has a 3x3 stem of stride 1 and no max-pool."""
    model = torchvision.models.resnet18(weights=None, num_classes=CLASSES)
    if stem == "cifar":
        model.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
        model.maxpool = torch.nn.Identity()
    return model


# name, stem, side of the images, batch, learning rate of the ten steps, seed. The CIFAR stems keep large maps: small
# images and batches there, so that there are few enough activations for none of them to lie at a kink. The ImageNet stems
# end in a 1x1 map: BatchNorm's batch must not be too small there. MobileNetV3-Large amplifies rounding in ten steps of
# 0.001 a thousandfold, hence smaller ones. The seed is one that passes `suitable`; where another processor rounds
# differently and it no longer does, the search goes on from it.
NETWORKS = [
    ("mobilenet_v3_small", "imagenet", 32, 16, 0.001, 3),
    ("mobilenet_v3_small", "cifar", 16, 4, 0.001, 0),
    ("mobilenet_v3_large", "imagenet", 32, 8, 0.00002, 30),
    ("mobilenet_v3_large", "cifar", 16, 4, 0.0002, 173),
    ("resnet18", "imagenet", 32, 8, 0.001, 78),
    ("resnet18", "cifar", 16, 4, 0.001, 66),
]


def build(name, stem, seed):
    """The model with weights and running statistics from the formula."""
    model = resnet18(stem) if name == "resnet18" else mobilenet_v3(name, stem)
    with torch.no_grad():
        state = [(n, t) for n, t in model.state_dict().items() if t.is_floating_point()]
        for index, (tensor_name, tensor) in enumerate(state):
            tensor.copy_(weight(seed, index, tensor_name, tuple(tensor.shape)))
    return model


def ways():
    """How PyTorch can compute the same in float32: memory format, oneDNN, images in reverse. The yardstick is the worst of them."""
    kinds = [(torch.contiguous_format, True), (torch.channels_last, True), (torch.contiguous_format, False)]
    return [(layout, onednn, reverse) for layout, onednn in kinds for reverse in (False, True)]


def turned(images, reverse):
    """A tensor with one row per image, in reverse or as it is."""
    return images.flip(0) if reverse else images


def climb(model, x, reverse, y, learning_rate, clear_only=False):
    """The ladder for one model in its own precision: everything that is compared, as a dict of tensors."""
    y = turned(y, reverse)
    model = copy.deepcopy(model)
    criterion = torch.nn.CrossEntropyLoss()
    kinks = Kinks(model.train())
    logits = model(x)
    seen = kinks.stop(reverse)
    if clear_only:
        return {"kinks": seen}
    loss = criterion(logits, y)
    loss.backward()
    other = (y + 1) % CLASSES
    rung = {
        "kinks": seen,
        "loss": loss.detach(),
        "margins": turned((logits.gather(1, y[:, None]) - logits.gather(1, other[:, None])).detach().flatten(), reverse)[:MARGINS],
        "correct": int((logits.argmax(1) == y).sum()),
        "gradients": {n: p.grad.clone() for n, p in model.named_parameters()},
        "buffers": {n: b.clone() for n, b in model.named_buffers() if b.is_floating_point()},
    }
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=0.9, weight_decay=0.0005)
    losses = [loss.item()]
    for _ in range(STEPS - 1):
        optimizer.step()
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        losses.append(loss.item())
    rung["losses"] = torch.tensor(losses, dtype=torch.float64)
    return rung


def evaluate(model, x, reverse):
    with torch.inference_mode():
        return turned(copy.deepcopy(model).eval()(x), reverse)


def in_float32(model, x, work):
    """`work(model, images, reverse)` in each of the `ways`; `work` turns what it returns per image."""
    results = []
    for layout, onednn, reverse in ways():
        with torch.backends.mkldnn.flags(enabled=onednn):
            given = turned(x, reverse).contiguous(memory_format=layout)
            results.append(work(copy.deepcopy(model).to(memory_format=layout), given, reverse))
    return results


class Trial:
    """One network with the weights and images of one seed: exact (float64) and in PyTorch's float32."""

    def __init__(self, name, stem, side, batch, learning_rate, seed):
        self.seed = seed
        self.learning_rate = learning_rate
        self.model = build(name, stem, seed)
        self.x = images(seed, batch, (3, side, side))
        self.y = labels(seed, "labels", batch, CLASSES)

    def run(self, work):
        """(float64 result, float32 results) of `work(model, images, reverse)`."""
        return work(copy.deepcopy(self.model).double(), self.x.double(), False), in_float32(self.model, self.x, work)

    def climb(self, clear_only=False):
        return self.run(functools.partial(climb, y=self.y, learning_rate=self.learning_rate, clear_only=clear_only))

    def suitable(self):
        """Whether no activation comes near a kink in the first pass, nor changes sides in the ten steps."""
        exact, singles = self.climb(clear_only=True)
        if clearance(exact["kinks"], [s["kinks"] for s in singles]) < CLEARANCE:
            return False
        exact, singles = self.climb()
        return drift(exact, singles).max() < 1e-4


def drift(exact, singles):
    """The largest error of each of the ten losses."""
    return torch.stack([(s["losses"] - exact["losses"]).abs() for s in singles]).max(0).values


def golden(name, stem, side, batch, learning_rate, first_seed):
    """The golden of one network, as a dict for JSON."""
    trials = (Trial(name, stem, side, batch, learning_rate, seed) for seed in range(first_seed, first_seed + 1000))
    trial = next((t for t in trials if t.suitable()), None)
    if trial is None:
        raise SystemExit(f"{name} {stem}: no seed keeps clear of the kinks: use smaller images or a smaller batch")
    seed, model = trial.seed, trial.model
    exact, singles = trial.climb()
    logits, single_logits = trial.run(evaluate)
    assert 1e-3 < logits.std() < 1e3, f"{name} {stem}: logits of {logits.std()} tell nothing"

    def compact(words, pick):
        return digest(words, pick(exact), [pick(s) for s in singles])

    def named(kind):
        return [
            {"name": n} | compact([seed, kind[:8], index], lambda rung: rung[kind][n]) for index, n in enumerate(exact[kind])
        ]

    return {
        "torch": torch.__version__.split("+")[0],
        "torchvision": torchvision.__version__.split("+")[0],
        "network": name,
        "stem": stem,
        "classes": CLASSES,
        "side": side,
        "batch": batch,
        "seed": seed,
        "state": [n for n in model.state_dict()],
        "eval_logits": digest([seed, "logits"], logits, single_logits),
        "loss": compact([seed, "loss"], lambda rung: rung["loss"]),
        "margins": compact([seed, "margins"], lambda rung: rung["margins"]),
        "correct": exact["correct"],
        "gradients": named("gradients"),
        "buffers": named("buffers"),
        "sgd": {
            "learning_rate": learning_rate,
            "momentum": 0.9,
            "weight_decay": 0.0005,
            "losses": [short(v) for v in exact["losses"].tolist()],
            "errors": [short(v, 3) for v in drift(exact, singles).tolist()],
        },
    }
