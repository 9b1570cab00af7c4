"""Asks MLflow itself what it answers, for `mlflow_search.rs` and `mlflow_rules.rs`.

    pip install mlflow-skinny==3.17.2 sqlalchemy && python mlflow_answers.py > mlflow_answers.json
"""

import json

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import ERROR_CODE_TO_HTTP_STATUS, MlflowException
from mlflow.store.tracking import SEARCH_MAX_RESULTS_DEFAULT, SEARCH_MAX_RESULTS_THRESHOLD
from mlflow.utils import validation
from mlflow.utils.search_utils import SearchUtils

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

NAMES = [
    "loss", "val/acc", "a b", "a:b", "a.b-c_d", "한글", "Ünïcode", "x²", "٣", "a" * 250, "a" * 251, "한" * 250, "한" * 251,
    "", ".", "..", "...", "..a", "a/..", "a/../b", "a//b", "/a", "//a", "///a", "a/", "./a", "a/./b", "../../b", "a/../..", "/..",
    "a*b", "a\\b", "a#b", "a\"b", "a'b", "a\nb", "a\tb", "😀", "a\u00a0b", "a\u200bb", "\u0000",
]

RUN_IDS = ["0", "a", "A-b_c", "-a", "_a", "", "a b", "a" * 256, "a" * 257, "한a", "a한", "a/b", "a.b"]

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


if __name__ == "__main__":
    answers = {
        "filters": [[text, ask(clauses, text)] for text in lines(FILTERS)],
        "statuses": ERROR_CODE_TO_HTTP_STATUS,
        "limits": {
            **{name: value for name, value in vars(validation).items() if name.startswith("MAX_")},
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
