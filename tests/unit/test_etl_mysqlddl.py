"""The SQL that creates a MySQL warehouse, compared whole, and what is said where none works."""

from pathlib import Path

import pytest

from etl import (
    Array,
    BigInteger,
    Boolean,
    Bytes,
    Calendar,
    Column,
    Date,
    DeclarationError,
    Double,
    Integer,
    Interval,
    IsoDate,
    Json,
    MysqlWarehouse,
    Numeric,
    Other,
    Point,
    Real,
    SmallInteger,
    Table,
    Text,
    Time,
    Timestamp,
    UnixTime,
    Uuid,
    View,
    history,
    latest,
    replace,
)
from etl.mysqlddl import MARIADB_COLLATION, create_schema, create_views, mysql, sql_type

VISIT = Table(
    "Visit `x` 1",
    key=("place", "at"),
    columns={"place": Text(), "at": Timestamp(), "Grund: 100 %": Text(nullable=True)},
)
OPTIONS = "ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin;"


def test_each_way_has_the_table_that_it_needs() -> None:
    """A history numbers its records and finds those of a key; the others have a primary key."""
    tables = (latest(VISIT), history(VISIT, name="visits", schema="past"))

    made = mysql(MysqlWarehouse("warehouse", tables, Calendar("days")), "my stars")

    assert list(made.values()) == [
        f"""CREATE TABLE `my stars`.`days` (
    `date_id` date NOT NULL,
    `year` int NOT NULL,
    `month` int NOT NULL,
    `day` int NOT NULL,
    `day_of_week` int NOT NULL,
    `day_name` varchar(16) NOT NULL,
    `month_name` varchar(16) NOT NULL,
    `quarter` int NOT NULL,
    PRIMARY KEY (`date_id`)
) {OPTIONS}""",
        f"""CREATE TABLE `my stars`.`Visit ``x`` 1` (
    `place` varchar(255) NOT NULL,
    `at` datetime(6) NOT NULL,
    `Grund: 100 %` longtext NULL,
    PRIMARY KEY (`place`, `at`)
) {OPTIONS}""",
        f"""CREATE TABLE `past`.`visits` (
    `visits_record_id` bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `place` varchar(255) NOT NULL,
    `at` datetime(6) NOT NULL,
    `Grund: 100 %` longtext NULL,
    KEY (`place`, `at`, `visits_record_id`)
) {OPTIONS}""",
    ]


def test_lines_need_no_key_and_mariadb_has_another_collation() -> None:
    """A table that equals a snapshot has no primary key without columns that tell lines apart."""

    @replace(name="line", columns={"word": Text(nullable=True)})
    def line(thing: object) -> object:
        return thing

    made = mysql(MysqlWarehouse("warehouse", (line,)), "d", collation=MARIADB_COLLATION)

    assert made["line"] == (
        "CREATE TABLE `d`.`line` (\n    `word` longtext NULL\n) ENGINE=InnoDB"
        " DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;"
    )


@pytest.mark.parametrize(
    ("column", "kind", "in_key"),
    [
        (SmallInteger(), "smallint", "smallint"),
        (Integer(), "int", "int"),
        (BigInteger(), "bigint", "bigint"),
        (Numeric(10, 2), "decimal(10,2)", "decimal(10,2)"),
        (Numeric(65, 30), "decimal(65,30)", "decimal(65,30)"),
        (Numeric(), "decimal(65,30)", "decimal(65,30)"),
        (Real(), "float", "float"),
        (Double(), "double", "double"),
        (Boolean(), "tinyint(1)", "tinyint(1)"),
        (Date(), "date", "date"),
        (IsoDate(), "date", "date"),
        (Time(), "time(6)", "time(6)"),
        (Time(timezone=True), "varchar(32)", "varchar(32)"),
        (Timestamp(), "datetime(6)", "datetime(6)"),
        (Timestamp(timezone=True), "datetime(6)", "datetime(6)"),
        (UnixTime(), "datetime(6)", "datetime(6)"),
        (Uuid(), "char(36)", "char(36)"),
        (Json(), "json", "json"),
        (Json(binary=True), "json", "json"),
        (Point(), "point", "point"),
        (Bytes(), "longblob", "varbinary(255)"),
        (Text(), "longtext", "varchar(255)"),
        (Interval(), "longtext", "varchar(255)"),
        (Array(Integer()), "longtext", "varchar(255)"),
        (Other("citext"), "longtext", "varchar(255)"),
    ],
)
def test_each_declared_type_has_one_of_mysql(column: Column, kind: str, in_key: str) -> None:
    """A type that MySQL lacks is stored as text; in a key texts have a length."""
    assert (sql_type(column), sql_type(column, 255)) == (kind, in_key)


@pytest.mark.parametrize("column", [Numeric(66, 2), Numeric(40, 31), Numeric(3, 5), Numeric(3, -1)])
def test_a_number_that_no_decimal_holds_is_refused(column: Numeric) -> None:
    """It is one clear line, not a rounded amount."""
    with pytest.raises(DeclarationError, match="has no type in MySQL, whose decimals have 65 dig"):
        sql_type(column)


def test_a_key_of_many_texts_has_an_index_still() -> None:
    """The lengths of its texts together stay below InnoDB's 3,072 bytes."""
    table = Table("t", key=("a", "b", "c", "d"), columns=dict.fromkeys("abcd", Text()))
    sql = mysql(MysqlWarehouse("warehouse", (latest(table),)), "d")["t"]
    assert sql.count("varchar(185) NOT NULL") == 4
    assert 4 * 4 * 185 < 3072


def test_tables_come_from_a_file_in_the_databases_that_are_declared(tmp_path: Path) -> None:
    """Its names are quoted as MySQL does it, and its own options stay."""
    (tmp_path / "warehouse.sql").write_text(
        "-- ours\nCREATE TABLE `Visit ``x`` 1` (\n    place varchar(9) REFERENCES `other` (n)\n)"
        " ENGINE=InnoDB COMMENT 'x';\n\nCREATE TABLE other (\n    n int\n);\n"
    )
    other = latest(Table("other", key="n", columns={"n": Integer()}), schema="two")
    target = MysqlWarehouse("warehouse", (latest(VISIT), other), ddl="warehouse.sql")

    assert mysql(target, "one", tmp_path) == {
        "Visit `x` 1": "CREATE TABLE `one`.`Visit ``x`` 1` (\n    place varchar(9) REFERENCES"
        " `two`.`other` (n)\n) ENGINE=InnoDB COMMENT 'x';",
        "other": "CREATE TABLE `two`.other (\n    n int\n);",
    }


def test_views_and_databases_are_created_for_who_does_it_by_hand(tmp_path: Path) -> None:
    """A view finds the tables of the warehouse's own database without saying so."""
    target = MysqlWarehouse("warehouse", (), views=(View("v", "SELECT 1 AS `a:b`"),))

    assert create_schema("a`b") == "CREATE DATABASE IF NOT EXISTS `a``b` CHARACTER SET utf8mb4;"
    assert create_views(target, "d", tmp_path) == {
        "v": "USE `d`;\nCREATE OR REPLACE VIEW `d`.`v` AS\nSELECT 1 AS `a:b`\n;"
    }
