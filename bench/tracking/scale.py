"""What bench/scale-tracking fills a server with, and what it then asks."""

import json
import random
import time

from tracking.load import API, Connection, now, percentile

BATCH = 1000
PAGE = 1000

# The kinds of search, with what changes from one to the next drawn by `draw`.
SEARCHES = {
    "newest 100": lambda draw: {"order_by": ["attributes.start_time DESC"]},
    "100 best of a metric": lambda draw: {"order_by": ["metrics.acc DESC"]},
    "by metric and param, best first": lambda draw: {
        "filter": f"metrics.acc > {draw.random():.3f} and params.opt = 'adam'",
        "order_by": ["metrics.acc DESC"],
    },
    "by a rare metric value": lambda draw: {"filter": f"metrics.loss < {draw.uniform(0.001, 0.01):.5f}"},
    "by one param's value": lambda draw: {"filter": f"params.p1 = '{draw.random():.3f}'"},
    "by tag, newest first": lambda draw: {"filter": f"tags.model = '{draw.choice(['resnet18', 'mobilenetv3'])}'"},
    "by part of a name": lambda draw: {"filter": f"attributes.run_name LIKE '%{draw.randrange(100, 1000)}7'"},
}


def fill_runs(uri, experiment_id, numbers, points):
    """Runs with ten params, a tag, five summary metrics and a curve of `points` points."""
    connection = Connection(uri)
    for number in numbers:
        draw = random.Random(number)
        body = {"experiment_id": experiment_id, "run_name": f"run {number}", "start_time": 1_700_000_000_000 + number}
        run_id = connection.json("POST", f"{API}/runs/create", body)["run"]["info"]["run_id"]
        # Three digits: several runs have the same.
        params = [{"key": "opt", "value": draw.choice(["adam", "sgd"])}]
        params += [{"key": f"p{key}", "value": f"{draw.random():.3f}"} for key in range(9)]
        tags = [{"key": "model", "value": draw.choice(["resnet18", "mobilenetv3"])}]
        metrics = [{"key": key, "value": draw.random(), "timestamp": now(), "step": 0} for key in ("acc", "loss", "val_acc", "val_loss")]
        connection.ask("POST", f"{API}/runs/log-batch", {"run_id": run_id, "params": params, "tags": tags, "metrics": metrics})
        curve(connection, run_id, "batch_loss", points - len(metrics))


def fill_history(uri, run_id, points):
    curve(Connection(uri), run_id, "loss", points)


def curve(connection, run_id, key, points):
    for first in range(0, points, BATCH):
        stamp, value = now(), random.random()
        steps = range(first, min(first + BATCH, points))
        metrics = ", ".join(f'{{"key": "{key}", "value": {value}, "timestamp": {stamp}, "step": {step}}}' for step in steps)
        connection.ask("POST", f"{API}/runs/log-batch", f'{{"run_id": "{run_id}", "metrics": [{metrics}]}}'.encode())


def searches(uri, experiment_id, count):
    """Each kind so often, one after the other; milliseconds."""
    connection, found = Connection(uri), {}
    for name, query in SEARCHES.items():
        draw, taken, runs = random.Random(1), [], 0
        for _ in range(count):
            request = connection.request("POST", f"{API}/runs/search", {"experiment_ids": [experiment_id], "max_results": 100, **query(draw)})
            begin = time.perf_counter()
            answer = connection.answer(request)
            taken.append(1000 * (time.perf_counter() - begin))
            runs += len(json.loads(answer).get("runs", []))
        taken.sort()
        found[name] = {**{f"p{p}_ms": percentile(taken, p) for p in (50, 95, 99)}, "max_ms": taken[-1], "runs_found": runs / count}
    return found


def walk(uri, experiment_id):
    """All runs, page by page; every run once."""
    connection, seen, pages, token = Connection(uri), set(), [], ""
    while True:
        body = {"experiment_ids": [experiment_id], "max_results": PAGE, **({"page_token": token} if token else {})}
        begin = time.perf_counter()
        answer = connection.json("POST", f"{API}/runs/search", body)
        pages.append(1000 * (time.perf_counter() - begin))
        run_ids = [run["info"]["run_id"] for run in answer.get("runs", [])]
        if seen.intersection(run_ids):
            raise SystemExit("a run came twice")
        seen.update(run_ids)
        token = answer.get("next_page_token", "")
        if not token:
            break
    return {"runs": len(seen), "pages": len(pages), "seconds": sum(pages) / 1000, "p99_ms": percentile(sorted(pages), 99)}


def history(uri, run_id, points):
    connection = Connection(uri)
    begin = time.perf_counter()
    answer = connection.ask("GET", f"{API}/metrics/get-history?run_id={run_id}&metric_key=loss")
    seconds = time.perf_counter() - begin
    found = len(json.loads(answer)["metrics"])
    if found != points:
        raise SystemExit(f"the history holds {found} points, not {points}")
    return {"points": found, "seconds": seconds, "mib": len(answer) / 2**20}


def report(content):
    lines = [f"{content['runs']} runs, {content['filling']['points']} points, {content['database']}: filled at {content['filling']['points_per_second']:.0f} points/s"]
    for name, figures in content["searches"].items():
        lines.append(f"  {name:34} p50 {figures['p50_ms']:8.2f}  p99 {figures['p99_ms']:8.2f} ms  ({figures['runs_found']:.1f} runs)")
    walked, read = content["walk"], content["history"]
    lines.append(f"  all {walked['runs']} runs in {walked['pages']} pages: {walked['seconds']:.1f} s, p99 of a page {walked['p99_ms']:.1f} ms")
    lines.append(f"  history of {read['points']} points: {read['seconds']:.2f} s, {read['mib']:.0f} MiB")
    lines.append(
        f"  resident: {content['resident_after_searches_mib']:.0f} MiB after the searches, {content['resident_at_most_mib']:.0f} MiB at most"
    )
    return "\n".join(lines)
