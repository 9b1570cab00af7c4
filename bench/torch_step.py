"""Times PyTorch's training step and inference as the engine's example `step_time` times Anmok's: same network, images of
the same shape, Adam, medians over 130 steps after 20 to warm up.

    python bench/torch_step.py MODEL THREADS BATCH [STEM] [eager|channels_last|compile]
"""

import statistics
import sys
import time

import torch
import torchvision
from torchvision.models import mobilenetv3


def build(name, stem):
    """torchvision's model for ten classes; `cifar` takes the first two strides away, as Anmok's zoo does."""
    if stem == "imagenet":
        return getattr(torchvision.models, name)(weights=None, num_classes=10)
    if name == "resnet18":
        model = torchvision.models.resnet18(num_classes=10)
        model.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
        model.maxpool = torch.nn.Identity()
        return model
    blocks, last_channel = mobilenetv3._mobilenet_v3_conf(name)
    next(block for block in blocks if block.stride == 2).stride = 1
    model = mobilenetv3.MobileNetV3(blocks, last_channel, num_classes=10)
    model.features[0][0].stride = (1, 1)
    return model


def main():
    arguments = dict(enumerate(sys.argv[1:]))
    name, threads, batch = arguments.get(0, "mobilenet_v3_small"), int(arguments.get(1, 2)), int(arguments.get(2, 64))
    stem, mode = arguments.get(3, "imagenet"), arguments.get(4, "channels_last")
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    layout = torch.contiguous_format if mode == "eager" else torch.channels_last
    model = build(name, stem).to(memory_format=layout).train()
    images = torch.randn(batch, 3, 32, 32).contiguous(memory_format=layout)
    labels = torch.randint(0, 10, (batch,))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    criterion = torch.nn.CrossEntropyLoss()
    network = torch.compile(model) if mode == "compile" else model

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = criterion(network(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    def infer():
        with torch.inference_mode():
            return network(images)

    def timed(work, count):
        times = []
        for _ in range(count):
            begin = time.perf_counter()
            work()
            times.append((time.perf_counter() - begin) * 1e3)
        return times

    timed(step, 20)
    measured = [("step", timed(step, 130))]
    model.eval()
    timed(infer, 10)
    measured.append(("infer", timed(infer, 100)))
    for what, times in measured:
        print(f"{what}: median {statistics.median(times):.3f} ms, min {min(times):.3f}")


if __name__ == "__main__":
    main()
