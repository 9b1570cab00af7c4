"""The programs that are compared: Anmok, started afresh for each measurement, and workers that stay for all rounds."""

import json
import os
import queue
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

WORKER = Path(__file__).resolve().with_name("worker.py")
ANSWER_LIMIT_S = 1200  # of one question; torch.compile alone may take minutes
WARMUP = 3


class Failed(Exception):
    """A program could not be measured, and why."""


@dataclass(frozen=True)
class Setting:
    """What all measurements of one call of the tool have in common."""

    anmok: Path
    python: Path | None
    data: Path
    train_images: int
    scratch: Path


def summary(times):
    """The figures of one round that are kept, as `anmok bench --json` gives them."""
    tenths = statistics.quantiles(times, n=10, method="inclusive") if len(times) > 1 else [times[0]] * 9
    return {
        "steps": len(times),
        "median": statistics.median(times),
        "min": min(times),
        "p10": tenths[0],
        "p90": tenths[8],
        "mean": statistics.fmean(times),
        "max": max(times),
    }


def environment(threads):
    """The environment of every measured program: nothing that names stores or settings of the person who measures."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "AWS_", "ANMOK_"))}
    return kept | {"ANMOK_ENV_FILE": "none", "OMP_NUM_THREADS": str(threads)}


class Anmok:
    """Our binary. Each measurement is a process of its own."""

    def __init__(self, setting, item, configuration):
        self.setting, self.item, self.configuration = setting, item, configuration
        self.peak_resident_bytes = None

    def measure(self, steps):
        if self.item.work == "epoch":
            return self.epochs(steps)
        if self.item.work == "start":
            # Seen from outside, as a worker's start is; what comes after the step, up to the process's end, counts as well.
            begin = time.perf_counter()
            self.bench("train", 1, "--warmup", 0)
            return {"steps": 1, "median": (time.perf_counter() - begin) * 1e3}
        work = "infer" if self.item.work == "infer" else "train"
        answer = self.bench(work, steps)
        self.peak_resident_bytes = max(self.peak_resident_bytes or 0, answer.get("peak_resident_bytes") or 0)
        return {"steps": answer["steps"], **answer["ms"]}

    def bench(self, work, steps, *more):
        item = self.item
        command = ["bench", work, "--model-name", item.model, "--stem", item.stem, "--batch", item.batch]
        command += ["--threads", self.configuration.threads, "--steps", steps, "--json", *more]
        answer = json.loads(self.run(command))
        return answer[0] if isinstance(answer, list) else answer

    def epochs(self, count):
        """Epochs of `anmok train` with augmentation, validation and tracking, each with its validation and the checkpoint before it."""
        command = ["train", "--recipe", "seed", "--epochs", count + 1, "--threads", self.configuration.threads, "--json"]
        command += ["--limit-train", self.setting.train_images]
        with tempfile.TemporaryDirectory(dir=self.setting.scratch) as folder:
            report = Path(folder) / json.loads(self.run(command, folder))["report"]
            _, *history = json.loads(report.read_text())["history"]["epochs"]
        outside = [1 - epoch["engine_seconds"] / epoch["epoch_seconds"] for epoch in history]
        return summary([epoch["epoch_seconds"] * 1e3 for epoch in history]) | {"outside": statistics.median(outside)}

    def run(self, arguments, folder=None):
        command = [str(self.setting.anmok), *map(str, arguments)]
        variables = environment(self.configuration.threads) | {"DATA_DIR": str(self.setting.data)}
        done = subprocess.run(command, cwd=folder or self.setting.scratch, env=variables, capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def cpu_seconds(self):
        used = os.times()
        return used.children_user + used.children_system

    def close(self):
        pass


class Worker:
    """PyTorch or ONNX Runtime in a process that is warm already and waits for questions."""

    def __init__(self, setting, item, configuration):
        specification = {
            "work": "train" if item.work == "start" else item.work,
            "model": item.model,
            "stem": item.stem,
            "batch": item.batch,
            "threads": configuration.threads,
            "mode": configuration.mode,
            # An epoch is warm after one; torch.compile has then met the last, smaller batch too.
            "warmup": 0 if item.work in ("start", "epoch") else WARMUP,
            "data": str(setting.data / "cifar-10-batches-bin"),
            "train_images": setting.train_images,
        }
        if configuration.mode == "onnxruntime":
            specification["file"] = str(exported(setting, specification))
        self.errors = tempfile.TemporaryFile(dir=setting.scratch)
        self.begin = time.perf_counter()
        self.process = subprocess.Popen(
            [str(setting.python), str(WORKER), json.dumps(specification)],
            env=environment(configuration.threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        self.lines = queue.Queue()
        threading.Thread(target=self.listen, daemon=True).start()
        try:
            self.answer("first_step")
            self.start_ms = (time.perf_counter() - self.begin) * 1e3
            self.answer("ready")
        except Failed:
            self.close()
            raise

    def listen(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def answer(self, key):
        try:
            line = self.lines.get(timeout=ANSWER_LIMIT_S)
        except queue.Empty:
            raise Failed(f"no answer within {ANSWER_LIMIT_S} s") from None
        if line is None:
            self.process.wait()
            self.errors.seek(0)
            raise Failed(self.errors.read().decode(errors="replace").strip()[-500:] or f"exit {self.process.returncode}")
        return json.loads(line)[key]

    def ask(self, question, key):
        try:
            self.process.stdin.write(question + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # its last words are in `errors`
        return self.answer(key)

    def measure(self, steps):
        return summary(self.ask(f"time {steps}", "ms"))

    @property
    def peak_resident_bytes(self):
        return self.ask("memory", "peak_resident_bytes")

    def cpu_seconds(self):
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.errors.close()


class Starting:
    """The start of a program up to the end of its first training step: a fresh worker for each measurement."""

    peak_resident_bytes = None

    def __init__(self, setting, item, configuration):
        self.arguments = setting, item, configuration

    def measure(self, _steps):
        worker = Worker(*self.arguments)
        worker.close()
        return {"steps": 1, "median": worker.start_ms}

    def cpu_seconds(self):
        used = os.times()
        return used.children_user + used.children_system

    def close(self):
        pass


def exported(setting, specification):
    """The network as an ONNX file, made by PyTorch on first use."""
    path = setting.scratch / "{model}-{stem}-{batch}.onnx".format(**specification)
    if not path.exists():
        specification = specification | {"work": "export", "file": str(path)}
        command = [str(setting.python), str(WORKER), json.dumps(specification)]
        done = subprocess.run(command, env=environment(1), capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"export to ONNX: {done.stderr.strip()[-500:]}")
    return path


def start(setting, item, configuration):
    """The program of a configuration, ready to be measured."""
    if configuration.ours:
        return Anmok(setting, item, configuration)
    if setting.python is None:
        raise Failed("no Python with PyTorch")
    return (Starting if item.work == "start" else Worker)(setting, item, configuration)


def find_python(root):
    """A Python with PyTorch, where scripts/torch-python.sh looks, or None and why."""
    named = os.environ.get("ANMOK_TEST_PYTHON")
    path = Path(named or root / ".test-env/torch/bin/python")
    if shutil.which(str(path)) is None:
        return None, f"{path} is no program: {'ANMOK_TEST_PYTHON names it' if named else 'scripts/torch-python.sh makes it'}"
    return path, None
