"""torchvision's networks as Anmok's zoo has them, and the ways in which PyTorch can run them."""

from dataclasses import dataclass

import torch
import torchvision
from torchvision.models import mobilenetv3

CLASSES = 10


@dataclass(frozen=True)
class Mode:
    """One way to run a network in PyTorch."""

    channels_last: bool = True
    compiled: bool = False
    bf16: bool = False
    fused_adam: bool = False

    @property
    def layout(self):
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def network(self, model):
        # dynamic=False: a second batch size gets code of its own, not slower code for any size.
        return torch.compile(model, dynamic=False) if self.compiled else model

    def precision(self):
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16)

    def adam(self, model):
        # None and not False: PyTorch's own choice.
        return torch.optim.Adam(model.parameters(), lr=0.001, fused=self.fused_adam or None)


MODES = {
    "eager": Mode(channels_last=False),
    "channels_last": Mode(),
    "compile": Mode(compiled=True),
    "compile_fused_adam": Mode(compiled=True, fused_adam=True),
    "bf16": Mode(bf16=True),
}


def build(name, stem):
    """torchvision's model for ten classes; `cifar` takes the first two strides away, as Anmok's zoo does."""
    if stem == "imagenet":
        return getattr(torchvision.models, name)(weights=None, num_classes=CLASSES)
    if name == "resnet18":
        model = torchvision.models.resnet18(num_classes=CLASSES)
        model.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
        model.maxpool = torch.nn.Identity()
        return model
    blocks, last_channel = mobilenetv3._mobilenet_v3_conf(name)
    next(block for block in blocks if block.stride == 2).stride = 1
    model = mobilenetv3.MobileNetV3(blocks, last_channel, num_classes=CLASSES)
    model.features[0][0].stride = (1, 1)
    return model
