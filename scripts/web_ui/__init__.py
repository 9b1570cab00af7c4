"""MLflow's web UI in a real browser: what is put on a server for it to show, and the walk through its pages."""
