"""Images per second of Anmok and PyTorch on the seed's recipe, in turn (A B A B ...) on the same cores.

    python bench/side_by_side.py --anmok target/release/anmok --data DIR --out bench/runs/DATE-MACHINE

DIR holds cifar-10-batches-bin. Each round trains one epoch of MobileNetV3-Small (batch 64, Adam, augmentation, 45,000
images) with `anmok train`, tracking and validation on, and one with bench/torch_cifar.py (channels_last, data in memory).
Both report images per second over their training steps. Writes `side_by_side.json` with every value, the versions and the
processor; prints the ratio of each round and their median. Needs a Python with torch and torchvision.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def anmok(binary, data, model, threads, folder):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "AWS_"))}
    environment |= {"DATA_DIR": str(data), "ANMOK_ENV_FILE": "none"}
    command = [str(binary), "train", "--recipe", "seed", "--model-name", model, "--epochs", "1", "--threads", str(threads), "--json"]
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["images_per_second"]


def pytorch(data, model, threads):
    command = [sys.executable, str(HERE / "torch_cifar.py"), "--data", str(data / "cifar-10-batches-bin"), "--model", model]
    command += ["--epochs", "1", "--seed", "0", "--threads", str(threads)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[0])["images_per_second"]


def processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} x {len(names)}" if names else platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anmok", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="mobilenet_v3_small")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1, options.rounds + 1):
            ours = anmok(options.anmok.resolve(), options.data.resolve(), options.model, options.threads, folder)
            theirs = pytorch(options.data.resolve(), options.model, options.threads)
            rounds.append({"anmok_images_per_second": ours, "pytorch_images_per_second": theirs, "ratio": ours / theirs})
            print(f"round {number}: anmok {ours:.0f} images/s, PyTorch {theirs:.0f}, ratio {ours / theirs:.2f}", flush=True)
    import torch
    import torchvision

    record = {
        "command": "python bench/side_by_side.py " + " ".join(f"--{k} {v}" for k, v in vars(options).items() if k in ("model", "threads", "rounds")),
        "anmok": subprocess.run([str(options.anmok), "--version"], check=True, capture_output=True, text=True).stdout.strip(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "processor": processor(),
        "system": platform.platform(),
        "rounds": rounds,
        "median_ratio": statistics.median(r["ratio"] for r in rounds),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"side_by_side-{options.model}.json").write_text(json.dumps(record, indent=2) + "\n")
    print(f"median ratio {record['median_ratio']:.2f}")


if __name__ == "__main__":
    main()
