"""Writes one text file per network: `name shape` per tensor, in the order of torchvision's state_dict().

    python make_state_dicts.py            # with torch and torchvision installed

The last column is the standard deviation of the initial distribution where torchvision draws at random, measured on
the tensor it drew.
"""

from pathlib import Path

import torch
import torchvision
from torchvision.models import mobilenet_v3_large, mobilenet_v3_small, resnet18
from torchvision.models.mobilenetv3 import MobileNetV3, _mobilenet_v3_conf

torch.manual_seed(0)


def mobilenet_half_width(arch):
    setting, last_channel = _mobilenet_v3_conf(arch, width_mult=0.5)
    return MobileNetV3(setting, last_channel, num_classes=10)


def mobilenet_one_channel():
    model = mobilenet_v3_small(num_classes=100)
    model.features[0][0] = torch.nn.Conv2d(1, 16, 3, stride=2, padding=1, bias=False)
    torch.nn.init.kaiming_normal_(model.features[0][0].weight, mode="fan_out")
    return model


def resnet_cifar():
    model = resnet18(num_classes=10)
    model.conv1 = torch.nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
    torch.nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    return model


networks = {
    "mobilenet_v3_small": mobilenet_v3_small(num_classes=10),
    "mobilenet_v3_large": mobilenet_v3_large(num_classes=10),
    "resnet18": resnet18(num_classes=10),
    "mobilenet_v3_small_half_width": mobilenet_half_width("mobilenet_v3_small"),
    "mobilenet_v3_large_half_width": mobilenet_half_width("mobilenet_v3_large"),
    "mobilenet_v3_small_one_channel_100_classes": mobilenet_one_channel(),
    "resnet18_cifar_stem": resnet_cifar(),
}
for name, model in networks.items():
    lines = [f"# make_state_dicts.py, torchvision {torchvision.__version__}: name, shape, standard deviation at the start"]
    for key, tensor in model.state_dict().items():
        std = f"{tensor.double().std(correction=0).item():.5g}" if tensor.numel() > 1 else "0"
        lines.append(f"{key} {'x'.join(map(str, tensor.shape)) or 'scalar'} {std}")
    Path(__file__).with_name(f"{name}.txt").write_text("\n".join(lines) + "\n")
