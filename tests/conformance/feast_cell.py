"""What a data scientist runs in a notebook with the configuration "Allow access to Feast"; prints JSON.

Usage: `feast_cell.py define|read`. It runs in Feast's own environment, and knows nothing of the tests.
"""
# pyright: reportMissingImports=false

import datetime
import json
import sys
from pathlib import Path

import pandas
import psycopg
import yaml
from feast import Entity, FeatureStore, FeatureView, Field
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.types import Float64, Int64

NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
DRIVERS = pandas.DataFrame(
    {"driver_id": [1, 2], "event_timestamp": [NOW, NOW], "trips": [7, 9], "rating": [4.5, 3.25]}
)


def fill() -> None:
    """Write the table from which features come, with the account of the offline store."""
    said = yaml.safe_load(Path(sys.argv[2]).read_text())["offline_store"]
    keys = {"host": "host", "port": "port", "dbname": "database", "user": "user", "password": "password"}
    with psycopg.connect(**{key: said[name] for key, name in keys.items()}) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS drivers "
            "(driver_id BIGINT, event_timestamp TIMESTAMPTZ, trips BIGINT, rating DOUBLE PRECISION)"
        )
        connection.execute("TRUNCATE drivers")
        for row in DRIVERS.itertuples(index=False):
            connection.execute("INSERT INTO drivers VALUES (%s, %s, %s, %s)", tuple(map(_plain, row)))


def _plain(value):
    return (
        value.to_pydatetime()
        if isinstance(value, pandas.Timestamp)
        else value.item()
        if hasattr(value, "item")
        else value
    )


def define(store: FeatureStore) -> None:
    """Define the features, and bring them into the online store."""
    driver = Entity(name="driver", join_keys=["driver_id"])
    source = PostgreSQLSource(
        name="drivers", query="SELECT * FROM drivers", timestamp_field="event_timestamp"
    )
    view = FeatureView(
        name="driver_stats",
        entities=[driver],
        ttl=datetime.timedelta(days=3650),
        schema=[Field(name="trips", dtype=Int64), Field(name="rating", dtype=Float64)],
        source=source,
    )
    store.apply([driver, source, view])
    store.materialize(NOW - datetime.timedelta(days=1), NOW + datetime.timedelta(days=1))


def read(store: FeatureStore) -> dict:
    """Return features as a model would read them."""
    rows = [{"driver_id": 1}, {"driver_id": 2}]
    names = ["driver_stats:trips", "driver_stats:rating"]
    return store.get_online_features(features=names, entity_rows=rows).to_dict()


if __name__ == "__main__":
    store = FeatureStore()
    if sys.argv[1] == "define":
        fill()
        define(store)
        store.refresh_registry()  # what it has read is kept for a minute
    print(json.dumps(read(store)))
