"""Trains small runs with the binary, loads their model.pth into torchvision's models (strict=True) and compares what both
see in some pictures; and the other way round, a state dict that torchvision saved.

    python scripts/torchvision_agrees.py target/release/anmok
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image

TOLERANCE = 1e-4  # of a probability: float32 rounding; seen up to 1.4e-5, where the last layer was made steep


def anmok(binary, folder, *arguments):
    """The binary's standard output, run in `folder` with none of the user's settings."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    done = subprocess.run([binary, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"anmok {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


BORDER = 2  # FashionMNIST's 28x28 images stand in a black border, and so do pictures that its models are asked about


def pictures(folder, count=6):
    """Smooth grey pictures of 28x28 pixels as files, and what the networks get, as uint8 [n, 3, 32, 32]."""
    random = np.random.default_rng(0)
    files = []
    for index in range(count):
        blocks = Image.fromarray(random.integers(0, 256, (6, 6), dtype=np.uint8))
        files.append(folder / f"picture{index}.png")
        blocks.resize((28, 28), Image.Resampling.BILINEAR).save(files[-1])
    grey = torch.stack([torch.from_numpy(np.array(Image.open(file))) for file in files])
    return files, torch.nn.functional.pad(grey, (BORDER,) * 4)[:, None].expand(-1, 3, -1, -1)


def description(safetensors):
    """What Anmok writes beside the weights: classes, normalisation."""
    data = safetensors.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"]["anmok.model"])


def compare(what, model, images, said, answers):
    """Holds the probabilities of `anmok predict --json` against the model's. said: the model's description by Anmok."""
    mean, std, classes = said["mean"], said["std"], said["class_names"]
    shape = (1, 3, 1, 1)
    normalised = (images.float() / 255 - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape)
    with torch.inference_mode():
        expected = model.eval()(normalised).softmax(1)
    worst = 0.0
    for row, answer in zip(expected, answers, strict=True):
        got = {guess["class"]: guess["probability"] for guess in answer["predictions"]}
        assert set(got) == set(classes), f"{what}: the classes {sorted(got)}"
        worst = max(worst, *(abs(got[name] - row[i].item()) for i, name in enumerate(classes)))
    spread = expected.std(0).max().item()
    assert spread > 1e-3, f"{what}: the model sees the same in every picture, which proves nothing"
    assert worst < TOLERANCE, f"{what}: a probability differs by {worst}"
    print(f"{what}: probabilities differ by at most {worst:.1e}")


def main():
    binary = str(Path(sys.argv[1]).resolve())
    for name in ("mobilenet_v3_small", "mobilenet_v3_large", "resnet18"):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            files, images = pictures(folder)
            recipe = "--dataset FashionMNIST-sample --limit-train 960 --epochs 2 --batch-norm-momentum 0.3 --learning-rate 0.003"
            anmok(binary, folder, "train", "--model-name", name, *recipe.split())
            (pth,) = folder.glob("artifacts/*/*/artifacts/model/model.pth")
            model = getattr(torchvision.models, name)(num_classes=10)
            model.load_state_dict(torch.load(pth, weights_only=True), strict=True)
            said = description(pth.with_suffix(".safetensors"))
            answers = json.loads(anmok(binary, folder, "predict", "--top", "10", "--json", *map(str, files)))
            compare(f"{name} trained by Anmok", model, images, said, answers)

            # torchvision's own file: BatchNorm's statistics moved by some passes, so that they are not 0 and 1.
            torch.manual_seed(0)
            model = getattr(torchvision.models, name)(num_classes=10)
            for layer in model.modules():
                if isinstance(layer, torch.nn.BatchNorm2d):
                    layer.momentum = 0.5
            with torch.no_grad():
                for _ in range(20):
                    model(torch.randn(32, 3, 32, 32))
                last = model.fc if name == "resnet18" else model.classifier[3]
                last.weight.mul_(20)
            torch.save(model.state_dict(), folder / "torchvision.pth")
            options = f"--weights torchvision.pth --model-name {name} --dataset FashionMNIST-sample --top 10 --json"
            answers = json.loads(anmok(binary, folder, "predict", *options.split(), *map(str, files)))
            compare(f"{name} saved by torchvision", model, images, said, answers)


if __name__ == "__main__":
    main()
