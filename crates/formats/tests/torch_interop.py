"""Checks with real PyTorch what tests/torch_interop.rs wrote, and writes it back.

    python torch_interop.py FOLDER

For each FOLDER/NAME.pth: torch.load(weights_only=True), also memory-mapped; torchvision's NAME takes it with
strict=True; what that model then holds is saved as FOLDER/NAME.back.pth. FOLDER/odd/odd.pth belongs to no model: it is
loaded and saved again. Prints what it did.
"""

import sys
import zipfile
from pathlib import Path

import torch
import torchvision

folder = Path(sys.argv[1])
for path in sorted(folder.glob("*.pth")):
    state = torch.load(path, weights_only=True)
    mapped = torch.load(path, weights_only=True, mmap=True)
    assert list(state) == list(mapped) and all(torch.equal(state[name], mapped[name]) for name in state)
    assert zipfile.ZipFile(path).testzip() is None
    model = getattr(torchvision.models, path.stem)(num_classes=10)
    assert list(model.state_dict()) == list(state), "the order of names"
    model.load_state_dict(state, strict=True)
    torch.save(model.state_dict(), folder / f"{path.stem}.back.pth")
    print(f"{path.stem}: {len(state)} tensors, {sum(p.numel() for p in model.parameters())} parameters")

odd = torch.load(folder / "odd/odd.pth", weights_only=True)
torch.save(odd, folder / "odd/odd.back.pth")
print("odd:", [f"{name} {tuple(tensor.shape)} {tensor.dtype}" for name, tensor in odd.items()])
