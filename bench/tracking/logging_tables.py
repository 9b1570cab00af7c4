"""The README.md of a record of bench/compare-logging, made from its JSON files."""

import json
import statistics

PARTS = ("trouble", "cost", "points")
NO_SERVER = "no server (--offline)"


def report(folder):
    lines = ["# Logging: what it costs and what it keeps", "", "Made by `bench/compare-logging`; medians over the rounds, with the least and the most.", ""]
    tables = {"trouble": trouble, "cost": cost, "points": points}
    for name in PARTS:
        path = folder / f"{name}.json"
        if path.exists():
            part = json.loads(path.read_text())
            title, *table = tables[name](part["rows"])
            # Programs say their own names.
            versions = ", ".join(version if version.startswith(what) else f"{what} {version}" for what, version in part["versions"].items())
            lines += [f"## {title}", "", f"`{part['command']}`, {part['begin']}; {part['machine']['processor']}; {versions}.", "", *table, ""]
    return "\n".join(lines[:-1])


def cost(rows):
    rounds = len({row["round"] for row in rows})
    lines = [f"CPU time of tracking over all CPU time, metrics logged at every step ({rounds} rounds)"]
    lines += ["| store | share | images/s |", "| --- | --- | --- |"]
    for store in dict.fromkeys(row["store"] for row in rows):
        of_store = [row for row in rows if row["store"] == store]
        share = spread([100 * row["tracking_share"] for row in of_store], ".2f")
        lines.append(f"| {store} | {share} % | {spread([row['images_per_second'] for row in of_store], ',.0f')} |")
    return lines


def trouble(rows):
    rounds = len({row["round"] for row in rows})
    lines = [f"A run of {rows[0]['points']:,} points, logged at every step, to a server in trouble from the first metrics on ({rounds} rounds)"]
    lines += ["| the server | images/s | of that without a server | most memory | at the end of training it waited | after `anmok sync` |"]
    lines += ["| --- | --- | --- | --- | --- | --- |"]
    alone = {row["round"]: row["images_per_second"] for row in rows if row["trouble"] == NO_SERVER}
    for name in dict.fromkeys([NO_SERVER, *(row["trouble"] for row in rows)]):
        of_trouble = [row for row in rows if row["trouble"] == name]
        speed = spread([row["images_per_second"] for row in of_trouble], ",.0f")
        # Within a round: the machine's own speed moves from round to round.
        ratio = spread([row["images_per_second"] / alone[row["round"]] for row in of_trouble if row["round"] in alone], ".2f")
        waited = spread([max(row["waited_s"] - row["seconds"], 0) for row in of_trouble], ".1f")
        memory = max(row["resident_peak_mib"] for row in of_trouble)
        lines.append(f"| {name} | {speed} | {ratio} | {memory:.0f} MiB | {waited} s | {after(of_trouble)} |")
    return lines


def after(rows):
    wrong = [f"round {row['round']}: exit {row['exit']}, sync {row['sync_exit']}, different: {row['difference'] or 'nothing'}" for row in rows if row["wrong"]]
    return f"**{'; '.join(wrong)}**" if wrong else "all there, once"


def points(rows):
    lines = ["Points as fast as possible (one run of each)"]
    lines += ["| client | server | points | the caller is free after | stored after | points there | client: CPU, most memory | server: CPU |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        lines.append(
            f"| {row['client']} | {row['server']} | {row['points']:,} | {seconds(row, 'logged_s')} | {seconds(row, 'delivered_s')} | {row['stored']:,} | "
            f"{row['client_cpu_s']:.1f} s, {row['client_peak_mib']:.0f} MiB | {row['server_cpu_s']:.1f} s |"
        )
    return lines


def seconds(row, key):
    return f"{row[key]:.2f} s" if key in row else f"not after {row['longest_s']:.0f} s"


def spread(values, form):
    middle = format(statistics.median(values), form)
    return f"{middle} ({min(values):{form}} to {max(values):{form}})" if len(values) > 1 else middle
