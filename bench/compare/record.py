"""A record in bench/runs/: one JSON file per item with what each round gave, and the README.md that is made from them."""

import json
import statistics

from compare import items, table

UNEVEN = 0.25  # rounds that differ by more than this are warned of
BUSY = 0.10  # so is a core that others used for more than this share


class Measured:
    """What was measured of one item."""

    def __init__(self, item, content):
        self.item, self.content = item, content

    def rounds(self, name):
        return [row for row in self.content["rounds"] if row["configuration"] == name]

    def medians(self, name):
        return [row["median"] for row in self.rounds(name)]

    def has(self, name):
        return bool(self.rounds(name))

    def median(self, name):
        return statistics.median(self.medians(name))

    def ours(self):
        """The fastest of our configurations that count."""
        return min((c.name for c in self.item.ours() if self.has(c.name)), key=self.median, default=None)

    def rival(self):
        """The fastest competitor, or None."""
        rivals = (c.name for c in self.item.configurations if c.competes and not c.ours and self.has(c.name))
        return min(rivals, key=self.median, default=None)

    def ratio(self, slow, fast):
        """How many times as long the one takes as the other: the median over the rounds, each against its own neighbour."""
        slow, fast = ({row["round"]: row["median"] for row in self.rounds(name)} for name in (slow, fast))
        return statistics.median(slow[number] / fast[number] for number in slow.keys() & fast.keys())

    def memory(self, name):
        return self.content["peak_resident_bytes"].get(name)

    def warnings(self):
        for configuration in self.item.configurations:
            medians = self.medians(configuration.name)
            if medians and max(medians) > min(medians) * (1 + UNEVEN):
                yield f"{self.item.name}, {configuration.name}: rounds differ by {max(medians) / min(medians) - 1:.0%}"
            busy = [row["elsewhere"] for row in self.rounds(configuration.name) if (row["elsewhere"] or 0) > BUSY]
            if busy:
                yield f"{self.item.name}, {configuration.name}: others used up to {max(busy):.0%} of the cores in {len(busy)} rounds"
        for name, why in self.content["left_out"].items():
            yield f"{self.item.name}, {name}: not measured ({why.splitlines()[-1]})"


def read(folder):
    """The items of a record, in the order of `items.ITEMS`."""
    found = []
    for item in items.ITEMS:
        path = folder / f"{item.name}.json"
        if path.exists():
            found.append(Measured(item, json.loads(path.read_text())))
    if not found:
        raise SystemExit(f"{folder} holds no record of bench/compare-torch")
    return found


def write_item(folder, measured):
    """One file per item: measuring an item again replaces it and leaves the others."""
    folder.mkdir(parents=True, exist_ok=True)
    rounds = [{k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()} for row in measured.content["rounds"]]
    head = json.dumps({k: v for k, v in measured.content.items() if k != "rounds"}, indent=2).removesuffix("\n}")
    lines = ",\n".join("    " + json.dumps(row) for row in rounds)
    (folder / f"{measured.item.name}.json").write_text(f'{head},\n  "rounds": [\n{lines}\n  ]\n}}\n')


def write_readme(folder):
    """The README.md of a record."""
    record = read(folder)
    (folder / "README.md").write_text(table.whole(folder.name, record))
    return record
