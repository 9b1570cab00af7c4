"""On what and with what was measured: processor, cores, load, versions."""

import json
import os
import platform
import re
import shlex
import subprocess
import sys
from pathlib import Path

PACKAGES = ("torch", "torchvision", "numpy", "onnx", "onnxruntime")

# Options that say where something lies on this machine, which is no part of a record.
PLACES = ("--anmok", "--data", "--python", "--out")


def command(name):
    """How this program was called, without its places."""
    words = iter(sys.argv[1:])
    kept = []
    for word in words:
        if word in PLACES:
            next(words, None)
        elif not word.startswith(tuple(f"{place}=" for place in PLACES)):
            kept.append(word)
    return shlex.join([name, *kept])


def first_line(*command, **options):
    """The first line that a program prints, or None."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, **options)
    except (OSError, subprocess.CalledProcessError):
        return None
    return next(iter(done.stdout.splitlines()), None)


def processor():
    if platform.system() == "Darwin":
        return first_line("sysctl", "-n", "machdep.cpu.brand_string")
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or None
    named = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    # Virtual machines hide the model's name; family and model still tell the generation.
    family = f", family {named['cpu family']} model {named['model']}" if "cpu family" in named else ""
    return f"{named.get('model name', platform.machine())}{family}"


def simd():
    """The vector instructions that matter here, of those the processor has."""
    try:
        flags = set(re.search(r"^(?:flags|Features)\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)[1].split())
    except (OSError, TypeError):
        return []
    return [flag for flag in ("avx2", "fma", "avx512f", "avx512_bf16", "amx_tile", "asimd", "sve") if flag in flags]


def memory_bytes():
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def governor(core):
    try:
        return Path(f"/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor").read_text().strip()
    except OSError:
        return None


def pin(count):
    """Keeps this process and all it starts on `count` cores; their numbers, or None where the system knows no such thing."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))[:count]
    os.sched_setaffinity(0, cores)
    return cores


def load():
    return list(os.getloadavg())


def versions(root, anmok, python):
    found = {"anmok": first_line(str(anmok), "--version"), "rustc": first_line("rustc", "--version", cwd=root)}
    found["commit"] = first_line("git", "rev-parse", "--short", "HEAD", cwd=root)
    if first_line("git", "status", "--porcelain", "--untracked-files=no", cwd=root):
        found["commit"] = f"{found['commit']}, with changes"
    if python:
        ask = f"""
import importlib.metadata as m, importlib.util as u, json, platform
there = [p for p in {PACKAGES!r} if u.find_spec(p)]
print(json.dumps({{"python": platform.python_version()}} | {{p: m.version(p) for p in there}}))"""
        found |= json.loads(first_line(str(python), "-c", ask) or "{}")
        found["c++ (torch.compile)"] = first_line(os.environ.get("CXX", "g++"), "--version")
    return {name: version for name, version in found.items() if version}


def machine(cores):
    return {
        "processor": processor(),
        "simd": simd(),
        "cores_of_the_machine": os.cpu_count(),
        "pinned_to_cores": cores,
        "governor": governor(cores[0]) if cores else None,
        "memory_bytes": memory_bytes(),
        "system": platform.platform(),
    }


def cores_used(machine_):
    return len(machine_.get("pinned_to_cores") or []) or machine_["cores_of_the_machine"]


def slug(machine_):
    """A name for the machine where nobody gave one."""
    processor_ = (machine_.get("processor") or "unknown").partition(",")[0]
    # Intel's names have marks in them, and say what they name.
    plain = re.sub(r"\((r|tm)\)|\b(processor|cpu)\b", " ", processor_.lower())
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return f"{words}-{cores_used(machine_)}-cores"


class Busy:
    """How much of the pinned cores went to others than the program that was measured: neighbours, idle workers that spin."""

    def __init__(self, cores, cpu_seconds):
        self.cores, self.cpu_seconds = cores, cpu_seconds
        self.before = self.read()

    def read(self):
        """Seconds in total and seconds not idle (stolen ones too) of the pinned cores, and the program's own."""
        total = busy = 0
        try:
            lines = Path("/proc/stat").read_text().splitlines()
        except OSError:
            return None
        for core in self.cores or []:
            ticks = next([int(tick) for tick in line.split()[1:9]] for line in lines if line.startswith(f"cpu{core} "))
            total += sum(ticks)
            busy += sum(ticks) - ticks[3] - ticks[4]
        tick = os.sysconf("SC_CLK_TCK")
        return total / tick, busy / tick, self.cpu_seconds()

    def elsewhere(self):
        """The share since the beginning, between 0 and 1; None where the system does not tell."""
        now = self.read()
        if now is None or not self.cores:
            return None
        total, busy, own = (after - before for after, before in zip(now, self.before))
        return min(max((busy - own) / total, 0.0), 1.0) if total > 0 else None
