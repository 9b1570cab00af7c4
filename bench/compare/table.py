"""The tables that are made from a record: the whole one beside it, and the short one for the README."""

import statistics
from dataclasses import dataclass

from compare import items, surroundings


def time(ms):
    if ms >= 10_000:
        return f"{ms / 1000:.1f} s"
    return f"{ms:.3g} ms" if ms < 1 else f"{ms:.2f} ms" if ms < 10 else f"{ms:.1f} ms" if ms < 1000 else f"{ms / 1000:.2f} s"


def spread(medians):
    """The medians of the fastest and of the slowest round."""
    return f"{time(min(medians))} to {time(max(medians))}"


def megabytes(count):
    return f"{count / 1e6:.0f} MB"


@dataclass
class Row:
    """What is compared: ours, the best competitor, and how that stands to the goal."""

    work: tuple  # the keyword of its title and what fills it
    ours: str
    rival: str = "–"
    rival_name: str = "–"
    figure: str = "–"
    goal: str = "–"
    met: bool | None = None


def rows(record):
    """The rows of a record; what was not measured has none."""
    found = []
    by_name = {measured.item.name: measured for measured in record}
    for measured in record:
        item = measured.item
        ours, rival = measured.ours(), measured.rival()
        if ours is None:
            continue
        row = Row(("item", item), time(measured.median(ours)))
        if rival:
            ratio = measured.ratio(rival, ours)
            row.rival, row.rival_name, row.figure = time(measured.median(rival)), rival, f"{ratio:.2f}x"
            if item.goal and item.work != "start":
                row.goal, row.met = f"{item.goal:g}x", ratio >= item.goal
        if item.work == "start":
            row.goal, row.met = f"{item.goal:g} s", measured.median(ours) <= item.goal * 1000
        found.append(row)
    for name in items.MODELS:
        measured = by_name.get(f"train-{name}")
        if measured and measured.has(items.ANMOK) and measured.has(items.ANMOK_ONE_THREAD):
            ratio = measured.ratio(items.ANMOK_ONE_THREAD, items.ANMOK)
            one, two = (time(measured.median(c)) for c in (items.ANMOK_ONE_THREAD, items.ANMOK))
            row = Row(("scaling", measured.item), f"{one} → {two}", figure=f"{ratio:.2f}x", goal=f"{items.SCALING_GOAL}x")
            row.met = ratio >= items.SCALING_GOAL
            found.append(row)
    for name in items.MODELS:
        measured = by_name.get(f"train-{name}")
        if measured and measured.memory(items.ANMOK):
            found.append(memory_row(measured, name == "small"))
    epoch = by_name.get("epoch")
    if epoch and epoch.has(items.ANMOK) and all("outside" in row for row in epoch.rounds(items.ANMOK)):
        found.append(around_row(epoch))
    return found


def memory_row(measured, has_goal):
    ours = measured.memory(items.ANMOK)
    row = Row(("memory", measured.item), megabytes(ours))
    rivals = [c.name for c in measured.item.configurations if c.competes and not c.ours and measured.memory(c.name)]
    if rivals:
        rival = min(rivals, key=measured.memory)
        row.rival, row.rival_name, row.figure = megabytes(measured.memory(rival)), rival, f"{measured.memory(rival) / ours:.2f}x"
    if has_goal:
        row.goal, row.met = megabytes(items.MEMORY_GOAL_BYTES), ours <= items.MEMORY_GOAL_BYTES
    return row


def around_row(epoch):
    """The share of an epoch outside the engine's training steps: batches, validation, tracking, checkpoints.

    By the run's own clock. Steps timed by a process of their own were tried: two processes differ by more than this share."""
    lost = statistics.median(row["outside"] for row in epoch.rounds(items.ANMOK))
    row = Row(("around", epoch.item), f"{lost:.1%}", goal=f"{items.AROUND_GOAL:.0%}")
    row.met = lost < items.AROUND_GOAL
    return row


TEXTS = {
    "en": {
        "train": "training step, {model}{stem}, batch {batch}",
        "infer": "inference, {model}, batch {batch}",
        "start": "start of the process to the end of the first training step, {model}",
        "epoch": "epoch of {images} CIFAR-10 images with augmentation and validation, {model}",
        "scaling": "training step, {model}, 1 thread → 2 threads",
        "memory": "resident memory while training, {model}, without a data set",
        "around": "share of that epoch of `anmok train` outside its training steps",
        "cifar": " with CIFAR strides",
        "head": ("work", "Anmok", "fastest competitor", "", "ratio", "goal", "met"),
        "met": {True: "yes", False: "**no**", None: "–"},
        "below": "Measured side by side on {processor}, {cores} cores, float32, {versions}: [bench/runs/{name}](bench/runs/{name}). "
        "`bench/compare-torch` measures it again.",
    },
    "ko": {
        "train": "학습 스텝, {model}{stem}, 배치 {batch}",
        "infer": "추론, {model}, 배치 {batch}",
        "start": "프로세스 시작부터 첫 학습 스텝 끝까지, {model}",
        "epoch": "CIFAR-10 이미지 {images}장 한 에폭(증강과 검증 포함), {model}",
        "scaling": "학습 스텝, {model}, 스레드 1개 → 2개",
        "memory": "학습 중 상주 메모리(데이터셋 제외), {model}",
        "around": "위 `anmok train` 에폭에서 학습 스텝이 아닌 시간의 비율",
        "cifar": "(CIFAR stride)",
        "head": ("작업", "Anmok", "가장 빠른 경쟁 상대", "", "비율", "목표", "달성"),
        "met": {True: "예", False: "**아니요**", None: "–"},
        "below": "{processor}, 코어 {cores}개, float32, {versions}에서 나란히 측정: [bench/runs/{name}](bench/runs/{name}). "
        "다시 측정하려면 `bench/compare-torch`.",
    },
}
PRINTED = {items.MODELS[short]: printed for short, printed in items.PRINTED.items()}


def title(row, language, record):
    kind, item = row.work
    texts = TEXTS[language]
    images = next((m.content["train_images"] for m in record if m.item.work == "epoch"), 0)
    stem = texts["cifar"] if item.stem == "cifar" else ""
    words = {"model": PRINTED[item.model], "stem": stem, "batch": item.batch, "images": f"{images:,}"}
    return texts[item.work if kind == "item" else kind].format(**words)


def markdown(head, lines):
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *lines])


def comparison(record, language):
    texts = TEXTS[language]
    lines = [
        (title(row, language, record), row.ours, row.rival, row.rival_name, row.figure, row.goal, texts["met"][row.met])
        for row in rows(record)
    ]
    return markdown(texts["head"], lines)


def short(name, record, language):
    """What stands between the marks of the README."""
    newest = max(record, key=lambda measured: measured.content["began"]).content
    machine, versions = newest["machine"], newest["versions"]
    shown = (("PyTorch", "torch"), ("ONNX Runtime", "onnxruntime"))
    words = {
        "processor": machine["processor"],
        "cores": surroundings.cores_used(machine),
        "versions": ", ".join(f"{printed} {versions[key]}" for printed, key in shown if key in versions),
        "name": name,
    }
    return f"{comparison(record, language)}\n\n{TEXTS[language]['below'].format(**words)}"


def every_configuration(record):
    """One line per configuration: what the short table leaves out."""
    lines = []
    for measured in record:
        ours = measured.ours()
        for configuration in measured.item.configurations:
            name = configuration.name
            if not measured.has(name):
                continue
            medians = measured.medians(name)
            ratio = f"{measured.ratio(name, ours):.2f}x" if ours and not configuration.ours else "–"
            memory = measured.memory(name)
            competes = "" if configuration.competes or configuration.ours else " (no goal)"
            lines.append((
                measured.item.name,
                name + competes,
                time(measured.median(name)),
                spread(medians),
                str(len(medians)),
                ratio,
                megabytes(memory) if memory else "–",
            ))
    head = ("item", "configuration", "median", "rounds", "number", "to Anmok", "peak memory")
    return markdown(head, lines)


def whole(name, record):
    """The README.md of a record."""
    parts = [f"# {name}: Anmok beside PyTorch and ONNX Runtime"]
    parts.append(
        "Made by `bench/compare-torch`, which prints it again with `--table-only bench/runs/" + name + "`. In each round every "
        "configuration of an item is measured once, in turn. A time is the median over the rounds of each round's median; a "
        "ratio is the median over the rounds of the two times of that round."
    )
    parts.append(comparison(record, "en"))
    warnings = [warning for measured in record for warning in measured.warnings()]
    if warnings:
        parts.append("## To be taken with care\n\n" + "\n".join(f"- {warning}" for warning in warnings))
    parts.append("## Every configuration\n\n" + every_configuration(record))
    parts.append("## How it was measured\n\n" + how(record))
    return "\n\n".join(parts) + "\n"


def how(record):
    """The calls of the tool that the record is made of, each with its surroundings."""
    calls = {}
    for measured in record:
        calls.setdefault(measured.content["began"], []).append(measured)
    parts = []
    for began, measured in sorted(calls.items()):
        content = measured[0].content
        machine = content["machine"]
        cores = machine["pinned_to_cores"]
        before, after = (" ".join(f"{number:.2f}" for number in load) for load in (content["load_before"], measured[-1].content["load_after"]))
        parts.append("\n".join([
            f"{began}: {', '.join(m.item.name for m in measured)}",
            "",
            f"    {content['command']}",
            "",
            f"- {machine['processor']} ({', '.join(machine['simd'])}), {machine['cores_of_the_machine']} cores, "
            f"{(machine['memory_bytes'] or 0) / 2**30:.0f} GiB, governor {machine['governor'] or 'unknown'}",
            f"- {machine['system']}",
            f"- pinned to cores {', '.join(map(str, cores))}" if cores else "- not pinned: this system has no such call",
            "- " + ", ".join(f"{key} {version}" for key, version in content["versions"].items()),
            f"- load {before} before, {after} after",
        ]))
    return "\n\n".join(parts)


def into(text, block, mark="bench"):
    """A document with the text between its marks replaced."""
    begin, end = f"<!-- {mark}:begin -->", f"<!-- {mark}:end -->"
    before, begun, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        raise SystemExit(f"no {begin} and {end} in the README")
    return f"{before}{begin}\n{block}\n{end}{after}"
