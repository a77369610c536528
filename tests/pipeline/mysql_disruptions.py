"""Disruptions of a warehouse in MySQL, and of the buckets before it."""

from collections.abc import Iterator

import pymysql

from local.mysql import MysqlServer, run_sql
from tests.pipeline import ground
from tests.pipeline.scene import Condition, Disruption, Scene
from tests.pipeline.warehouse_disruptions import empty_buckets

CONSTRAINTS = {
    "dim_design": "design_id",
    "dim_staff": "staff_id",
    "fact_sales_order": "sales_order_id",
    "fact_payment": "payment_id",
}
"""The tables that come to refuse new keys, so that others refer to rows that are not there."""
VIOLATED = {3819, 4025}  # by a row that is there, in MySQL and in MariaDB


def stop_server(scene: Scene) -> Iterator[Condition]:
    """Stop the server in order, and start it when some functions have missed it."""
    server = _server(scene)
    server.stop()
    yield scene.failing(times=2)
    server.start()
    yield scene.after(load=1)


def kill_server(scene: Scene) -> Iterator[Condition]:
    """Kill the server, which recovers when it starts."""
    server = _server(scene)
    server.kill()
    server.start()
    yield scene.after(load=1)


def restore_server(scene: Scene) -> Iterator[Condition]:
    """Go back to an earlier copy of the data folder: the same server, an earlier state."""
    server = _server(scene)
    with ground.volume_snapshot(server) as snapshot:
        yield scene.after(load=2)
        ground.restore(server, snapshot)


def refuse_new_keys(scene: Scene) -> Iterator[Condition]:
    """Let the warehouse refuse new rows, and then take them."""
    scene.refused = True
    url = scene.place.warehouse.superuser_url
    refusing = [table for table, key in CONSTRAINTS.items() if _refuses(url, table, key)]
    yield scene.after(load=3)
    for table in refusing:
        run_sql(url, f"ALTER TABLE {table} DROP CONSTRAINT refused_{table}")
    yield scene.after(load=1)


def _refuses(url: str, table: str, key: str) -> bool:
    """Refuse new keys; return False where one came in between."""
    [[greatest]] = run_sql(url, f"SELECT coalesce(max({key}), 0) FROM {table}")
    try:
        run_sql(
            url, f"ALTER TABLE {table} ADD CONSTRAINT refused_{table} CHECK ({key} <= {greatest})"
        )
    except pymysql.err.OperationalError as error:
        if error.args[0] not in VIOLATED:
            raise
        return False
    return True


def _server(scene: Scene) -> MysqlServer:
    server = scene.place.servers.warehouse
    assert isinstance(server, MysqlServer)
    return server


MYSQL_DISRUPTIONS: dict[str, Disruption] = {
    "server stopped": stop_server,
    "server killed": kill_server,
    "server restored": restore_server,
    "new keys refused": refuse_new_keys,
    "buckets emptied": empty_buckets,
}
