"""Writes the files that tests/reading.rs reads, with real PyTorch: python make_files.py (torch must be installed)."""

import argparse
import zipfile
from collections import OrderedDict
from pathlib import Path

import torch

here = Path(__file__).parent
torch.manual_seed(0)


def ramp(*shape, dtype=torch.float32):
    """0, 0.5, 1, 1.5, ...: exact in every floating-point type here."""
    n = torch.Size(shape).numel()
    return (torch.arange(n) / 2).to(dtype).reshape(shape)


# Every element type that is read, a scalar, an empty tensor, views, and tied weights.
base = ramp(4, 3)
state = OrderedDict(
    [
        ("conv.weight", ramp(2, 1, 3, 3)),
        ("bn.num_batches_tracked", torch.tensor(-(2**40))),
        ("counts", torch.arange(5)),
        ("half", ramp(2, 3, dtype=torch.float16)),
        ("bfloat", ramp(2, 3, dtype=torch.bfloat16)),
        ("double", ramp(2, 3, dtype=torch.float64)),
        ("empty", torch.zeros(0, 3)),
        ("scalar", torch.tensor(2.5)),
        ("transposed", base.t()),
        ("column", base[:, 1]),
        ("tail", base.reshape(-1)[7:]),
        ("channels_last", ramp(1, 2, 2, 3).contiguous(memory_format=torch.channels_last)),
        ("expanded", ramp(2).expand(3, 2)),
        ("tied", base),
    ]
)
state._metadata = OrderedDict([("", {"version": 1}), ("bn", {"version": 2})])
torch.save(state, here / "state_dict.pth")

# A checkpoint of DataParallel with the optimizer's state.
model = torch.nn.DataParallel(torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.BatchNorm1d(1)))
optimizer = torch.optim.Adam(model.parameters())
model(ramp(3, 2)).sum().backward()
optimizer.step()
with torch.no_grad():
    for tensor in model.state_dict().values():
        tensor.copy_(ramp(*tensor.shape) + 1)
torch.save(
    {
        "epoch": 3,
        "best": 0.5,
        "done": False,
        "note": None,
        "seed": 2**70,
        "history": [1.0, (2, "three")],
        "optimizer": optimizer.state_dict(),
        "model": model.state_dict(),
    },
    here / "checkpoint.pth",
)
torch.save({"weight": torch.nn.Parameter(ramp(2, 2))}, here / "parameter.pth")

# What is refused.
torch.save(OrderedDict(w=ramp(2)), here / "legacy.pth", _use_new_zipfile_serialization=False)
torch.save(torch.nn.Linear(2, 1), here / "module.pth")
torch.save({"model": OrderedDict(w=ramp(2)), "args": argparse.Namespace(lr=0.1)}, here / "namespace.pth")
torch.save(OrderedDict(w=torch.arange(3, dtype=torch.int32)), here / "int32.pth")
torch.save({"weights": {"w": ramp(2)}, "epoch": 1}, here / "unknown_key.pth")
torch.save(ramp(2), here / "tensor.pth")
torch.save(OrderedDict(w=ramp(2)), here / "protocol_4.pth", pickle_protocol=4)
torch.jit.save(torch.jit.script(torch.nn.ReLU()), str(here / "torchscript.pth"))
with zipfile.ZipFile(here / "state_dict.pth") as stored, zipfile.ZipFile(here / "compressed.pth", "w", zipfile.ZIP_DEFLATED) as packed:
    for name in stored.namelist():
        packed.writestr(zipfile.ZipInfo(name), stored.read(name), zipfile.ZIP_DEFLATED)
