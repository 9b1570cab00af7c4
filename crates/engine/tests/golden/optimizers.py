"""Goldens of the update rules alone: parameters after each of some steps on given gradients."""

import torch

from formula import digest, signed

ELEMENTS = 21  # whole in the JSON, and no multiple of a SIMD width
STEPS = 12

SGD, ADAM, ADAMW = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW
CASES = [
    ("SGD", SGD, {"lr": 0.1}),
    ("SGD with weight decay", SGD, {"lr": 0.1, "weight_decay": 0.05}),
    ("SGD with momentum", SGD, {"lr": 0.05, "momentum": 0.9}),
    ("SGD with momentum and weight decay", SGD, {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.0005}),
    ("SGD with Nesterov's momentum", SGD, {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.0005, "nesterov": True}),
    ("Adam", ADAM, {"lr": 0.001}),
    ("Adam with weight decay", ADAM, {"lr": 0.01, "weight_decay": 0.1}),
    ("Adam with other betas and eps", ADAM, {"lr": 0.003, "betas": (0.5, 0.95), "eps": 0.001}),
    ("AdamW", ADAMW, {"lr": 0.001, "weight_decay": 0.01}),
    ("AdamW with a large decay", ADAMW, {"lr": 0.05, "weight_decay": 0.5, "betas": (0.8, 0.99)}),
    ("AdamW without decay", ADAMW, {"lr": 0.01, "weight_decay": 0.0}),
]


def numbers(seed, step, dtype):
    """The parameters' start (step 0) or the gradients of a step. Element i is scaled by 10^-(i mod 7): large and tiny side by side."""
    scale = torch.tensor([10.0 ** -(i % 7) for i in range(ELEMENTS)], dtype=torch.float64)
    return (torch.from_numpy(signed([seed, "numbers", step], ELEMENTS)) * (1 if step == 0 else scale)).float().to(dtype)


def walk(rule, options, seed, dtype):
    """Parameters after each step, as a tensor [steps, elements]."""
    parameter = torch.nn.Parameter(numbers(seed, 0, dtype))
    optimizer = rule([parameter], foreach=False, **options)
    path = []
    for step in range(1, STEPS + 1):
        if step > STEPS // 2:  # schedules move the rate during a run
            optimizer.param_groups[0]["lr"] = options["lr"] / 2
        parameter.grad = numbers(seed, step, dtype)
        optimizer.step()
        path.append(parameter.detach().clone())
    return torch.stack(path)


def goldens():
    cases = []
    for seed, (name, rule, options) in enumerate(CASES):
        exact, single = walk(rule, options, seed, torch.float64), walk(rule, options, seed, torch.float32)
        path = [digest([], exact[step], [single[step]]) for step in range(STEPS)]
        cases.append({"name": name, "rule": rule.__name__, "options": options, "seed": seed, "after": path})
    return {"torch": torch.__version__.split("+")[0], "elements": ELEMENTS, "cases": cases}
