"""One `anmok train` that logs at every step, and what is known of it."""

import json
import os
import subprocess
import time

from mlflow_story import servers

# The built-in data set needs no network.
TRAIN = ("train", "--json", "--dataset", "FashionMNIST-sample", "--seed", "5", "--log-every", "1")


class Run:
    """Runs from now on; as a context it does not outlive it."""

    def __init__(self, anmok, folder, epochs, uri, *options):
        folder.mkdir(parents=True)
        self.anmok, self.folder = anmok, folder
        self.environment = {**servers.environment(), "MLFLOW_TRACKING_URI": uri}
        with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
            command = [anmok, *TRAIN, "--epochs", str(epochs), *options]
            self.process = subprocess.Popen(command, cwd=folder, env=self.environment, stdout=out, stderr=err)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()

    def running(self):
        # What it leaves is taken by `end`.
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def end(self):
        """Waits for it: its outcome, and what it needed."""
        begin = time.monotonic()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        text = (self.folder / "out").read_text()
        if not text:
            raise SystemExit(f"anmok train said: {(self.folder / 'err').read_text()}")
        outcome = json.loads(text)
        return {
            "run_id": outcome["run_id"],
            "exit": self.process.returncode,
            "images_per_second": outcome["images_per_second"],
            "seconds": outcome["seconds"],
            "waited_s": time.monotonic() - begin,
            "resident_peak_mib": usage.ru_maxrss / 1024,
            "tracking_share": outcome["tracking_cpu_seconds"] / outcome["cpu_seconds"],
            "waits_for_sync": outcome["sync_pending"],
        }

    def command(self, *words, uri):
        environment = {**self.environment, "MLFLOW_TRACKING_URI": uri}
        return subprocess.run([self.anmok, *words], cwd=self.folder, env=environment, capture_output=True, text=True)

    def synced(self, uri):
        """What `anmok sync` says; the run's new name where it has one there."""
        begin = time.monotonic()
        done = self.command("sync", "--json", uri=uri)
        if done.returncode != 0:
            return {"sync_s": time.monotonic() - begin, "sync_exit": done.returncode}
        delivered = [one["delivered_run_id"] for one in json.loads(done.stdout)]
        return {"sync_s": time.monotonic() - begin, "sync_exit": 0, "delivered_run_id": next(iter(delivered), None)}

    def content(self, run_id, uri):
        """What a run has that does not depend on when and where it ran."""
        shown = self.command("runs", "show", run_id, "--json", "--history", uri=uri)
        if shown.returncode != 0:
            raise SystemExit(shown.stderr)
        shown = json.loads(shown.stdout)
        points = sorted((key, p["step"], repr(p["value"])) for key, values in shown["history"].items() if "second" not in key for p in values)
        params = {param["key"]: param["value"] for param in shown["data"]["params"]}
        files = sorted(file["path"] for file in shown["artifacts"])
        return {"points": points, "params": params, "files": files, "inputs": len(shown["inputs"]["dataset_inputs"]), "status": shown["info"]["status"]}
