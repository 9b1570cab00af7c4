"""PyTorch's side of the accuracy comparison: torchvision's model on CIFAR-10 with the seed recipe.

The 45,000 training images are the ones Anmok trains on (its stratified split of 5,000 with split_seed 0). Prints one JSON
line per epoch and a last one with the test accuracy of the last weights. `bench/compare-torch` times the same epochs.

    python bench/torch_cifar.py --data cifar-10-batches-bin --seed 0 --threads 1 --json torch-seed0.jsonl
"""

import argparse
import json
import time
from dataclasses import dataclass
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


def accuracy(network, images, labels):
    """Share of images whose largest logit is their label; the network is in evaluation mode."""
    right = 0
    with torch.inference_mode():
        for batch, truth in zip(images.split(500), labels.split(500)):
            right += (network(normalise(batch)).argmax(1) == truth).sum().item()
    return right / len(images)


@dataclass
class Images:
    """CIFAR-10's training images, split as Anmok splits them (5,000 for validation, `split_seed` 0); in memory, as bytes."""

    training: torch.Tensor  # carry their padding
    training_labels: torch.Tensor
    validation: torch.Tensor
    validation_labels: torch.Tensor

    @classmethod
    def read(cls, folder, limit=0):
        """From CIFAR-10's binary version. limit: use only so many of the training images, 0 is all."""
        images, labels = load(folder, [f"data_batch_{i}" for i in range(1, 6)])
        held_out = torch.from_numpy(stratified_validation(labels.numpy(), 0.1, 0))
        kept = torch.ones(len(labels), dtype=torch.bool)
        kept[held_out] = False
        training = torch.nonzero(kept).flatten()[: limit or None]
        padded = torch.nn.functional.pad(images[training], (PADDING,) * 4)
        return cls(padded, labels[training], images[held_out], labels[held_out])


def train_epoch(network, optimizer, images, generator):
    """One epoch with crop and flip, in an order drawn from the generator; the mean loss."""
    criterion = torch.nn.CrossEntropyLoss()
    total = 0.0
    for chosen in torch.randperm(len(images.training_labels), generator=generator).split(BATCH):
        batch = normalise(augment(images.training[chosen], generator))
        optimizer.zero_grad(set_to_none=True)
        loss = criterion(network(batch), images.training_labels[chosen])
        loss.backward()
        optimizer.step()
        total += loss.item() * len(chosen)
    return total / len(images.training_labels)


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

    images = Images.read(arguments.data)
    test_images, test_labels = load(arguments.data, ["test_batch"])
    model = getattr(torchvision.models, arguments.model)(weights=None, num_classes=10)
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, arguments.epochs)

    started = time.perf_counter()
    for epoch in range(1, arguments.epochs + 1):
        model.train()
        epoch_started = time.perf_counter()
        loss = train_epoch(model, optimizer, images, generator)
        seconds = time.perf_counter() - epoch_started
        model.eval()
        report({
            "epoch": epoch,
            "lr": schedule.get_last_lr()[0],
            "loss": loss,
            "seconds": seconds,
            "images_per_second": len(images.training_labels) / seconds,
            "validation_accuracy": accuracy(model, images.validation, images.validation_labels),
        })
        schedule.step()
    report({
        "model": arguments.model,
        "seed": arguments.seed,
        "epochs": arguments.epochs,
        "threads": arguments.threads,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "training_images": len(images.training_labels),
        "test_accuracy": accuracy(model, test_images, test_labels),
        "total_seconds": time.perf_counter() - started,
    })


if __name__ == "__main__":
    main()
