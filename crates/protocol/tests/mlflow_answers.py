"""Asks MLflow itself what it answers, for `mlflow_search.rs`, `mlflow_entities.rs` and `mlflow_rules.rs`.

    pip install mlflow==3.17.2 && python mlflow_answers.py > mlflow_answers.json

It makes a database in a temporary folder; what MLflow says about it goes to standard error.
"""

import json
import os
import re
import tempfile
import types

from mlflow.entities import Metric, Param, RunTag
from mlflow.entities.model_registry.model_version_stages import get_canonical_stage
from mlflow.exceptions import ERROR_CODE_TO_HTTP_STATUS, MlflowException
from mlflow.store.tracking import SEARCH_MAX_RESULTS_DEFAULT, SEARCH_MAX_RESULTS_THRESHOLD
from mlflow.protos import mlflow_artifacts_pb2, model_registry_pb2, service_pb2, webhooks_pb2
from mlflow.server import handlers
from mlflow.store.model_registry import (
    SEARCH_MODEL_VERSION_MAX_RESULTS_DEFAULT,
    SEARCH_MODEL_VERSION_MAX_RESULTS_THRESHOLD,
    SEARCH_REGISTERED_MODEL_MAX_RESULTS_DEFAULT,
    SEARCH_REGISTERED_MODEL_MAX_RESULTS_THRESHOLD,
)
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
from mlflow.store.tracking import SEARCH_LOGGED_MODEL_MAX_RESULTS_DEFAULT
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils import validation
from mlflow.utils.search_logged_model_utils import parse_filter_string
from mlflow.utils.search_utils import (
    SearchExperimentsUtils,
    SearchModelUtils,
    SearchModelVersionUtils,
    SearchUtils,
)

FILTERS = """
metrics.acc > 0.5
metric.acc>=1
metrics.acc = -1.5e-3
metrics.acc != .5
metrics.acc < 5.
metrics.acc <= 10
metrics.acc <> 3
metrics.`val/acc` > 0.5
metrics."val acc" > 0.5
metrics.val_acc > 0.5 and params.lr = '0.1' AND tags.x != "y"
params.lr = 'a b'
param.lr = "a"
parameter.lr like '%a%'
parameters.lr ILIKE 'A%'
tags.mlflow.source.name = 'x'
tag.`mlflow.source.name` = 'x'
tags.a LiKe 'x'
tags.a = 'it''s'
tags.a = "it's"
tags.a = 'say "hi"'
tags.a = '한글'
tags.한글 = 'x'
tags.a = ''
tags.a = 'x\\y'
tags.a IS NULL
tags.a is not null
params.`a b` IS NULL
params.a IS NOT NULL and metrics.b > 1
attributes.status = 'FINISHED'
attribute.status != 'FAILED'
attr.status like 'F%'
run.status = 'RUNNING'
status = 'RUNNING'
run_id = 'abc'
run_id IN ('a', 'b')
run_id in ("a")
run_id IN ('a',)
attributes.run_id NOT IN ('a','b')
run_name = 'x'
attributes.run_name ILIKE '%x%'
`run name` = 'x'
attributes.`Run name` = 'x'
attributes."Run Name" = 'x'
start_time > 1000
attributes.start_time >= 1000.5
created < 1664067852747
attributes.Created = 1
end_time != 0
user_id = 'me'
artifact_uri LIKE 'file:%'
datasets.name = 'x'
dataset.name like '%x%'
dataset.digest IN ('s1','s2')
datasets.context NOT IN ('train')
dataset.context = 'train'
metrics.acc > 1 AND metrics.acc < 2
   metrics.acc   >   1
metrics.acc>1 and params.a='b'
metrics.`a.b` > 1
metrics.a.b > 1
params.5a = 'x'
params.a5 = 'x'
params.`5` = 'x'
metrics.`5` > 1

metrics.acc > 'x'
metrics.acc LIKE 'x'
metrics.acc > abc
metrics.acc
metrics.acc >
> 1
params.lr = 1
params.lr > '1'
params.lr = lr
params.lr = `a`
params.lr = 'a
params.lr IN ('a')
tags.a = 5
tags.a < '5'
foo.a = 'b'
status = RUNNING
status > 'RUNNING'
status IN ('RUNNING')
acc > 0.5
start_time = '5'
start_time LIKE '5'
start_time IS NULL
metrics.a IS NULL
run_id IN ()
run_id IN ('a', 5)
run_id IN ('a', 'b'
run_id IN 'a'
run_id = ('a')
dataset.foo = 'x'
dataset.name = 5
dataset.name > 'x'
metrics.a > 1 OR metrics.b > 1
NOT metrics.a > 1
metrics.a > 1 and
and metrics.a > 1
metrics.a > 1 metrics.b > 2
metrics.a > 1, metrics.b > 2
metrics.a > 1; metrics.b > 2
(metrics.a > 1)
metrics.a == 1
metrics.a BETWEEN 1 AND 2
metrics.a-b > 1
metrics.a/b > 1
metrics.a > 1 -- x
1 = 1
tags.a RLIKE 'x'
tags.a NOT LIKE 'x'
metrics. > 1
.a > 1
metrics.acc > 0x10
metrics.acc > 1e5
metrics.acc > 1e999
metrics.acc > +1
metrics.acc > nan
"""

ORDERS = """
metrics.acc
metrics.acc DESC
metrics.acc desc
metric.`val/acc` ASC
metrics."val acc" ASC
params.lr asc
tags.a DESC
attributes.start_time DESC
start_time
created DESC
Created
run_name
`run name` ASC
attribute.status
status DESC
end_time ASC
run_id
user_id DESC
artifact_uri
attr.`Run Name` DESC

metrics.acc DOWN
metrics.acc DESC ASC
metrics.acc, metrics.b
foo.a
acc
dataset.name
metrics.a > 1
DESC
"""

EXPERIMENT_FILTERS = """
name = 'a'
name != "a"
name LIKE 'a%'
name ILIKE 'A%'
name ilike 'A%'
attribute.name = 'a'
attribute.`name` = 'a'
`name` = 'a'
experiment_id = '1'
experiment_id != '1'
experiment_id IN ('1', '2')
experiment_id NOT IN ('1',)
experiment_id in ('1')
creation_time > 100
creation_time = -5
last_update_time <= 100
attribute.last_update_time != 0
tags.a = 'x'
tag.a != 'x'
tags.`a b` LIKE '%x'
tags."a b" ILIKE '%x'
tags.a.b = 'x'
tags.a IS NULL
tag.a is not null
name = 'a' AND tags.a = 'b' and creation_time > 1

name IN ('a')
name > 'a'
name = 5
name = a
name IS NULL
name IS NOT NULL
experiment_id = 1
experiment_id > '1'
experiment_id LIKE '1'
experiment_id = 'x'
experiment_id IN ('x')
experiment_id IN (1)
experiment_id IS NULL
creation_time > '5'
creation_time > 1.5
creation_time LIKE 5
creation_time IN (5)
creation_time IS NULL
tags.a = 5
tags.a > 'x'
tags.a IN ('x')
attributes.name = 'a'
attr.name = 'a'
metrics.a > 1
params.a = 'x'
foo.a = 'x'
foo = 'x'
attribute.foo = 'x'
lifecycle_stage = 'active'
name = 'a' OR name = 'b'
NOT name = 'a'
name
name =
"""

EXPERIMENT_ORDERS = """
name
name DESC
experiment_id asc
creation_time DESC
last_update_time
attribute.name ASC
attribute.`name`

tags.a
foo
metrics.a
attributes.name
name DOWN
name DESC ASC
"""

REGISTERED_MODEL_FILTERS = """
name = 'a'
name != 'a'
name LIKE 'a%'
name ilike 'A%'
name IN ('a', 'b')
name NOT IN ('a')
attribute.name = 'a'
tags.a = 'x'
tag.`a b` != "x"
tags.a LIKE '%x'
tags.a ILIKE '%x'
tags.mlflow.prompt.is_prompt = 'true'
name = 'a' AND tags.a = 'x'

name > 'a'
name = 5
name = a
name IN (5)
name IN ()
tags.a > 'x'
tags.a = 5
tags.a IN ('x')
creation_timestamp > 5
last_updated_timestamp > 5
description = 'x'
attributes.name = 'a'
run_id = 'a'
metrics.a > 1
foo.a = 'x'
name = 'a' OR name = 'b'
name
"""

REGISTERED_MODEL_ORDERS = """
name
name DESC
timestamp
timestamp DESC
last_updated_timestamp ASC
`name` ASC

creation_timestamp
attribute.name
tags.a
foo DESC
name DOWN
"""

MODEL_VERSION_FILTERS = """
name = 'a'
name != 'a'
name LIKE 'a%'
name ILIKE 'a%'
name IN ('a', 'b')
run_id = 'r'
run_id IN ('r', 's')
run_id not in ('r')
source_path = 's3://b'
source_path LIKE 's3:%'
version_number = 1
version_number > 1
version_number <= '5'
version_number != -1
attribute.version_number >= 2
attribute.name = 'a'
tags.a = 'x'
tag.a LIKE 'x%'
name = 'a' and version_number > 1 and tags.a != 'b'

source_path IN ('a')
version_number LIKE '1'
version_number = 1.5
version_number = 'x'
version_number IN ('1')
name > 'a'
name = 5
run_id = 7
name = a
tags.a > 'x'
tags.a = 5
tags.a IN ('x')
current_stage = 'None'
creation_timestamp > 5
attributes.name = 'a'
foo.a = 'x'
metrics.a > 1
name = 'a' OR name = 'b'
name
"""

MODEL_VERSION_ORDERS = """
name
name DESC
version_number desc
creation_timestamp
last_updated_timestamp ASC
attribute.version_number DESC

version
run_id
tags.a
foo
attributes.name
name DOWN
"""

LOGGED_MODEL_FILTERS = """
name = 'a'
attributes.name = 'a'
attributes.name LIKE 'a%'
name ilike 'a%'
attributes.model_id IN ('m-1', 'm-2')
model_type NOT IN ('a')
source_run_id = 'r'
creation_timestamp > 5
creation_time >= 5
attributes.creation_timestamp < 5
attributes.last_updated_timestamp != 5
metrics.acc > 0.5
metrics.acc = 1
metrics.`val/acc` <= 0.5
metrics.val.acc > 1
params.lr = '0.01'
params.lr = 0.01
params.lr LIKE '0%'
params.lr IN ('a', 'b')
tags.a = 'x'
tags.`a b` != 'x'
tags.a ILIKE 'x'
name = 'a' AND metrics.acc > 0.5 and params.lr != 'x'

metric.acc > 1
tag.a = 'x'
attribute.name = 'a'
foo.a = 'x'
metrics.acc LIKE 'x'
metrics.acc IN ('x')
name > 'a'
params.lr > 1
tags.a < 'x'
creation_timestamp LIKE 'x'
creation_timestamp IN (1)
name = 'a' OR name = 'b'
NOT name = 'a'
name
tags.a IS NULL
"""

NAMES = [
    "loss", "val/acc", "a b", "a:b", "a.b-c_d", "한글", "Ünïcode", "x²", "٣", "a" * 250, "a" * 251, "한" * 250, "한" * 251,
    "", ".", "..", "...", "..a", "a/..", "a/../b", "a//b", "/a", "//a", "///a", "a/", "./a", "a/./b", "../../b", "a/../..", "/..",
    "a*b", "a\\b", "a#b", "a\"b", "a'b", "a\nb", "a\tb", "😀", "a\u00a0b", "a\u200bb", "\u0000",
]

RUN_IDS = ["0", "a", "A-b_c", "-a", "_a", "", "a b", "a" * 256, "a" * 257, "한a", "a한", "a/b", "a.b"]

MODEL_NAMES = NAMES + ["  ", "net", "a/b", "a:b", "a*b", "🦀"]
ALIASES = ["champion", "a-b_c", "한글", "", " ", "a b", "a.b", "a/b", "latest", "Latest", "LATEST", "v1", "V12", "v", "v1a", "v٣", "a" * 255, "a" * 256]
LOGGED_MODEL_NAMES = ["net", "a b", "한글", "", "a/b", "a:b", "a.b", "a%b", 'a"b', "a'b", "a-b_c"]
VERSIONS = ["1", "0", "-1", " 7 ", "+3", "x", "", "1.5", "1e3"]
STAGES = ["None", "none", "STAGING", "Production", "archived", "Active", "", "Deleted_Internal"]
WEBHOOK_NAMES = ["a", "a.b-c_d", "A1", "", "-a", "a-", "a b", "한", "a" * 63, "a" * 64]
LOCATIONS = ["s3://bucket/a", "file:///tmp/a", "/tmp/a", "runs:/r/a", "s3://b/a#f", "s3://b/a?x=..", "s3://b/a?x=%2e%2e", "s3://b/a?x=1", "s3://b/" + "a" * 2041, "s3://b/" + "a" * 2042]

# Locations that name a host, asked of servers that allow some schemes and keep their own files somewhere.
HOSTS = """
s3://bucket/a
/tmp/a
file:///etc/passwd
mlflow-artifacts:/a
mlflow-artifacts:///a
mlflow-artifacts://host/a
mlflow-artifacts://host:443/a
mlflow-artifacts://own:8080/a
http://own:8080/a
HTTPS://OWN:8080/a
http://user@own:8080@host/a
http://own\\@host/a
http://own:8080x/a
http://own:99999/a
http://own:+8080/a
http://own/a
http://host
http:/a
https://[::1]:8080/a
ftp://host/a
ftp:///a
sftp://user@host:22/a
hdfs://name/a
viewfs://name/a
hdfs://name:8020/a
r2://bucket@account.example/a
b2://bucket@host/a
abfss://files@account.dfs.core.windows.net/a
wasbs://files@account.blob.core.windows.net/a
gs://bucket/a
"""
POLICIES = [["", ""], ["http", ""], ["", "http://own:8080/x"], ["ftp, SFTP", "hdfs://name/x"], ["", "mlflow-artifacts://host/x"]]

# Sources of model versions, each asked for the run and the logged model of these roots.
ROOTS = ["mlflow-artifacts:/0/r1/artifacts", "/tmp/anmok-none/0/r1/artifacts", "s3://bucket/0/r1/artifacts"]
SOURCES = """
runs:/r1/model
runs:/r1
runs:/r2/model
runs:/
runs:r1/model
runs://host/r1/model
runs:/r1/../r2
runs:/r1/%2e%2e/r2
runs:/r1/%252e%252e/r2
models:/r1
models:/m-2
models:/net/1
models:/net/Production
models:/net/latest
models:/net@champion
models:/
models:/a/b/c
models:/a/
models://host/r1
mlflow-artifacts:/0/r1/artifacts/model
mlflow-artifacts:/0/r1/artifacts
mlflow-artifacts:/0/r1/artifacts2
mlflow-artifacts:/0/r2/artifacts/model
mlflow-artifacts:/0/r1/artifacts/../../r2
mlflow-artifacts:/0/r1/artifacts/..%2f..%2fr2
mlflow-artifacts:/0/r1/artifacts%00
mlflow-artifacts://host/0/r1/artifacts/model
http://host/api/2.0/mlflow-artifacts/artifacts/0/r1
https://host/api/2.0/mlflow%2Dartifacts/artifacts/0/r1
https://host/elsewhere/model
http://host/a/../b
s3://bucket/0/r1/artifacts/model
s3://bucket/anything
s3://bucket
s3://bucket/
s3://bucket/a/./b
s3://bucket/a//b
s3://bucket/a/%2e%2e/b
s3:/bucket/a/../b
gs://bucket/model
/tmp/anmok-none/0/r1/artifacts/model
/tmp/anmok-none/0/r1/artifacts
/tmp/anmok-none/0/r1/artifacts/../../../etc
/tmp/anmok-none/0/r1/artifacts/%2e%2e/%2e%2e
/tmp/anmok-none/0/r1/artifacts2
file:///tmp/anmok-none/0/r1/artifacts/model
file:///tmp/anmok-none/0/r2
file://localhost/tmp/anmok-none/0/r1/artifacts/model
file:///etc/passwd
/etc/passwd
model
./model
"""

# Metrics, params and tags of one batch.
COUNTS = [[1000, 0, 0], [1001, 0, 0], [0, 100, 0], [0, 101, 0], [0, 0, 100], [0, 0, 101], [901, 50, 50], [900, 50, 50]]


def ask(parse, text):
    try:
        return parse(text)
    except MlflowException as error:
        return {"error": error.message}
    except Exception as error:  # MLflow answers these with INTERNAL_ERROR
        return {"crash": f"{type(error).__name__}: {error}"}


def clauses(text):
    found = SearchUtils.parse_search_filter(text)
    for clause in found:
        clause["comparator"] = clause["comparator"].upper()
        # As _get_sqlalchemy_filter_clauses does.
        key = clause["key"] = SearchUtils.translate_key_alias(clause["key"])
        kinds = [
            SearchUtils.is_attribute(clause["type"], key, clause["comparator"]),
            SearchUtils.is_metric(clause["type"], clause["comparator"]),
            SearchUtils.is_param(clause["type"], clause["comparator"]),
            SearchUtils.is_tag(clause["type"], clause["comparator"]),
            SearchUtils.is_dataset(clause["type"], clause["comparator"]),
        ]
        assert any(kinds)
        if clause["type"] == "metric":
            clause["value"] = float(clause["value"])
    return found


def order(text):
    kind, key, ascending = SearchUtils.parse_order_by_for_search_runs(text)
    return {"type": kind, "key": SearchUtils.translate_key_alias(key), "ascending": ascending}


def checked(parse, check):
    """Reads a filter as `parse` does, and lets `check` (the store) have its say."""

    def both(text):
        found = parse(text)
        for clause in found:
            clause["comparator"] = clause["comparator"].upper()
        check(found)
        return found

    return both


def logged_model_clauses(text):
    kinds = {"metrics": "metric", "params": "parameter", "tags": "tag", "attributes": "attribute"}
    return [
        {"type": kinds[clause.entity.type.value], "key": clause.entity.key, "comparator": clause.op, "value": clause.value}
        for clause in parse_filter_string(text)
    ]


def simple_order(parse, check=lambda text: None):
    def both(text):
        check(text)
        found = parse(text)
        return {"key": found[-2], "ascending": found[-1]}

    return both


def source_refusal(source, root, kind, owner):
    thing = types.SimpleNamespace(info=types.SimpleNamespace(artifact_uri=root), artifact_location=root)
    handlers._get_source_run = handlers._get_source_model = lambda owner, source: thing
    try:
        {"run": handlers._validate_source_run, "model": handlers._validate_source_model}[kind](source, owner)
        return None
    except MlflowException as error:
        return error.message


def host_refusal(uri, schemes, place):
    os.environ["MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES"] = schemes
    os.environ["_MLFLOW_SERVER_ARTIFACT_DESTINATION"] = place
    try:
        return refusal(handlers._validate_artifact_uri_scheme, uri, "source")
    finally:
        del os.environ["MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES"], os.environ["_MLFLOW_SERVER_ARTIFACT_DESTINATION"]


def location(text):
    handlers._validate_storage_location_uri(text, "artifact_location")


def endpoints():
    """The (method, path) pairs of the services, without those for language models."""
    other = re.compile("trace|scorer|gateway|assessment|issue|mcp|dataset|label|review|workspace|secret|prompt|demo|job|budget|guardrail", re.I)
    services = [
        service_pb2.DESCRIPTOR.services_by_name["MlflowService"],
        model_registry_pb2.DESCRIPTOR.services_by_name["ModelRegistryService"],
        mlflow_artifacts_pb2.DESCRIPTOR.services_by_name["MlflowArtifactsService"],
        webhooks_pb2.DESCRIPTOR.services_by_name["WebhookService"],
    ]
    found = set()
    for service in services:
        for method in service.methods:
            for endpoint in method.GetOptions().Extensions[service_pb2.databricks__pb2.rpc].endpoints:
                if other.search(endpoint.path) and not endpoint.path.endswith("search-datasets"):
                    continue
                for path in handlers._get_paths(endpoint.path, version=endpoint.since.major):
                    found.add((endpoint.method, path))
    return sorted(found)


def refusal(check, *arguments):
    try:
        check(*arguments)
        return None
    except MlflowException as error:
        return error.message


def batch(metrics, params, tags):
    metrics = [Metric(f"m{index}", 1.0, 1, 1) for index in range(metrics)]
    params = [Param(f"p{index}", "x") for index in range(params)]
    tags = [RunTag(f"t{index}", "x") for index in range(tags)]
    validation._validate_batch_log_limits(metrics, params, tags)


def lines(block):
    return [line for line in block.split("\n") if line.strip()]


def store_answers(folder):
    """What takes a real store to ask."""
    uri = f"sqlite:///{folder}/mlflow.db"
    tracking = SqlAlchemyStore(uri, folder)
    registry = Registry(uri)
    from mlflow.store.tracking.sqlalchemy_store import (
        _get_search_experiments_filter_clauses,
        _get_search_experiments_order_by_clauses,
    )

    experiment = checked(
        SearchExperimentsUtils.parse_search_filter, lambda found: _get_search_experiments_filter_clauses(found, "sqlite")
    )
    registered = checked(
        SearchModelUtils.parse_search_filter,
        lambda found: registry._get_search_registered_model_filter_query(None, found, "sqlite"),
    )
    version = checked(
        SearchModelVersionUtils.parse_search_filter,
        lambda found: registry._get_search_model_versions_filter_clauses(found, "sqlite"),
    )

    def logged(text):
        tracking.search_logged_models(["0"], text)
        return logged_model_clauses(text)

    experiment_order = simple_order(
        SearchExperimentsUtils.parse_order_by_for_search_experiments,
        lambda text: _get_search_experiments_order_by_clauses([text]),
    )
    registered_order = simple_order(SearchUtils.parse_order_by_for_search_registered_models)
    version_order = simple_order(
        SearchModelVersionUtils.parse_order_by_for_search_model_versions,
        lambda text: Registry._parse_search_model_versions_order_by([text]),
    )
    return {
        "experiment_filters": [[text, ask(experiment, text)] for text in lines(EXPERIMENT_FILTERS)],
        "experiment_orders": [[text, ask(experiment_order, text)] for text in lines(EXPERIMENT_ORDERS)],
        "registered_model_filters": [[text, ask(registered, text)] for text in lines(REGISTERED_MODEL_FILTERS)],
        "registered_model_orders": [[text, ask(registered_order, text)] for text in lines(REGISTERED_MODEL_ORDERS)],
        "model_version_filters": [[text, ask(version, text)] for text in lines(MODEL_VERSION_FILTERS)],
        "model_version_orders": [[text, ask(version_order, text)] for text in lines(MODEL_VERSION_ORDERS)],
        "logged_model_filters": [[text, ask(logged, text)] for text in lines(LOGGED_MODEL_FILTERS)],
    }


def new_alias(alias):
    validation._validate_model_alias_name(alias)
    validation._validate_model_alias_name_reserved(alias)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        stored = store_answers(folder)
    answers = {
        **stored,
        "model_names": [[name, refusal(validation._validate_model_name, name)] for name in MODEL_NAMES],
        "aliases": [[alias, refusal(validation._validate_model_alias_name, alias)] for alias in ALIASES],
        "new_aliases": [[alias, refusal(new_alias, alias)] for alias in ALIASES],
        "logged_model_names": [[name, refusal(validation._validate_logged_model_name, name)] for name in LOGGED_MODEL_NAMES],
        "versions": [[text, refusal(validation._validate_model_version, text)] for text in VERSIONS],
        "stages": [[text, refusal(get_canonical_stage, text)] for text in STAGES],
        "webhook_names": [[name, refusal(validation._validate_webhook_name, name)] for name in WEBHOOK_NAMES],
        "locations": [[text, refusal(location, text)] for text in LOCATIONS],
        "registry_tags": [
            [size, refusal(validation._validate_registered_model_tag, "k" * size[0], "v" * size[1])]
            for size in [[250, 100_000], [251, 1], [1, 100_001]]
        ],
        "sources": [
            [source, root, kind, owner, source_refusal(source, root, kind, owner)]
            for source in lines(SOURCES)
            for root in ROOTS
            for kind in ("run", "model")
            for owner in ("r1", "")
        ],
        "hosts": [[uri, *policy, host_refusal(uri, *policy)] for uri in lines(HOSTS) for policy in POLICIES],
        "endpoints": endpoints(),
        "filters": [[text, ask(clauses, text)] for text in lines(FILTERS)],
        "statuses": ERROR_CODE_TO_HTTP_STATUS,
        "limits": {
            **{name: value for name, value in vars(validation).items() if name.startswith("MAX_")},
            **{
                name: value
                for name, value in globals().items()
                if re.fullmatch("SEARCH_(REGISTERED_MODEL|MODEL_VERSION|LOGGED_MODEL)_MAX_RESULTS_(DEFAULT|THRESHOLD)", name)
            },
            "MAX_RESULTS_PER_RUN": handlers.MAX_RESULTS_PER_RUN,
            "MAX_RUNS_GET_METRIC_HISTORY_BULK": handlers.MAX_RUNS_GET_METRIC_HISTORY_BULK,
            "SEARCH_MAX_RESULTS_DEFAULT": SEARCH_MAX_RESULTS_DEFAULT,
            "SEARCH_MAX_RESULTS_THRESHOLD": SEARCH_MAX_RESULTS_THRESHOLD,
        },
        "metric_names": [[name, refusal(validation._validate_metric, name, 1.0, 1, 1)] for name in NAMES],
        "param_names": [[name, refusal(validation._validate_param, name, "x")] for name in NAMES],
        "tag_names": [[name, refusal(validation._validate_tag, name, "x", "tags[3]")] for name in NAMES],
        "run_ids": [[run_id, refusal(validation._validate_run_id, run_id)] for run_id in RUN_IDS],
        "counts": [[counts, refusal(batch, *counts)] for counts in COUNTS],
        "orders": [[text, ask(order, text)] for text in lines(ORDERS)],
    }
    print(json.dumps(answers, indent=0, ensure_ascii=False))
