"""Compares two servers' answers field by field, and knows which differences are meant."""

import json
import re

ABSENT = "(absent)"


def either(official, anmok) -> bool:
    return True


def lenient_text(official, anmok) -> bool:
    return isinstance(official, str) and isinstance(anmok, str)


def empty(official, anmok) -> bool:
    return official in ("", ABSENT, None) and anmok in ("", ABSENT, None, 0, {})


def same_json(official, anmok) -> bool:
    try:
        return json.loads(official) == json.loads(anmok)
    except (TypeError, ValueError):
        return False


SEARCHES = r"^search_|^log_batch|^request \d+: (GET|POST) .*search"
MESSAGE = r"(^error|body)/message$"
# Reason, steps (a pattern of the name), fields (a pattern of the path), and which pairs of values. These are decisions:
MEANT = (
    ("MLflow 3.17 also gives error_class and sqlstate; no client reads them", "", r"/(error_class|sqlstate)$", either),
    ("workspaces are not Anmok's", "", r"/workspace$", either),
    ("a mistake of the caller is answered with 400, not with 500, which clients repeat for minutes", "", r"(/status|/error_code)$", lambda o, a: (o, a) in ((500, 400), ("INTERNAL_ERROR", "INVALID_PARAMETER_VALUE"))),
    ("a message says more: the place in a filter, the limit, why a path is refused", rf"{SEARCHES}|^list_artifacts|^download_artifacts|^the proxy's|^get-artifact|^archive", MESSAGE, lenient_text),
    ("a message holds no SQL", "", MESSAGE, lambda o, a: bool(re.search(r"IntegrityError|psycopg2", str(o)))),
    ("a taken name and a changed parameter have the code of their kind, where MLflow has its database's error", r"^rename_experiment, taken|^log_model_params again", r"/error_code$", lambda o, a: o == "BAD_REQUEST"),
    ("refusals and plain texts carry the same headers as all answers", r"^request: (version|foreign)", "/headers/", either),
    ("a backslash in a path is refused, not looked for", "^the proxy's file 'a%5c", r"/(status|error_code)$", either),
    ("latest versions of all stages have no order", "^get_latest_versions$", r"^http.*/model_versions", either),
    ("plain pages where a path is unknown", r"^request 4[67]:|^the proxy's|^get-artifact", r"^client$|/body$|/Content-Type$", either),
    ("a stored file is answered with {} as JSON, where MLflow says nothing", "", r" PUT .*(/body|/Content-Type)$", either),
    ("a folder's size is told as 0", "", r"(/file_size|client\[\d+\]\[2\])$", lambda o, a: o in (None, ABSENT) and a == 0),
    ("there is no gateway to language models", "", r"/features_enabled/", either),
    ("a file's name is quoted", "", r"/Content-Disposition$", lambda o, a: a.replace('"', "") == o.replace('"', "")),
    ("a status of logged models is searched by its name, which MLflow never finds", r"^search_logged_models, filter status", "", either),
)
# And these are to become MLflow's. Rules with `either`, here and above, take any two values, so that something new can hide
# behind them: a narrower one belongs in their place.
OPEN = (
    ("open: an empty text that was sent is left out", "", r"/(description|run_id|run_link|source_run_id|model_type|outputs)$", empty),
    ("open: the model_id of a version made from a model's source is told", "", r"/model_id$", lambda o, a: o == ABSENT),
    ("open: aliases are told of every version, MLflow leaves some out of lists", "", r"/aliases(\[\d+\])?$", lambda o, a: o in (ABSENT, []) or a == ABSENT),
    ("open: tags that the server writes as JSON (registrations, log-model history) have other spacing and escapes", "", r"/(tags\[\d+\]/value|mlflow.log-model.history)$", same_json),
    ("open: logged models by a data set without metrics, and by != where the field is missing", r"^search_logged_models (by data set|.*!= 'a')|^search_logged_models, filter source_run_id", "", either),
    ("open: log-metric and log-parameter name the field and the value as log-batch does", r"^log_(metric|param)|^request 25:", MESSAGE, lenient_text),
    ("open: the history of an unknown run is an error, not empty", "^get_metric_history of an unknown run", "", either),
    ("open: wrong values in requests that the Python client does not send", r"^request (5|13|16|19|34|35|40|43):|^request: no JSON", "", either),
)
ACCEPTED = MEANT + OPEN


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
