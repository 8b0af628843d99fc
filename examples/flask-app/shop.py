"""A small shop: a page with its version, a health URL, and a database that `flask --app shop migrate` brings up to date.

DATABASE_URL names the database: SQLite (`sqlite:///shop.db`) or PostgreSQL (`postgresql+psycopg2://…`).
"""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask
from sqlalchemy import Engine, create_engine, text

VERSION = (Path(__file__).parent / "VERSION").read_text().strip()

#: in their order. The version that runs has to work with the database of the next one, so nothing is taken away at once
MIGRATIONS = {
    "visits": "CREATE TABLE visits (page VARCHAR(80) PRIMARY KEY, count INTEGER NOT NULL)",
    "home": "INSERT INTO visits VALUES ('home', 0)",
}

app = Flask(__name__)
_engines: list[Engine] = []


def engine() -> Engine:
    """The database, connected when it is first needed."""
    if not _engines:
        _engines.append(create_engine(os.environ["DATABASE_URL"], pool_pre_ping=True))
    return _engines[0]


@app.get("/")
def home() -> str:
    """The page."""
    with engine().begin() as connection:
        connection.execute(text("UPDATE visits SET count = count + 1 WHERE page = 'home'"))
        count = connection.execute(text("SELECT count FROM visits WHERE page = 'home'")).scalar_one()
    return f"Shop {VERSION}, visit {count}\n"


@app.get("/health")
def health() -> tuple[str, int]:
    """Whether this version works with the database as it is."""
    try:
        with engine().connect() as connection:
            connection.execute(text("SELECT page, count FROM visits LIMIT 1"))
    except Exception as error:
        return f"Shop {VERSION} is ill: {error}\n", 503
    return f"Shop {VERSION} is well\n", 200


@app.cli.command("migrate")
def migrate() -> None:
    """Bring the database up to date; what it has already stays."""
    with engine().begin() as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS migrations (name VARCHAR(80) PRIMARY KEY)"))
        done = set(connection.execute(text("SELECT name FROM migrations")).scalars())
        for name, statement in MIGRATIONS.items():
            if name not in done:
                connection.execute(text(statement))
                connection.execute(text("INSERT INTO migrations VALUES (:name)"), {"name": name})
                print(f"migrated: {name}")
    print("the database is up to date")
