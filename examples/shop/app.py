"""A shop that says hello: the app of `make demo-dploy` and of docs/tutorial-dploy.md."""

import os

from flask import Flask

app = Flask(__name__)


@app.get("/")
def hello() -> str:
    greeting = os.environ.get("GREETING", "hello")
    return f"{greeting} from {os.environ['PS']} of {os.environ['RELEASE_VERSION']}\n"
