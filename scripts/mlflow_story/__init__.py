"""What a user of MLflow does to a tracking server, told with MLflow's own Python client.

    PYTHONPATH=scripts python -m mlflow_story http://127.0.0.1:5000 --out answers.json

- `recorder`: runs a step and keeps what the client gave back and what went over the wire
- `placeholders`: puts names in the place of what differs from run to run: ids, times, tokens
- `runs`, `searches`, `artifacts`, `models`, `registry`, `mistakes`: the chapters, in this order
"""
