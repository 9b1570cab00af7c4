"""Compares two servers' answers field by field, and knows which differences are meant."""

import json
import re

ABSENT = "(absent)"
CODE = re.compile(r"^[A-Z_]+: ")
FIRST_VALUE = re.compile(r"['\"0-9:,].*", re.DOTALL)
RESPONSE = re.compile(r"Response text: (\{.*\})$")


def only(official, anmok):
    """Exactly this pair of values."""
    return lambda o, a: (o, a) == (official, anmok)


def one_of(*pairs):
    """One of these pairs of values."""
    return lambda o, a: (o, a) in pairs


def left_out(*values):
    """One of these values (any text, if none is given), which Anmok leaves out."""
    return lambda o, a: a == ABSENT and (o in values if values else isinstance(o, str))


def added(*values):
    """One of these values, which MLflow leaves out."""
    return lambda o, a: o == ABSENT and a in values


def same_beginning(official, anmok) -> bool:
    """Two messages that say the same up to the first value in them, which is two words or more."""
    if not (isinstance(official, str) and isinstance(anmok, str)):
        return False
    beginning = FIRST_VALUE.sub("", said(official)).rstrip()
    return " " in beginning and said(anmok).startswith(beginning)


def said(message: str) -> str:
    """A server's own message, of what the client makes of it."""
    response = RESPONSE.search(message)
    return json.loads(response.group(1))["message"] if response else CODE.sub("", message)


def nothing_found(official, anmok) -> bool:
    """MLflow finds nothing where Anmok finds something."""
    return official in (ABSENT, [], {})


def refused(official, anmok) -> bool:
    """Anmok refuses what MLflow answers."""
    return (official, anmok) in ((200, 400), (ABSENT, "INVALID_PARAMETER_VALUE")) or anmok == ABSENT or (official == ABSENT and isinstance(anmok, str))


def answered(official, anmok) -> bool:
    """Anmok answers what MLflow refuses."""
    return (official, anmok) == (400, 200) or official == ABSENT or (anmok == ABSENT and isinstance(official, (str, int)))


def answered_or_nothing_found(official, anmok) -> bool:
    return nothing_found(official, anmok) or answered(official, anmok)


def names_no_database(official, anmok) -> bool:
    return bool(re.search(r"IntegrityError|psycopg2", str(official))) and not re.search(r"IntegrityError|psycopg|SQL", str(anmok))


def quoted(official, anmok) -> bool:
    return isinstance(official, str) and isinstance(anmok, str) and anmok.replace('"', "") == official.replace('"', "")


S3_ERROR = "when calling the HeadObject operation"
MESSAGE = r"(^error|body|client)/message$"
STATUS = r"(^client|/status)$"
CODES = r"/error_code$"
# Reason, steps (a pattern of the name), fields (a pattern of the path), and which pairs of values. Each is a decision; a
# difference for which no decision stands here is a mistake of ours.
ACCEPTED = (
    ("MLflow 3.17 also gives error_class and sqlstate; its client works them out from the error code where they are absent", "", r"/(error_class|sqlstate)$", left_out()),
    ("workspaces are not Anmok's", "", r"/workspace$", left_out("default")),
    ("there is no gateway to language models", "", r"/features_enabled/gateway$", only(True, False)),
    ("a mistake of the caller is answered with 400, not with 500, which clients repeat for minutes", "", r"(/status|/error_code)$", one_of((500, 400), ("INTERNAL_ERROR", "INVALID_PARAMETER_VALUE"))),
    ("and a message says what is wrong with the request, not with MLflow's program", r"^search_logged_models, filter (metrics.score > 'a'|colour)", MESSAGE, lambda o, a: bool(re.search("could not convert string|'SqlLoggedModel' has no", o))),
    ("a message goes on to say more: the place in a filter, the limit, why a path is refused; or lists what is valid in another order", r"^search_|^list_artifacts|^download_artifacts|^the proxy's|^get-artifact|^archive|^request \d+: \w+ [a-z-]+/search", MESSAGE, same_beginning),
    ("a message holds no SQL", "", MESSAGE, names_no_database),
    ("a taken name of an experiment and a logged model's changed parameter have the code of their kind, where MLflow has its database's error", r"^rename_experiment, taken|^log_model_params again", CODES, one_of(("BAD_REQUEST", "RESOURCE_ALREADY_EXISTS"), ("BAD_REQUEST", "INVALID_PARAMETER_VALUE"))),
    ("refusals and plain texts carry the same headers as all answers", r"^request: (version|foreign)", "/headers/", one_of((ABSENT, "nosniff"), (ABSENT, "SAMEORIGIN"), ("text/plain", "text/plain; charset=utf-8"), ("text/html; charset=utf-8", "text/plain; charset=utf-8"))),
    ("an unknown path and a wrong method are answered with a line of text, not with a page", r"^request \d+: GET (no-such-endpoint|runs/create)", r"/(body|Content-Type)$", lambda o, a: o.startswith(("<!doctype html>", "text/html")) and a.startswith(("Not Found: ", "Method Not Allowed: ", "text/plain"))),
    ("a backslash in a path is refused, not looked for", "^the proxy's file 'a%5c", rf"{STATUS}|{CODES}|{MESSAGE}", lambda o, a: (o, a) in ((404, 400), ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")) or (str(o).startswith("No such artifact") and str(a).startswith("Invalid path"))),
    ("a stored file is answered with {} as JSON, where MLflow says nothing", "", r" PUT .*(/body|/Content-Type)$", one_of(("", {}), (ABSENT, "application/json"))),
    ("a folder's size is told as 0", "", r"(/file_size|client\[\d+\]\[2\])$", one_of((None, 0), (ABSENT, 0))),
    ("what an S3 server does not have is absent, where MLflow has an error of the server", r"^the proxy's file 'none'|^get-artifact of none", rf"{STATUS}|{CODES}|{MESSAGE}", lambda o, a: (o, a) in ((500, 404), ("INTERNAL_ERROR", "RESOURCE_DOES_NOT_EXIST")) or (S3_ERROR in str(o) and str(a).startswith("No such artifact"))),
    ("and a message does not quote the S3 server, and names the file", r"^the proxy's file 'a%5c|^download_artifacts none|^load_model by run", MESSAGE, lambda o, a: (o == "Not Found" and str(a).startswith("There is no artifact ")) or (S3_ERROR in str(o) and str(a).startswith("Invalid path"))),
    ("a file's name is quoted", "", r"/Content-Disposition$", quoted),
    ("a status of logged models is searched by its name, which MLflow never finds, and refuses with its database's error on PostgreSQL", r"^search_logged_models, filter status", "", answered_or_nothing_found),
    ("a data set that is named without its digest is any of that name, as MLflow's documentation has it; its server finds those without a digest", r"^search_logged_models by data set$", "", nothing_found),
    ("a search for experiments has a default of results, as its documentation has it", r"^request \d+: POST experiments/search \{\}", "", answered),
    ("a page of 0 results is refused, as elsewhere; MLflow answers with a token for the same page without end", r"^request \d+: GET registered-models/search .'max_results': '0'", "", refused),
    ("a value that is none of an enumeration is refused, where MLflow goes on as if it were not there", r"^request \d+: POST runs/search .*'SOME'", "", refused),
    ("a value that is none of an enumeration is refused before the run is looked for", r"^request \d+: POST runs/update .*'DONE'", rf"{STATUS}|{CODES}|{MESSAGE}", lambda o, a: (o, a) in ((404, 400), ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")) or "is not one of" in str(a) or "expected one of" in str(a)),
)


def compare(official: dict, anmok: dict) -> tuple[int, list[tuple], dict[str, int]]:
    """How many fields there are, what differs (step, field, official, anmok), and how often each reason was met."""
    fields, found = 0, []
    reasons = {reason: 0 for reason, *_ in ACCEPTED}
    for step in official.keys() | anmok.keys():
        expected, answered = flat(official.get(step, {})), flat(anmok.get(step, {}))
        for field in expected.keys() | answered.keys():
            fields += 1
            pair = (expected.get(field, ABSENT), answered.get(field, ABSENT))
            # 1 and 1.0 are one number in JSON.
            if pair[0] == pair[1]:
                continue
            reason = next(
                (reason for reason, steps, path, when in ACCEPTED if re.search(steps, step) and re.search(path, field) and when(*pair)), None
            )
            if reason:
                reasons[reason] += 1
            else:
                found.append((step, field, *pair))
    order = {step: index for index, step in enumerate(official)}
    found.sort(key=lambda difference: (order.get(difference[0], len(order)), difference[1]))
    return fields, found, reasons


def flat(value, path: str = "") -> dict:
    """Each leaf by its path; what is empty is a leaf of its own."""
    if isinstance(value, dict) and value:
        return {field: leaf for key, item in value.items() for field, leaf in flat(item, f"{path}/{key}" if path else key).items()}
    if isinstance(value, list) and value:
        return {field: leaf for index, item in enumerate(value) for field, leaf in flat(item, f"{path}[{index}]").items()}
    return {path: value}
