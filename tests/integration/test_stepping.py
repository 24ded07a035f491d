"""The stepper itself: it sees what goes wrong between two transactions."""

from collections.abc import Iterator

import psycopg
import pytest
from stepping import Stepper, Work

from songswap.warehouse.retry import retried

FIRST, SECOND = 0, 1


@pytest.fixture
def stepper(warehouse_dsn: str) -> Iterator[Stepper]:
    with psycopg.connect(warehouse_dsn) as connection:
        connection.execute("CREATE TABLE counter (n integer, value integer)")
        connection.execute("INSERT INTO counter VALUES (1, 0), (2, 0)")
    stepper = Stepper(warehouse_dsn)
    yield stepper
    stepper.close()


def values(dsn: str) -> list[int]:
    with psycopg.connect(dsn) as connection:
        return [value for (value,) in connection.execute("SELECT value FROM counter ORDER BY n")]


def read_and_write(connection: psycopg.Connection) -> None:
    """Count up as it should not be done."""
    with connection.transaction():
        row = connection.execute("SELECT value FROM counter WHERE n = 1").fetchone()
        assert row
        connection.execute("UPDATE counter SET value = %s WHERE n = 1", [row[0] + 1])


@retried
def count_up(connection: psycopg.Connection, *numbers: int) -> None:
    """Count up rows one by one, which locks them in this order."""
    with connection.transaction():
        for number in numbers:
            connection.execute("UPDATE counter SET value = value + 1 WHERE n = %s", [number])


def counting_up(*numbers: int) -> Work:
    return lambda connection: count_up(connection, *numbers)


@pytest.mark.parametrize(("turns", "expected"), [([FIRST] * 3, 2), ([FIRST, SECOND], 1)])
def test_lost_update_is_lost_in_the_order_that_loses_it(
    stepper: Stepper, warehouse_dsn: str, turns: list[int], expected: int
) -> None:
    """And not in one after the other."""
    stepper.run((read_and_write, read_and_write), turns)
    assert values(warehouse_dsn)[0] == expected


def test_one_that_waits_lets_the_other_go_on(stepper: Stepper, warehouse_dsn: str) -> None:
    done = stepper.run((counting_up(1), counting_up(1)), [FIRST, SECOND, SECOND])
    update = "UPDATE counter SET value = value + 1 WHERE n = %s"
    assert done.steps == [
        f"first: {update}",
        f"second: {update}",
        "second: waits for the first",
        "first: COMMIT",
        "second: COMMIT",
    ]
    assert not done.errors
    assert values(warehouse_dsn)[0] == 2


def test_deadlock_is_seen_although_it_is_retried(stepper: Stepper, warehouse_dsn: str) -> None:
    done = stepper.run((counting_up(1, 2), counting_up(2, 1)), [FIRST, SECOND])
    assert done.errors == ["40P01"]
    assert values(warehouse_dsn) == [2, 2]


def test_error_of_work_is_raised_with_the_steps(stepper: Stepper) -> None:
    def copy_twice(connection: psycopg.Connection) -> None:
        with connection.transaction(), connection.cursor() as cursor:
            with cursor.copy("COPY counter (n) FROM STDIN") as copy:
                copy.write_row([3])
            cursor.execute("SELECT 1 / 0")

    with pytest.raises(psycopg.errors.DivisionByZero) as error:
        stepper.run((copy_twice, counting_up(1)), [FIRST, SECOND])
    assert error.value.__notes__ == [
        "first: COPY counter (n) FROM STDIN\n"
        "second: UPDATE counter SET value = value + 1 WHERE n = %s\n"
        "first: SELECT 1 / 0\n"
        "second: COMMIT"
    ]
