"""PyTorch's side of the accuracy comparison: torchvision's model on CIFAR-10 with the seed recipe.

The 45,000 training images are the ones Anmok trains on (its stratified split of 5,000 with split_seed 0). Prints one JSON
line per epoch and a last one with the test accuracy of the last weights.

    python bench/torch_cifar.py --data cifar-10-batches-bin --seed 0 --threads 1 --json torch-seed0.jsonl
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import torchvision

from anmok_random import stratified_validation

MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)
BATCH = 64
PADDING = 4


def load(folder, names):
    """Images as uint8 [n, 3, 32, 32] and labels as int64 [n], from CIFAR-10's binary version."""
    records = np.concatenate([np.fromfile(Path(folder) / f"{name}.bin", np.uint8).reshape(-1, 3073) for name in names])
    return torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32).copy()), torch.from_numpy(records[:, 0].astype(np.int64))


def normalise(images):
    """uint8 images to normalised float32 in channels-last order."""
    mean = torch.tensor(MEAN).view(1, 3, 1, 1)
    std = torch.tensor(STD).view(1, 3, 1, 1)
    return ((images.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def augment(padded, generator):
    """Random crop of 32x32 and horizontal flip of uint8 images that already carry their padding, all images at once."""
    n = len(padded)
    top = torch.randint(0, 2 * PADDING + 1, (n, 1), generator=generator)
    left = torch.randint(0, 2 * PADDING + 1, (n, 1), generator=generator)
    flip = torch.rand((n, 1), generator=generator) < 0.5
    span = torch.arange(32).view(1, 32)
    rows = top + span
    columns = left + torch.where(flip, 31 - span, span)
    image = torch.arange(n).view(n, 1, 1, 1)
    channel = torch.arange(3).view(1, 3, 1, 1)
    return padded[image, channel, rows.view(n, 1, 32, 1), columns.view(n, 1, 1, 32)]


def accuracy(model, images, labels):
    """Share of images whose largest logit is their label, with the model in evaluation mode."""
    model.eval()
    right = 0
    with torch.inference_mode():
        for batch, truth in zip(images.split(500), labels.split(500)):
            right += (model(normalise(batch)).argmax(1) == truth).sum().item()
    return right / len(images)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with data_batch_1.bin ... test_batch.bin")
    parser.add_argument("--model", default="mobilenet_v3_small", help="a name in torchvision.models")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", help="append the JSON lines to this file too")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    generator = torch.Generator().manual_seed(arguments.seed)

    def report(line):
        text = json.dumps(line)
        print(text, flush=True)
        if arguments.json:
            with open(arguments.json, "a", encoding="utf-8") as file:
                file.write(text + "\n")

    images, labels = load(arguments.data, [f"data_batch_{i}" for i in range(1, 6)])
    test_images, test_labels = load(arguments.data, ["test_batch"])
    held_out = torch.from_numpy(stratified_validation(labels.numpy(), 0.1, 0))
    training = torch.ones(len(labels), dtype=torch.bool)
    training[held_out] = False
    validation_images, validation_labels = images[held_out], labels[held_out]
    images = torch.nn.functional.pad(images[training], (PADDING,) * 4)
    labels = labels[training]

    model = getattr(torchvision.models, arguments.model)(weights=None, num_classes=10)
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, arguments.epochs)
    criterion = torch.nn.CrossEntropyLoss()

    started = time.perf_counter()
    for epoch in range(1, arguments.epochs + 1):
        model.train()
        total = 0.0
        epoch_started = time.perf_counter()
        for chosen in torch.randperm(len(labels), generator=generator).split(BATCH):
            batch = normalise(augment(images[chosen], generator))
            optimizer.zero_grad(set_to_none=True)
            loss = criterion(model(batch), labels[chosen])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chosen)
        seconds = time.perf_counter() - epoch_started
        report({
            "epoch": epoch,
            "lr": schedule.get_last_lr()[0],
            "loss": total / len(labels),
            "seconds": seconds,
            "images_per_second": len(labels) / seconds,
            "validation_accuracy": accuracy(model, validation_images, validation_labels),
        })
        schedule.step()
    report({
        "model": arguments.model,
        "seed": arguments.seed,
        "epochs": arguments.epochs,
        "threads": arguments.threads,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "training_images": len(labels),
        "test_accuracy": accuracy(model, test_images, test_labels),
        "total_seconds": time.perf_counter() - started,
    })


if __name__ == "__main__":
    main()
