"""Walks through MLflow's web UI in headless Chromium, by the addresses that its own links have.

    python -m web_ui.walk URI WHERE CHROMIUM FOLDER

On every page certain words must appear, and pictures be drawn; no request may fail, and the console may hold no error. The page
is photographed into FOLDER. Exit status 1, and a line for each thing that is wrong, otherwise.
"""

import json
import sys
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Error, Page, sync_playwright

from .side import SIDE

PATIENCE_MS = 30_000
# The UI asks, and draws, some things a moment after the words are there.
SETTLES_MS = 1_500
ALONE = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# What the same walk finds on MLflow's own server: how it says that it has no users, and the browser's word on a slow layout.
NO_USERS = (404, "/ajax-api/2.0/mlflow/users/current")
SLOW_LAYOUT = "ResizeObserver loop completed with undelivered notifications"
# The console repeats what the answer's status has told.
REPEATED = "Failed to load resource"
# A closed connection tells of the page that was left, not of the server.
LEFT = "net::ERR_ABORTED"


def pages(where: dict) -> list[tuple[str, str, list[str], str | None]]:
    """Name, address, words that must be seen, and what must be drawn (a CSS selector)."""
    experiment = f"#/experiments/{where['experiment_id']}"
    first, second = where["runs"]
    run = f"{experiment}/runs/{first}"
    both = f"?runs={quote(json.dumps([first, second]))}&experiments={quote(json.dumps([where['experiment_id']]))}"
    model = f"#/models/{where['model']}"
    curve = ".js-plotly-plot .scatterlayer path.js-line"
    return [
        ("home", "#/", ["pictures 그림"], None),
        ("experiments", "#/experiments", ["pictures 그림"], None),
        ("runs", f"{experiment}/runs", ["walked-0", "walked-1"], None),
        ("charts", f"{experiment}/runs?compareRunsMode=CHART", ["train_loss", "test_accuracy"], curve),
        ("run", run, ["walked-0", "learning_rate", "0.1", "train_loss", "with markdown"], None),
        ("run-metrics", f"{run}/model-metrics", ["train_loss"], curve),
        ("run-files", f"{run}/artifacts", ["classes.json", "pictures"], None),
        ("run-picture", f"{run}/artifacts/pictures/gradient.png", ["gradient.png"], PICTURE),
        ("compare", f"#/compare-runs{both}", ["walked-0", "walked-1", "learning_rate"], None),
        ("models", "#/models", ["walked-model"], None),
        ("model", model, ["walked-model", "Walked through by a browser", "champion"], None),
        ("version", f"{model}/versions/{where['version']}", ["walked-model", "champion"], None),
        ("logged-models", f"{experiment}/models", ["walked-line"], None),
        ("logged-model", f"{experiment}/models/{where['model_id']}", ["walked-line", where["model_id"]], None),
    ]


# Downloaded by the page's script and shown from memory.
PICTURE = "img[src^='blob:'], img[src*='gradient.png']"


def main() -> int:
    uri, where, chromium, folder = sys.argv[1], json.loads(Path(sys.argv[2]).read_text()), sys.argv[3], Path(sys.argv[4])
    folder.mkdir(parents=True, exist_ok=True)
    wrong = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ALONE))
        for name, address, words, drawn in pages(where):
            # A tab of its own, with nothing kept from the page before.
            page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
            found = visit(page, f"{uri}/{address}", words, drawn)
            page.screenshot(path=str(folder / f"{name}.png"))
            page.context.close()
            print(f"{name}: {'as it should be' if not found else f'{len(found)} wrong'}")
            wrong += [f"{name}: {line}" for line in found]
        browser.close()
    print("\n".join(wrong), file=sys.stderr)
    return 1 if wrong else 0


def visit(page: Page, address: str, words: list[str], drawn: str | None) -> list[str]:
    """Opens a page and gives what is wrong with it."""
    found = []

    def answered(answer) -> None:
        if answer.status >= 400 and not (answer.status == NO_USERS[0] and answer.url.endswith(NO_USERS[1])):
            found.append(f"{answer.status} {answer.request.method} {answer.url}")

    def said(line) -> None:
        if line.type == "error" and REPEATED not in line.text and SLOW_LAYOUT not in line.text:
            found.append(f"console: {line.text}")

    page.on("response", answered)
    page.on("requestfailed", lambda request: request.failure != LEFT and found.append(f"{request.failure} {request.url}"))
    page.on("console", said)
    page.on("pageerror", lambda error: found.append(f"script: {error}"))
    try:
        page.goto(address, timeout=PATIENCE_MS)
        for word in words:
            page.get_by_text(word).locator("visible=true").first.wait_for(timeout=PATIENCE_MS)
        if drawn:
            page.wait_for_function(DRAWN, arg=drawn, timeout=PATIENCE_MS)
        page.wait_for_timeout(SETTLES_MS)
    except Error as error:
        found.append(f"not seen: {error.message.splitlines()[0]} ({words}, {drawn})")
    return found


DRAWN = f"selector => [...document.querySelectorAll(selector)].some(one => one.tagName !== 'IMG' || one.naturalWidth === {SIDE})"

if __name__ == "__main__":
    sys.exit(main())
