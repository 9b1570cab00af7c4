"""Puts stable names in the place of what no two servers can have in common."""

import re
from urllib.parse import unquote

# Of 13 digits and more: a time in milliseconds of today. What the story itself logs as a time has fewer.
FIRST_TIME_OF_TODAY = 10**12
RANDOM_RUN_NAME = re.compile(r"^[a-z]+-[a-z]+-\d{1,3}$")
# Ids of logged models, runs and traces; numbered as they appear.
IDENTIFIER = re.compile(r"\b(m-|tr-)?[0-9a-f]{32}\b")
TIME = re.compile(r"\b\d{13}\b")
DATE = re.compile(r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?\b")
UNIVERSAL = re.compile(r"\b[0-9a-z][0-9a-f]{7}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
# A URL of the S3 server is another one each time; what it says of the file is the same.
SIGNED = re.compile(r"https?://127\.0\.0\.1:\d+/\w+/artifacts/([^?\s\"]*)\?\S*X-Amz-Signature=[0-9a-f]+\S*")
DISPOSITION = re.compile(r"response-content-disposition=([^&\s]*)")
# Where the client puts what it downloads.
TEMPORARY = re.compile(r"/(?:[\w.+-]+/)*tmp[a-z0-9_]{8}\b")
# A set in Python's own words, which has another order in each process.
SET = re.compile(r"\{('[^']*'(?:, '[^']*')*)\}")
# No list: the protocol gives these no order, and databases give them as they lie.
UNORDERED = {"tags", "params", "metrics", "aliases", "registrations", "latest_versions", "model_outputs"}
SORT_KEYS = ("key", "alias", "version", "model_id", "step", "timestamp")


def signed(url: re.Match) -> str:
    disposition = DISPOSITION.search(url.group(0))
    return f"<signed> {url.group(1)} {unquote(disposition.group(1)) if disposition else ''}"


class Placeholders:
    """Remembers which id has which name."""

    def __init__(self, texts: dict[str, str]):
        """`texts` stand for themselves everywhere: the server's address, the story's own folder."""
        self.texts = texts
        self.names: dict[str, str] = {}

    def name(self, found: re.Match) -> str:
        kind = {"m-": "model", "tr-": "trace", None: "id"}[found.group(1)]
        return self.names.setdefault(found.group(0), f"<{kind} {len(self.names) + 1}>")

    def text(self, text: str) -> str:
        """The text with names for all that is in it."""
        for real, name in self.texts.items():
            text = text.replace(real, name)
        if RANDOM_RUN_NAME.match(text):
            return "<a random name>"
        text = SIGNED.sub(signed, text)
        text = TEMPORARY.sub("<temporary>", text)
        text = UNIVERSAL.sub("<uuid>", text)
        text = SET.sub(lambda found: "{" + ", ".join(sorted(found.group(1).split(", "))) + "}", text)
        return DATE.sub("<date>", TIME.sub("<time>", IDENTIFIER.sub(self.name, text)))

    def value(self, value, key: str = ""):
        """A JSON value with names in it; objects sorted by key, and lists too where their order means nothing."""
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, (int, float)):
            return "<time>" if value >= FIRST_TIME_OF_TODAY and value < 10 * FIRST_TIME_OF_TODAY else value
        if isinstance(value, str):
            return "<token>" if key in ("next_page_token", "page_token", "token") and value else self.text(value)
        if isinstance(value, dict):
            return {self.text(str(name)): self.value(value[name], str(name)) for name in sorted(value, key=str)}
        items = [self.value(item) for item in value]
        if key in UNORDERED and all(isinstance(item, dict) for item in items):
            items.sort(key=lambda item: [str(item.get(name)) for name in SORT_KEYS])
        return items
