"""What is measured: the items, the configurations that compete in each, and the goals."""

from dataclasses import dataclass

MODELS = {"small": "mobilenet_v3_small", "large": "mobilenet_v3_large", "resnet18": "resnet18"}
PRINTED = {"small": "MobileNetV3-Small", "large": "MobileNetV3-Large", "resnet18": "ResNet18"}

ANMOK = "Anmok"
ANMOK_ONE_THREAD = "Anmok, 1 thread"
TRAIN_THREADS = 2


@dataclass(frozen=True)
class Configuration:
    """A program and its settings, measured in turn with the others of an item."""

    name: str
    mode: str  # "anmok", "onnxruntime", or a key of `torch_networks.MODES`
    threads: int = TRAIN_THREADS
    competes: bool = True  # whether a ratio is taken to it; a column without a goal else

    @property
    def ours(self):
        return self.mode == "anmok"


@dataclass(frozen=True)
class Item:
    """One row of work."""

    name: str
    work: str  # "train", "infer", "start" or "epoch"
    model: str
    configurations: tuple
    steps: int  # of a round, unless --steps says otherwise
    stem: str = "imagenet"
    batch: int = 64
    goal: float | None = None  # times as fast as the fastest competitor; for "start": seconds

    def ours(self):
        """Our own configurations among which the faster counts: as many threads as help, where the competitor may choose too."""
        return [c for c in self.configurations if c.ours and (c.competes or self.work == "infer")]


EAGER = Configuration("PyTorch eager", "eager")
CHANNELS_LAST = Configuration("PyTorch channels_last", "channels_last")
COMPILE = Configuration("PyTorch compile", "compile")
FUSED_ADAM = Configuration("PyTorch compile, fused Adam", "compile_fused_adam", competes=False)
BF16 = Configuration("PyTorch bf16", "bf16", competes=False)
ANMOK_TWO = Configuration(ANMOK, "anmok")
ANMOK_ONE = Configuration(ANMOK_ONE_THREAD, "anmok", threads=1, competes=False)
ONNXRUNTIME = tuple(Configuration(f"ONNX Runtime, {n} thread{'s' * (n > 1)}", "onnxruntime", threads=n) for n in (1, 2))

TRAINING = (ANMOK_TWO, EAGER, CHANNELS_LAST, COMPILE, FUSED_ADAM, BF16, ANMOK_ONE)
INFERENCE = (ANMOK_TWO, ANMOK_ONE, *ONNXRUNTIME, EAGER, CHANNELS_LAST, COMPILE, BF16)


def train(name, model, goal, steps, stem="imagenet"):
    return Item(f"train-{name}", "train", MODELS[model], TRAINING, steps, stem=stem, goal=goal)


def infer(model, batch, goal, steps):
    return Item(f"infer-{model}-{batch}", "infer", MODELS[model], INFERENCE, steps, batch=batch, goal=goal)


ITEMS = (
    train("small", "small", 5, 40),
    train("large", "large", 4, 20),
    train("resnet18", "resnet18", 2.5, 20),
    train("small-cifar", "small", 3, 20, "cifar"),
    train("resnet18-cifar", "resnet18", 1.5, 3, "cifar"),
    infer("small", 1, 1.5, 500),
    infer("small", 64, 1.7, 100),
    infer("large", 1, None, 300),
    infer("large", 64, None, 50),
    infer("resnet18", 1, 1.1, 300),
    infer("resnet18", 64, 1.1, 30),
    Item("start", "start", MODELS["small"], (ANMOK_TWO, EAGER, CHANNELS_LAST), 1, goal=0.3),
    Item("epoch", "epoch", MODELS["small"], (ANMOK_TWO, CHANNELS_LAST, COMPILE), 1, goal=5),
)

# One thread to two, in training with torchvision's strides.
SCALING_GOAL = 1.8
# Resident memory of the whole process while training `train-small`, without a data set.
MEMORY_GOAL_BYTES = 150e6
# What an epoch of `anmok train` may lose to everything around its steps.
AROUND_GOAL = 0.05


def chosen(words):
    """The items that the words name: a whole name, or some parts of one (`infer`, `small`, `infer-small`); `all` is all."""

    def named(word):
        return [item for item in ITEMS if word == "all" or f"-{word}-" in f"-{item.name}-"]

    unknown = [word for word in words if not named(word)]
    if unknown:
        raise SystemExit(f"no item is called {', '.join(unknown)}; there are {', '.join(item.name for item in ITEMS)}")
    wanted = {item for word in words for item in named(word)}
    return [item for item in ITEMS if item in wanted]
