"""Goldens of each op alone, with the shapes that kernels get wrong: odd sides, 1x1 maps, strides, groups, batches of one.

A case is a small network, described in the JSON itself so that Rust builds the same. Gradients are only seen for
parameters: a 1x1 convolution in front of the op makes the gradient of the op's input visible through its weight, and a
Hardswish behind it makes the gradient that arrives differ from position to position.
"""

import functools
import math

import torch
import torch.nn.functional as F

from formula import Kinks, clearance, digest, images, labels, signed, weight
from networks import in_float32, turned

CLEARANCE = 8
CLASSES = 5
FRONT = 6  # channels of the images: as many views of the gradient of the op's input
SHAPES_OF = {
    "conv2d": lambda a: [[a["out_channels"], a["in_channels"] // a["groups"], a["kernel"], a["kernel"]], [a["out_channels"]]],
    "linear": lambda a: [[a["out_features"], a["in_features"]], [a["out_features"]]],
}
ACTIVATIONS = {"relu": torch.nn.ReLU, "hardswish": torch.nn.Hardswish, "hardsigmoid": torch.nn.Hardsigmoid}


class Case:
    """A network being described: nodes as [name, op, attributes, inputs], value 0 being the image."""

    def __init__(self, name, image, batch=2, **loss):
        self.described = {"name": name, "image": list(image), "batch": batch, "loss": loss, "nodes": []}
        self.shapes = [list(image)]

    def add(self, name, op, inputs=None, **attributes):
        """Adds a node behind `inputs` (by default the last value) and returns the new value."""
        inputs = [len(self.shapes) - 1] if inputs is None else inputs
        channels, height, width = self.shapes[inputs[0]]
        if op == "conv2d":
            defaults = {"in_channels": channels, "out_channels": channels, "kernel": 1, "stride": 1, "padding": 0, "groups": 1}
            attributes = defaults | {"bias": False} | attributes
        if op == "linear":
            attributes = {"in_features": channels, "out_features": CLASSES, "bias": True} | attributes
        if op == "batch_norm2d":
            attributes = {"channels": channels, "eps": 0.001, "momentum": 0.01} | attributes
        if op in ("conv2d", "max_pool2d"):
            height, width = (
                (side + 2 * attributes["padding"] - attributes["kernel"]) // attributes["stride"] + 1 for side in (height, width)
            )
        if op in ("global_avg_pool", "linear"):
            height = width = 1
        self.shapes.append([attributes.get("out_channels", attributes.get("out_features", channels)), height, width])
        self.described["nodes"].append([name, op, attributes, inputs])
        return len(self.shapes) - 1

    def head(self):
        """Hardswish, mean and classifier, behind the op under test."""
        self.add("bend", "hardswish")
        self.add("mean", "global_avg_pool")
        self.add("head", "linear")
        return self.described


def single(name, channels, side, op, batch=2, **attributes):
    """A case of one op behind a 1x1 convolution to `channels`."""
    case = Case(name, (FRONT, *side), batch)
    case.add("front", "conv2d", out_channels=channels)
    case.add("op", op, **attributes)
    return case.head()


def convolutions():
    # channels in, out, side, kernel, stride, padding, groups
    rows = [
        (3, 8, (7, 5), 3, 1, 1, 1),
        (3, 8, (7, 5), 3, 2, 1, 1),
        (17, 3, (7, 5), 1, 1, 0, 1),
        (16, 24, (8, 8), 1, 2, 0, 1),
        (5, 9, (7, 5), 1, 2, 0, 1),
        (33, 70, (3, 5), 1, 1, 0, 1),
        (96, 40, (1, 1), 1, 1, 0, 1),
        (1, 1, (7, 5), 3, 1, 1, 1),
        (1, 17, (1, 1), 3, 1, 1, 1),
        (4, 6, (1, 1), 5, 1, 2, 1),
        (4, 6, (2, 2), 5, 2, 2, 1),
        (3, 4, (9, 11), 7, 2, 3, 1),
        (3, 5, (5, 7), 3, 1, 0, 1),
        (3, 5, (4, 4), 3, 1, 2, 1),
        (3, 5, (6, 6), 2, 2, 0, 1),
        (3, 5, (8, 7), 3, 3, 1, 1),
        (16, 32, (4, 4), 3, 2, 1, 1),
        (8, 12, (7, 5), 3, 1, 1, 4),
        (8, 12, (7, 5), 3, 2, 1, 4),
        (16, 16, (3, 3), 1, 1, 0, 4),
        (34, 34, (4, 3), 3, 1, 1, 2),
        (3, 6, (7, 5), 3, 1, 1, 3),
    ]
    for channels, out, side, kernel, stride, padding, groups in rows:
        name = f"convolution {channels} to {out} channels, {kernel}x{kernel} stride {stride} padding {padding} groups {groups} on {side[0]}x{side[1]}"
        yield single(
            name, channels, side, "conv2d", out_channels=out, kernel=kernel, stride=stride, padding=padding, groups=groups, bias=out % 2 == 1
        )


def depthwise():
    # channels, side, kernel, stride
    rows = [(17, (7, 5), 3, 1), (17, (7, 5), 3, 2), (17, (7, 5), 5, 1), (17, (7, 5), 5, 2), (1, (7, 5), 3, 1), (3, (7, 5), 5, 2)]
    rows += [(24, (side, side), kernel, stride) for side in (1, 2, 3) for kernel in (3, 5) for stride in (1, 2)]
    rows += [(72, (4, 4), 3, 1), (72, (4, 4), 5, 2), (16, (16, 16), 3, 2), (40, (8, 8), 5, 1), (33, (1, 4), 3, 1), (6, (9, 2), 7, 1)]
    for channels, side, kernel, stride in rows:
        name = f"depthwise {kernel}x{kernel} stride {stride} on {channels}x{side[0]}x{side[1]}"
        bias = channels % 2 == 1
        yield single(
            name, channels, side, "conv2d", kernel=kernel, stride=stride, padding=kernel // 2, groups=channels, bias=bias, batch=3
        )


def first_layers():
    """Convolutions that read the image: no gradient of the input is asked for, and engines have a path of their own."""
    for channels, side, out, kernel, stride in [(3, (8, 8), 16, 3, 2), (3, (7, 5), 16, 3, 1), (1, (9, 9), 8, 7, 2), (3, (1, 1), 8, 3, 1)]:
        case = Case(f"first layer {channels} to {out} channels, {kernel}x{kernel} stride {stride} on {side[0]}x{side[1]}", (channels, *side))
        case.add("op", "conv2d", out_channels=out, kernel=kernel, stride=stride, padding=kernel // 2)
        yield case.head()
    case = Case("first layer followed by BatchNorm and Hardswish", (3, 8, 6), 3)
    case.add("op", "conv2d", out_channels=16, kernel=3, stride=2, padding=1)
    case.add("norm", "batch_norm2d")
    yield case.head()
    case = Case("BatchNorm on the image itself", (3, 7, 5), 3)
    case.add("op", "batch_norm2d")
    yield case.head()


def norms():
    for channels, side, batch, extra in [
        (17, (7, 5), 2, {}),
        (3, (7, 5), 1, {"eps": 1e-5, "momentum": 0.1}),
        (24, (1, 1), 6, {}),
        (1, (1, 2), 3, {}),
        (70, (2, 2), 5, {"momentum": 1.0}),
    ]:
        yield single(f"BatchNorm of {channels} channels on {side[0]}x{side[1]}, batch {batch}", channels, side, "batch_norm2d", batch, **extra)
    for activation in ACTIVATIONS:
        for kernel, groups, channels in ((1, 1, 12), (3, 12, 12), (3, 1, 12)):
            case = Case(f"{kernel}x{kernel} convolution in {groups} groups, BatchNorm, {activation}", (FRONT, 5, 3), 4)
            case.add("front", "conv2d", out_channels=channels)
            case.add("op", "conv2d", kernel=kernel, padding=kernel // 2, groups=groups)
            case.add("norm", "batch_norm2d")
            case.add("activation", activation)
            case.add("last", "conv2d", out_channels=7, bias=True)
            yield case.head()


def pools():
    for channels, side, kernel, stride, padding in [
        (3, (7, 5), 3, 2, 1),
        (17, (8, 8), 3, 2, 1),
        (8, (6, 6), 2, 2, 0),
        (5, (4, 7), 3, 1, 1),
        (4, (1, 1), 3, 2, 1),
        (4, (2, 2), 5, 1, 2),
    ]:
        name = f"max-pool {kernel}x{kernel} stride {stride} padding {padding} on {channels}x{side[0]}x{side[1]}"
        yield single(name, channels, side, "max_pool2d", kernel=kernel, stride=stride, padding=padding)
    case = Case("max-pool of zeros out of a ReLU: ties", (FRONT, 6, 6), 2)
    case.add("front", "conv2d", out_channels=8)
    case.add("relu", "relu")
    case.add("op", "max_pool2d", kernel=3, stride=2, padding=1)
    yield case.head()
    for channels, side in [(17, (7, 5)), (3, (1, 1)), (40, (2, 2))]:
        case = Case(f"global average of {channels}x{side[0]}x{side[1]}", (FRONT, *side), 3)
        case.add("front", "conv2d", out_channels=channels)
        case.add("op", "global_avg_pool")
        yield case.head()


def linears():
    for features, out, bias, batch in [(13, 7, True, 3), (13, 7, False, 1), (1, 1, True, 2), (65, 33, True, 17), (128, 10, True, 64)]:
        case = Case(f"linear {features} to {out}, batch {batch}, {'with' if bias else 'without'} bias", (FRONT, 1, 1), batch)
        case.add("front", "conv2d", out_channels=features)
        case.add("op", "linear", out_features=out, bias=bias)
        yield case.head()


def joins():
    case = Case("sum of two branches", (FRONT, 7, 5), 2)
    front = case.add("front", "conv2d", out_channels=9)
    left = case.add("left", "conv2d", [front], kernel=3, padding=1)
    right = case.add("right", "conv2d", [front], out_channels=9)
    case.add("op", "add", [left, right])
    yield case.head()

    case = Case("a map added to itself", (FRONT, 3, 3), 2)
    front = case.add("front", "conv2d", out_channels=5)
    case.add("op", "add", [front, front])
    yield case.head()

    case = Case("a residual block: two BatchNorms, the sum, ReLU, read twice", (FRONT, 5, 4), 4)
    front = case.add("front", "conv2d", out_channels=16)
    case.add("conv1", "conv2d", kernel=3, padding=1)
    case.add("bn1", "batch_norm2d", eps=1e-5, momentum=0.1)
    case.add("relu1", "relu")
    case.add("conv2", "conv2d", kernel=3, padding=1)
    norm = case.add("bn2", "batch_norm2d", eps=1e-5, momentum=0.1)
    case.add("op", "add", [norm, front])
    relu = case.add("relu2", "relu")
    again = case.add("again", "conv2d", [relu])
    case.add("sum", "add", [again, relu])
    yield case.head()

    case = Case("a residual block that halves the map", (FRONT, 7, 5), 4)
    front = case.add("front", "conv2d", out_channels=8)
    case.add("conv", "conv2d", out_channels=12, kernel=3, stride=2, padding=1)
    norm = case.add("bn", "batch_norm2d", eps=1e-5, momentum=0.1)
    case.add("shortcut", "conv2d", [front], out_channels=12, stride=2)
    shortcut = case.add("shortcut_bn", "batch_norm2d", eps=1e-5, momentum=0.1)
    case.add("op", "add", [norm, shortcut])
    case.add("relu", "relu")
    yield case.head()

    for activation in ("relu", "hardswish"):
        for side in ((5, 3), (1, 1)):
            case = Case(f"squeeze-excite behind {activation} on {side[0]}x{side[1]}", (FRONT, *side), 6)
            case.add("front", "conv2d", out_channels=24)
            case.add("norm", "batch_norm2d")
            value = case.add("activation", activation)
            case.add("avgpool", "global_avg_pool", [value])
            case.add("fc1", "conv2d", out_channels=8, bias=True)
            case.add("squeezed", "relu")
            case.add("fc2", "conv2d", out_channels=24, bias=True)
            gate = case.add("gate", "hardsigmoid")
            case.add("op", "channel_scale", [value, gate])
            case.add("project", "conv2d", out_channels=10)
            case.add("project_norm", "batch_norm2d")
            yield case.head()

    case = Case("channel scale without BatchNorm near it", (FRONT, 3, 5), 2)
    value = case.add("front", "conv2d", out_channels=17)
    case.add("mean", "global_avg_pool", [value])
    gate = case.add("gate_weights", "conv2d", out_channels=17, bias=True)
    case.add("op", "channel_scale", [value, gate])
    case.add("bend", "hardswish")
    case.add("mean2", "global_avg_pool")
    case.add("head", "linear")
    yield case.described


def activations():
    for activation in ACTIVATIONS:
        yield single(f"{activation} alone", 17, (7, 5), activation)
        # One channel per number; scale 1 and bias 0, so that the activation reads exactly these numbers.
        points = [-4.0, -3.0, -2.9999998, -1.5, -0.0, 0.0, 1.5, 2.9999998, 3.0, 4.0, 1e-30, -1e-30, 1e30]
        case = Case(f"{activation} at its kinks", (len(points), 1, 1), 1)
        case.add("front", "conv2d", groups=len(points), bias=True)
        case.add("op", activation)
        case.add("head", "linear")
        case.described |= {
            "images": points,
            "weights": {"front.weight": [1.0] * len(points), "front.bias": [0.0] * len(points)},
            "at_kinks": True,
        }
        case.described["weights"]["head.weight"] = [
            0.0 if abs(points[i]) > 1e20 else float(w) for i, w in zip(list(range(len(points))) * CLASSES, signed([3], len(points) * CLASSES))
        ]
        yield case.described


def losses():
    for name, batch, loss, scale in [
        ("label smoothing", 5, {"label_smoothing": 0.1}, 1),
        ("two labels per image, as mixup has them", 5, {"mix": True}, 1),
        ("two labels and smoothing", 4, {"mix": True, "label_smoothing": 0.2}, 1),
        ("the loss scaled", 3, {"loss_scale": 0.25}, 1),
        ("two passes accumulated", 3, {"passes": 2, "loss_scale": 0.5}, 1),
        ("logits of thousands", 4, {}, 3000),
        ("batch of one", 1, {}, 1),
    ]:
        case = Case(f"cross-entropy, {name}", (11, 1, 1), batch, **loss)
        case.add("head", "linear")
        if scale != 1:
            values = weight(7, 0, "head.weight", (CLASSES, 11)).flatten().double() * scale
            case.described["weights"] = {"head.weight": values.float().double().tolist()}
        yield case.described
    for classes in (1, 2, 100, 1000):
        case = Case(f"cross-entropy over {classes} classes", (7, 1, 1), 4)
        case.add("head", "linear", out_features=classes)
        yield case.described


def tiles():
    """3x3 convolutions of stride 1 with many channels: sides that tiles stick out of, channels that are no multiple of a
    vector, a panel or a block, several blocks of tiles, and all that may follow or be added."""
    for channels, out, side, batch in [
        (32, 32, (4, 4), 1),
        (33, 35, (5, 7), 3),
        (50, 34, (9, 6), 2),
        (64, 64, (8, 8), 5),
        (100, 70, (4, 5), 2),
        (32, 67, (17, 16), 2),
        (130, 33, (6, 4), 2),
    ]:
        name = f"convolution by tiles, {channels} to {out} channels on {side[0]}x{side[1]}, batch {batch}"
        yield single(name, channels, side, "conv2d", batch, out_channels=out, kernel=3, padding=1, bias=out % 2 == 1)

    for activation in ("relu", "hardswish"):
        case = Case(f"convolution by tiles, BatchNorm, {activation}", (FRONT, 6, 7), 4)
        case.add("front", "conv2d", out_channels=40)
        case.add("op", "conv2d", kernel=3, padding=1, out_channels=36)
        case.add("norm", "batch_norm2d")
        case.add("activation", activation)
        yield case.head()

    case = Case("two convolutions by tiles read one map; two passes accumulated", (FRONT, 5, 4), 3, passes=2, loss_scale=0.5)
    front = case.add("front", "conv2d", out_channels=34)
    left = case.add("left", "conv2d", [front], kernel=3, padding=1, bias=True)
    right = case.add("right", "conv2d", [front], kernel=3, padding=1)
    bent = case.add("bent", "hardswish", [right])
    case.add("op", "add", [left, bent])
    yield case.head()


class Network(torch.nn.Module):
    """A described case in PyTorch."""

    def __init__(self, described, seed):
        super().__init__()
        self.nodes = described["nodes"]
        self.layers = torch.nn.ModuleDict()
        for name, op, attributes, _ in self.nodes:
            if op == "conv2d":
                a = dict(attributes, kernel_size=attributes["kernel"])
                self.layers[name] = torch.nn.Conv2d(**{k: v for k, v in a.items() if k != "kernel"})
            elif op == "linear":
                self.layers[name] = torch.nn.Linear(**attributes)
            elif op == "batch_norm2d":
                self.layers[name] = torch.nn.BatchNorm2d(attributes["channels"], attributes["eps"], attributes["momentum"])
            elif op == "max_pool2d":
                self.layers[name] = torch.nn.MaxPool2d(attributes["kernel"], attributes["stride"], attributes["padding"])
            elif op in ACTIVATIONS:
                self.layers[name] = ACTIVATIONS[op]()
        given = described.get("weights", {})
        with torch.no_grad():
            state = [(n.removeprefix("layers."), t) for n, t in self.state_dict().items() if t.is_floating_point()]
            for index, (name, tensor) in enumerate(state):
                value = torch.tensor(given[name]) if name in given else weight(seed, index, name, tuple(tensor.shape))
                tensor.copy_(value.reshape(tensor.shape))

    def forward(self, x):
        values = [x]
        for name, op, _, inputs in self.nodes:
            taken = [values[i] for i in inputs]
            if op == "add":
                value = taken[0] + taken[1]
            elif op == "channel_scale":
                value = taken[0] * taken[1]
            elif op == "global_avg_pool":
                value = F.adaptive_avg_pool2d(taken[0], 1)
            elif op == "linear":
                value = self.layers[name](taken[0].flatten(1))[:, :, None, None]
            else:
                value = self.layers[name](taken[0])
            values.append(value)
        return values[-1].flatten(1)


def criterion(described, seed, batch, classes, reverse):
    """The loss of a case as a function of the logits, of images in reverse or as they are."""
    loss = described["loss"]
    smoothing = loss.get("label_smoothing", 0.0)
    first = turned(labels(seed, "labels", batch, classes), reverse)
    if not loss.get("mix"):
        return lambda logits: F.cross_entropy(logits, first, label_smoothing=smoothing)
    second = turned(labels(seed, "others", batch, classes), reverse)
    share = turned(torch.from_numpy(((signed([seed, "shares"], batch) + 1) / 2).astype("float32")), reverse)

    def mixed(logits):
        one = F.cross_entropy(logits, first, label_smoothing=smoothing, reduction="none")
        two = F.cross_entropy(logits, second, label_smoothing=smoothing, reduction="none")
        weights = share.to(logits.dtype)
        return (weights * one + (1 - weights) * two).mean()

    return mixed


def golden(described, first_seed):
    """The case with its reference values, as a dict for JSON."""
    batch, shape = described["batch"], described["image"]

    def trial(seed):
        model = Network(described, seed)
        x = images(seed, batch, shape)
        if "images" in described:
            x = torch.tensor(described["images"]).reshape(batch, *shape)
        return model, x

    def work(seed, model, x, reverse):
        loss_of = criterion(described, seed, batch, described["nodes"][-1][2]["out_features"], reverse)
        model = model.eval()
        with torch.no_grad():
            logits = turned(model(x), reverse)
        kinks = Kinks(model.train())
        for _ in range(described["loss"].get("passes", 1)):
            loss = loss_of(model(x))
            (loss * described["loss"].get("loss_scale", 1.0)).backward()
        gradients = {n.removeprefix("layers."): p.grad for n, p in model.named_parameters()}
        buffers = {n.removeprefix("layers."): b for n, b in model.named_buffers() if b.is_floating_point()}
        return {"logits": logits, "loss": loss.detach(), "gradients": gradients, "buffers": buffers, "kinks": kinks.stop(reverse)}

    def both(seed):
        model, x = trial(seed)
        singles = in_float32(model, x, functools.partial(work, seed))
        return work(seed, model.double(), x.double(), False), singles

    for seed in range(first_seed, first_seed + 1000):
        exact, singles = both(seed)
        if described.get("at_kinks") or clearance(exact["kinks"], [s["kinks"] for s in singles]) > CLEARANCE:
            break
    else:
        raise SystemExit(f"{described['name']}: no seed keeps clear of the kinks")

    def compact(words, pick):
        return digest([seed, *words], pick(exact), [pick(s) for s in singles])

    def named(kind):
        return [{"name": n} | compact([kind[:8], i], lambda r: r[kind][n]) for i, n in enumerate(exact[kind])]

    assert all(math.isfinite(x) for x in exact["logits"].flatten().tolist())
    return described | {
        "seed": seed,
        "eval_logits": compact(["logits"], lambda r: r["logits"]),
        "loss_value": compact(["loss"], lambda r: r["loss"]),
        "gradients": named("gradients"),
        "buffers": named("buffers"),
    }


def goldens():
    families = [convolutions, depthwise, first_layers, norms, pools, linears, joins, activations, losses, tiles]
    cases = [case for family in families for case in family()]
    # Each case starts from a seed of its own, so that no two share their numbers.
    return {"torch": torch.__version__.split("+")[0], "cases": [golden(case, 1000 * i) for i, case in enumerate(cases, 1)]}
