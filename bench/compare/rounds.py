"""Measures one item: all its configurations in turn, round after round (A B C, A B C, ...)."""

import sys
import time

from compare import programs
from compare.surroundings import Busy

# Threads of a pool spin for some milliseconds after their last work; those of the next program shall not meet them.
PAUSE_S = 0.25


def say(text):
    print(text, file=sys.stderr, flush=True)


def measure(item, setting, cores, rounds, steps):
    """What an item's record holds: each round's figures, peaks of memory, and what could not be measured and why."""
    running, left_out, measured = {}, {}, []

    def leave_out(configuration, why):
        left_out[configuration.name] = str(why)
        say(f"{item.name}: {configuration.name} left out: {why}")
        if configuration in running:
            running.pop(configuration).close()

    try:
        for configuration in item.configurations:
            begin = time.perf_counter()
            try:
                running[configuration] = programs.start(setting, item, configuration)
                say(f"{item.name}: {configuration.name} is ready after {time.perf_counter() - begin:.0f} s")
            except programs.Failed as why:
                leave_out(configuration, why)
        for number in range(1, rounds + 1):
            for configuration, program in list(running.items()):
                time.sleep(PAUSE_S)
                busy = Busy(cores, program.cpu_seconds)
                try:
                    figures = program.measure(steps)
                except programs.Failed as why:
                    leave_out(configuration, why)
                    continue
                row = {"configuration": configuration.name, "round": number, **figures, "elsewhere": busy.elsewhere()}
                measured.append(row)
                say(f"{item.name} round {number}/{rounds}: {configuration.name} {row['median']:.3f} ms")
        peaks = {configuration.name: program.peak_resident_bytes for configuration, program in running.items()}
    finally:
        for program in running.values():
            program.close()
    return {"rounds": measured, "peak_resident_bytes": {k: v for k, v in peaks.items() if v}, "left_out": left_out}
