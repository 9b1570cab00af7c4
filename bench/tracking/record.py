"""A record of bench/compare-mlflow: one JSON file per way the servers keep their data, and the README.md made from them."""

import json
import statistics

SERVERS = ("MLflow", "Anmok")
UNEVEN = 0.25  # rounds that differ by more than this are warned of

WORK = {
    "log_metric": ("`log-metric`, one point", 30),
    "log_batch_1": ("`log-batch`, one point", None),
    "log_batch_1000": ("`log-batch`, 1000 points", 50),
    "create_run": ("`runs/create`", None),
    "get_run": ("`runs/get`", None),
    "search_100": ("`runs/search`, 100 of {runs} runs", 20),
    "search_100_filtered": ("`runs/search`, 100 of {runs} by metric and param, ordered", 20),
    "search_1000": ("`runs/search`, 1000 of {runs} runs", None),
    "history": ("`metrics/get-history`, {points} points", 40),
    "sampled_history": ("`get-history-bulk-interval`, 320 of {points}", None),
}


def write(folder, name, content):
    folder.mkdir(parents=True, exist_ok=True)
    rounds = ",\n".join("    " + json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}) for row in content["rounds"])
    head = json.dumps({k: v for k, v in content.items() if k != "rounds"}, indent=2).removesuffix("\n}")
    (folder / f"{name}.json").write_text(f'{head},\n  "rounds": [\n{rounds}\n  ]\n}}\n')


def read(folder):
    paths = [path for path in sorted(folder.glob("*.json")) if not path.name.startswith("scale-")]
    contents = [json.loads(path.read_text()) for path in paths]
    if not contents:
        raise SystemExit(f"{folder} holds no record of bench/compare-mlflow")
    # SQLite before PostgreSQL, the servers' own setting before the slower one.
    return sorted(contents, key=lambda content: (content["database"] != "SQLite", content["durability"]["Anmok"] == "full"))


class Row:
    """One kind of request, with so many clients: what each server gave, round by round."""

    def __init__(self, content, scenario, clients):
        self.scenario, self.clients = scenario, clients
        self.rounds = {
            server: {
                row["round"]: row
                for row in content["rounds"]
                if (row["scenario"], row["clients"], row["server"]) == (scenario, clients, server)
            }
            for server in SERVERS
        }
        title, self.goal = WORK[scenario]
        self.title = title.format(runs=content["runs"], points=content["points"])

    def figure(self, server, figure):
        return statistics.median(row[figure] for row in self.rounds[server].values())

    def ratio(self):
        """The median over the rounds, each server against its own neighbour."""
        slow, fast = (self.rounds[server] for server in SERVERS)
        figure = "requests_per_second"
        return statistics.median(fast[number][figure] / slow[number][figure] for number in slow.keys() & fast.keys())

    def warnings(self):
        for server in SERVERS:
            rates = [row["requests_per_second"] for row in self.rounds[server].values()]
            if max(rates) > min(rates) * (1 + UNEVEN):
                yield f"{self.title}, {self.clients} clients, {server}: rounds differ by {max(rates) / min(rates) - 1:.0%}"


def rows(content):
    pairs = dict.fromkeys((row["scenario"], row["clients"]) for row in content["rounds"])
    return [Row(content, *pair) for pair in pairs]


def rate(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def requests_table(content):
    yield "| request | clients | MLflow, requests/s | Anmok, requests/s | ratio | goal | MLflow, p50 / p99 ms | Anmok, p50 / p99 ms |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for row in rows(content):
        rates = (rate(row.figure(server, "requests_per_second")) for server in SERVERS)
        times = (f"{row.figure(server, 'p50_ms'):.2f} / {row.figure(server, 'p99_ms'):.2f}" for server in SERVERS)
        goal = "–" if row.goal is None else f"{row.goal}x, {'met' if row.ratio() >= row.goal else '**not met**'}"
        yield f"| {row.title} | {row.clients} | {' | '.join(rates)} | {row.ratio():.1f}x | {goal} | {' | '.join(times)} |"


def process_table(content):
    yield "| process | MLflow | Anmok |"
    yield "| --- | --- | --- |"
    titles = {
        "first_start_s": ("first start, with a new database, to the first answer (median)", lambda values: f"{statistics.median(values):.3f} s"),
        "start_s": ("later start to the first answer (median)", lambda values: f"{statistics.median(values):.3f} s"),
        "resident_after_start_mib": ("resident memory after the start", lambda value: f"{value:.0f} MiB"),
        "resident_after_load_mib": ("resident memory after the load", lambda value: f"{value:.0f} MiB"),
    }
    for figure, (title, words) in titles.items():
        yield f"| {title} | " + " | ".join(words(content["processes"][server][figure]) for server in SERVERS) + " |"


def durability(content):
    return f"{content['database']}; " + "; ".join(f"{server}: {content['durability'][server]}" for server in SERVERS)


def readme(folder):
    contents = read(folder)
    lines = [f"# {folder.name}: Anmok's tracking server beside MLflow's", ""]
    lines.append(
        "Made by `bench/compare-mlflow`. In each round every request is sent to the one server and then to the other, by the same "
        "clients, on the same cores; a figure is the median over the rounds, a ratio the median of the rounds' ratios."
    )
    for content in contents:
        lines += ["", f"## {durability(content)}", "", *requests_table(content), "", *process_table(content)]
        warnings = [warning for row in rows(content) for warning in row.warnings()]
        if warnings:
            lines += ["", "To be taken with care:", "", *(f"- {warning}" for warning in warnings)]
        lines += ["", f"{content['begin']}: `{content['command']}`", ""]
        lines += [f"- {key}: {value}" for key, value in {**content["machine"], **content["versions"]}.items()]
        lines += [f"- MLflow's server ran with {name}={value}" for name, value in content.get("mlflow_variables", {}).items()]
        lines += [f"- load before {content['load_before']}, after {content['load_after']}"]
    (folder / "README.md").write_text("\n".join(lines) + "\n")


WORDS = {
    "en": {
        "head": "| request | database, clients | MLflow | Anmok | ratio | goal |",
        "start": "start with a new database, to the first answer",
        "memory": "resident memory after the load",
        "met": "met",
        "missed": "**not met**",
        "end": "Side by side in turns on {machine}, MLflow {mlflow} with one worker: [bench/runs/{name}](bench/runs/{name}). "
        "`bench/compare-mlflow` measures it again.",
    },
    "ko": {
        "head": "| 요청 | 데이터베이스, 클라이언트 수 | MLflow | Anmok | 비율 | 목표 |",
        "start": "새 데이터베이스로 시작해 첫 응답까지",
        "memory": "부하 뒤 상주 메모리",
        "met": "달성",
        "missed": "**미달성**",
        "end": "{machine}에서 번갈아 가며 나란히 측정, MLflow {mlflow}, 워커 1개: [bench/runs/{name}](bench/runs/{name}). "
        "다시 측정하려면 `bench/compare-mlflow`.",
    },
}


def short_table(folder, language):
    """The table of the repository's README: what has a goal, one line each."""
    words, contents = WORDS[language], read(folder)
    yield words["head"]
    yield "| --- | --- | --- | --- | --- | --- |"
    for content in contents:
        where = content["database"] + (f", {content['durability']['Anmok']}" if content["database"] == "SQLite" else "")
        for row in rows(content):
            if row.goal is not None:
                rates = (f"{rate(row.figure(server, 'requests_per_second'))}/s" for server in SERVERS)
                goal = f"{row.goal}x, {words['met' if row.ratio() >= row.goal else 'missed']}"
                yield f"| {row.title} | {where}, {row.clients} | {' | '.join(rates)} | {row.ratio():.0f}x | {goal} |"
        for figure, title, unit in (("first_start_s", words["start"], "s"), ("resident_after_load_mib", words["memory"], "MiB")):
            values = [process_figure(content, server, figure) for server in SERVERS]
            told = " | ".join(f"{value:.3g} {unit}" for value in values)
            yield f"| {title} | {where} | {told} | {values[0] / values[1]:.0f}x | – |"
    machine, versions = contents[0]["machine"], contents[0]["versions"]
    place = f"{machine['processor']}, {machine['cores_of_the_machine']} cores"
    yield ""
    yield words["end"].format(machine=place, mlflow=versions["mlflow"], name=folder.name)


def process_figure(content, server, figure):
    value = content["processes"][server][figure]
    return statistics.median(value) if isinstance(value, list) else value
