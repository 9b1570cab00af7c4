"""One configuration of PyTorch or ONNX Runtime in a process of its own, which bench/compare-torch starts and asks.

    python bench/compare/worker.py SPECIFICATION    (a JSON object, see `workers.py`)

Tells in JSON lines on standard output: {"first_step": true} when the first step is done, {"ready": true} when it is warm.
Then answers lines on standard input: `time N` with {"ms": [...]} of N steps, `memory` with {"peak_resident_bytes": ...} since
it was ready. Ends with its standard input. Between two questions it waits for the next line and computes nothing.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

# The protocol keeps the real standard output for itself: what libraries print goes where errors go.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def tell(**answer):
    ANSWERS.write(json.dumps(answer) + "\n")
    ANSWERS.flush()


def torch_step(specification):
    """A training step or an inference on one batch of random images, as a function."""
    import torch
    from torch_networks import CLASSES, MODES, build

    torch.set_num_threads(specification["threads"])
    torch.manual_seed(0)
    mode, batch = MODES[specification["mode"]], specification["batch"]
    model = build(specification["model"], specification["stem"]).to(memory_format=mode.layout)
    images = torch.randn(batch, 3, 32, 32).contiguous(memory_format=mode.layout)
    labels = torch.randint(0, CLASSES, (batch,))
    training = specification["work"] == "train"
    model.train(training)
    network = mode.network(model)
    if not training:

        def infer():
            with torch.inference_mode(), mode.precision():
                network(images)

        return infer
    optimizer = mode.adam(model)
    criterion = torch.nn.CrossEntropyLoss()

    def step():
        optimizer.zero_grad(set_to_none=True)
        with mode.precision():
            loss = criterion(network(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def torch_epoch(specification):
    """A whole epoch on CIFAR-10 with augmentation and validation, as a function; the images stay in memory."""
    import torch

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from torch_cifar import Images, accuracy, train_epoch
    from torch_networks import MODES, build

    torch.set_num_threads(specification["threads"])
    torch.manual_seed(0)
    mode = MODES[specification["mode"]]
    images = Images.read(specification["data"], specification["train_images"])
    model = build(specification["model"], specification["stem"]).to(memory_format=mode.layout)
    network = mode.network(model)
    optimizer = mode.adam(model)
    generator = torch.Generator().manual_seed(0)

    def epoch():
        model.train()
        train_epoch(network, optimizer, images, generator)
        model.eval()
        accuracy(network, images.validation, images.validation_labels)

    return epoch


def onnxruntime_step(specification):
    """One inference by ONNX Runtime, as a function."""
    import numpy
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = specification["threads"]
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(specification["file"], options, providers=["CPUExecutionProvider"])
    images = numpy.random.default_rng(0).standard_normal((specification["batch"], 3, 32, 32), numpy.float32)
    # Bound inputs and outputs: nothing is copied or allocated per call, which is how ONNX Runtime is fastest.
    bound = session.io_binding()
    bound.bind_ortvalue_input("images", onnxruntime.OrtValue.ortvalue_from_numpy(images))
    bound.bind_ortvalue_output("logits", onnxruntime.OrtValue.ortvalue_from_numpy(numpy.zeros((len(images), 10), numpy.float32)))
    return lambda: session.run_with_iobinding(bound)


def export(specification):
    """Writes the network as ONNX with a fixed batch, for `onnxruntime_step`."""
    import torch
    from torch_networks import build

    torch.manual_seed(0)
    model = build(specification["model"], specification["stem"]).eval()
    images = torch.randn(specification["batch"], 3, 32, 32)
    # dynamo=False: the exporter that needs no further package.
    names = {"input_names": ["images"], "output_names": ["logits"]}
    torch.onnx.export(model, (images,), specification["file"], dynamo=False, **names)


def forget_peak():
    """Starts the peak of resident memory afresh, where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def peak_resident_bytes():
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def main():
    specification = json.loads(sys.argv[1])
    if specification["work"] == "export":
        return export(specification)
    if specification["work"] == "epoch":
        step = torch_epoch(specification)
    elif specification["mode"] == "onnxruntime":
        step = onnxruntime_step(specification)
    else:
        step = torch_step(specification)
    step()
    tell(first_step=True)
    for _ in range(specification["warmup"]):
        step()
    forget_peak()
    tell(ready=True)
    for line in sys.stdin:
        match line.split():
            case ["time", count]:
                # The caches are somebody else's after a pause: some steps before those that count.
                for _ in range(specification["warmup"]):
                    step()
                times = []
                for _ in range(int(count)):
                    begin = time.perf_counter()
                    step()
                    times.append((time.perf_counter() - begin) * 1e3)
                tell(ms=times)
            case ["memory"]:
                tell(peak_resident_bytes=peak_resident_bytes())
            case _:
                sys.exit(f"unknown question: {line.strip()}")


if __name__ == "__main__":
    main()
