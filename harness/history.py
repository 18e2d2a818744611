# SPDX-License-Identifier: Apache-2.0
"""Every run ever made here, in a database: SQLite for one machine, PostgreSQL for many."""

import contextlib
import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Optional, Tuple

import sqlalchemy as sql
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from harness.errors import ConfigError
from harness.records import METRICS

SCHEMA = 1
# For another process that is writing, or a server that does not answer; no add lasts as long.
WAIT_S = 30
WAIT: Mapping[str, Mapping[str, Any]] = {'pysqlite': {'timeout': WAIT_S},
                                         'psycopg2': {'connect_timeout': WAIT_S}}

RUNS = sql.Table(
    'runs', sql.MetaData(),
    sql.Column('run', sql.Text, primary_key=True),
    sql.Column('session', sql.Text, nullable=False),
    sql.Column('case', sql.Text, nullable=False),
    sql.Column('metric', sql.Text, nullable=False),
    sql.Column('unit', sql.Text, nullable=False),
    sql.Column('value', sql.Double),
    sql.Column('fault', sql.Text, nullable=False),
    sql.Column('commit', sql.Text, nullable=False),
    sql.Column('started_unix_s', sql.Double, nullable=False),   # a Float may drop the seconds
    sql.Column('wall_s', sql.Double, nullable=False),
    sql.Column('match', sql.Text, nullable=False),
    sql.Column('schema', sql.Integer, nullable=False),
    sql.Column('record', sql.Text, nullable=False))


@dataclass(frozen=True)
class Entry:
    """One run, as far as a series needs it; the rest is in its record."""

    run: str
    session: str
    case: str
    metric: str                # its name in records.METRICS
    unit: str
    value: Optional[float]     # in the unit; None: not measured
    fault: str                 # empty: a measurement
    commit: str
    started_unix_s: float
    wall_s: float
    match: str                 # digest of what a run may be compared with; -old, -new: of pairs

    def __post_init__(self):
        if self.metric not in METRICS:
            raise ConfigError(f'run {self.run}: unknown metric {self.metric!r}; '
                              f'one of: {", ".join(METRICS)}')
        if self.value is not None and not 0 < self.value < math.inf:
            raise ConfigError(f'run {self.run}: its value must be a positive number or none, '
                              f'not {self.value}')


COLUMNS = tuple(RUNS.c[field.name] for field in dataclasses.fields(Entry))


class History:
    """The runs of one database.  All methods raise ConfigError where it cannot be used."""

    def __init__(self, url: str):
        """Open the database that the URL names, and make its table where there is none."""
        self._url = _parsed(url)
        with self._trouble('open'):
            # The server may have been restarted since the last run: ask before each use.
            self._engine = sql.create_engine(self._url, pool_pre_ping=True, connect_args=dict(
                WAIT.get(self._url.get_driver_name(), {})))
        try:
            with self._trouble('open'):
                self._make_table()
                schemas = self._rows(sql.select(RUNS.c.schema).distinct())
            self._refuse_others({schema for schema, in schemas})
        except ConfigError:
            self.close()
            raise

    def __enter__(self) -> 'History':
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Give the connections back; the runs stay."""
        self._engine.dispose()

    def add(self, entry: Entry, record_json: str):
        """Keep a run, in a transaction of its own; the same run again changes nothing.

        Raises ConfigError where another record has the run's name.
        """
        row = {**dataclasses.asdict(entry), 'schema': SCHEMA, 'record': record_json}
        with self._trouble('add to'):
            try:
                # Nothing is read before: SQLite makes a writer wait, but refuses who first read.
                with self._engine.begin() as connection:
                    connection.execute(RUNS.insert().values(row))
                return
            except IntegrityError:
                kept = self._rows(_record_of(entry.run))
                if not kept:   # it was not the name that was refused
                    raise
        if kept[0][0] != record_json:
            raise ConfigError(f'the history {self} has another record of run {entry.run}: '
                              'it is kept; give one of the two another name')

    def entries(self, case: str = '') -> Tuple[Entry, ...]:
        """All runs, or those of a case, by the time of their start, then by name."""
        query = sql.select(*COLUMNS)
        with self._trouble('read'):
            rows = self._rows(query.where(RUNS.c.case == case) if case else query)
        # Sorted here, for databases do not agree on the order of text.
        return tuple(sorted((Entry(*row) for row in rows),
                            key=lambda entry: (entry.started_unix_s, entry.run)))

    def record(self, run: str) -> str:
        """The run.json of a run; raises ConfigError where there is no such run."""
        with self._trouble('read'):
            rows = self._rows(_record_of(run))
        if not rows:
            raise ConfigError(f'no run {run!r} in the history {self}: python -m harness history '
                              'shows which there are')
        return rows[0][0]

    def __str__(self) -> str:
        """The URL without its password, nor the query, where another may be."""
        return self._url.set(query={}).render_as_string(hide_password=True)

    def _make_table(self):
        try:
            RUNS.metadata.create_all(self._engine)
        except DBAPIError:
            # Another process may have made it after we had looked.
            if not sql.inspect(self._engine).has_table(RUNS.name):
                raise

    def _refuse_others(self, schemas):
        if schemas - {SCHEMA}:
            raise ConfigError(
                f'the history {self} holds runs of schema '
                f'{", ".join(map(str, sorted(schemas - {SCHEMA})))}, this harness reads {SCHEMA}: '
                'use the harness that wrote them, or name another history')

    def _rows(self, query) -> list:
        with self._engine.connect() as connection:
            return list(connection.execute(query))

    @contextlib.contextmanager
    def _trouble(self, doing: str) -> Iterator[None]:
        """Turn what a database or its driver says into one line without secrets.

        ImportError: the URL's driver is not installed.  ValueError: text that it cannot keep.
        """
        try:
            yield
        except (SQLAlchemyError, ImportError, ValueError) as e:
            said = ' '.join(str(getattr(e, 'orig', None) or e).split())
            for secret in _secrets(self._url):
                said = said.replace(secret, '***')
            raise ConfigError(f'cannot {doing} the history {self}: {said}; see that it is there, '
                              'whole and ours to write, or name another') from None


def _parsed(url: str) -> sql.engine.URL:
    try:
        return sql.engine.make_url(url)
    except (SQLAlchemyError, ValueError):
        # What was given may hold a password, and where cannot be said: it is not repeated.
        raise ConfigError('the history\'s URL is none of a database: write it like '
                          'sqlite:///reports/history.db or postgresql://user@host/name') from None


def _record_of(run: str):
    return sql.select(RUNS.c.record).where(RUNS.c.run == run)


def _secrets(url: sql.engine.URL) -> Tuple[str, ...]:
    found = (url.password, *(value for name, value in url.query.items() if 'pass' in name))
    return tuple(str(secret) for secret in found if secret)
