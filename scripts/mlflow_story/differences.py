"""Compares two servers' answers field by field, and knows which differences are meant."""

import re

ABSENT = "(absent)"

# Reason, steps (a pattern of the name), fields (a pattern of the path). Each is a decision; what is no decision is a mistake.
ACCEPTED: tuple[tuple[str, str, str], ...] = ()


def compare(official: dict, anmok: dict) -> tuple[int, list[tuple], dict[str, int]]:
    """How many fields there are, what differs (step, field, official, anmok), and how often each reason was met."""
    fields, found = 0, []
    reasons = {reason: 0 for reason, _, _ in ACCEPTED}
    for step in official.keys() | anmok.keys():
        expected, answered = flat(official.get(step, {})), flat(anmok.get(step, {}))
        for field in expected.keys() | answered.keys():
            fields += 1
            pair = (expected.get(field, ABSENT), answered.get(field, ABSENT))
            # 1 and 1.0 are one number in JSON.
            if pair[0] == pair[1]:
                continue
            reason = next((reason for reason, steps, path in ACCEPTED if re.search(steps, step) and re.search(path, field)), None)
            if reason:
                reasons[reason] += 1
            else:
                found.append((step, field, *pair))
    order = {step: index for index, step in enumerate(official)}
    found.sort(key=lambda difference: (order.get(difference[0], len(order)), difference[1]))
    return fields, found, reasons


def flat(value, path: str = "") -> dict:
    """Each leaf by its path; what is empty is a leaf of its own."""
    if isinstance(value, dict) and value:
        return {field: leaf for key, item in value.items() for field, leaf in flat(item, f"{path}/{key}" if path else key).items()}
    if isinstance(value, list) and value:
        return {field: leaf for index, item in enumerate(value) for field, leaf in flat(item, f"{path}[{index}]").items()}
    return {path: value}
