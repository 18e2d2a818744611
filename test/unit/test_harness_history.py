# SPDX-License-Identifier: Apache-2.0
"""The history of all runs: the same behaviour of SQLite and of a real PostgreSQL server."""

import dataclasses
import glob
import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sql

from harness.errors import ConfigError
from harness.history import RUNS, Entry, History

ROOT = Path(__file__).resolve().parents[2]
ENTRY = Entry('s-performance-1', 's', 'performance', 'images_per_s', 'images/s', 32.125, '',
              '0123456789ab', 1767322800.625, 61.5, 'abcdef')
RECORD = '{"schema": 2, "session": "s"}\n'
DEADLINE_S = 120


def entry(**changes):
    return dataclasses.replace(ENTRY, **changes)


def postgres_program(name):
    """The newest of Debian's, which are not on PATH, or what is on it; None: not installed."""
    found = glob.glob(f'/usr/lib/postgresql/*/bin/{name}')
    return max(found, key=lambda p: float(p.split('/')[4])) if found else shutil.which(name)


def as_server(folder, *argv):
    """Run one of PostgreSQL's programs, as an ordinary user: the server refuses root."""
    if os.geteuid() == 0:
        argv = ('setpriv', '--reuid', 'postgres', '--regid', 'postgres', '--clear-groups', *argv)
    # To a file, not a pipe: the server that pg_ctl leaves behind would hold a pipe open.
    with open(os.path.join(folder, 'output.log'), 'a+') as log:
        done = subprocess.run(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=log,
                              stderr=subprocess.STDOUT, timeout=DEADLINE_S)
        log.seek(0)
        assert done.returncode == 0, log.read()


@pytest.fixture(scope='module')
def postgres():
    """The URL of a server of our own, on a socket in a folder of its own."""
    initdb, pg_ctl = postgres_program('initdb'), postgres_program('pg_ctl')
    if not (initdb and pg_ctl):
        pytest.skip('PostgreSQL is not installed: apt-get install postgresql')
    # Not tmp_path: its parents are closed to other users, and a socket's path must be short.
    folder = tempfile.mkdtemp(prefix='rcan-pg-', dir='/tmp')
    data = os.path.join(folder, 'data')
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, 'postgres', 'postgres')
        as_server(folder, initdb, '-D', data, '-U', 'tester', '-A', 'trust', '-E', 'UTF8',
                  '--locale=C', '--no-sync')
        as_server(folder, pg_ctl, '-D', data, '-w', '-l', os.path.join(folder, 'server.log'),
                  '-o', f"-k {folder} -c listen_addresses='' -F", 'start')
        yield f'postgresql://tester@/{{}}?host={folder}'
    finally:
        if os.path.exists(os.path.join(data, 'postmaster.pid')):
            as_server(folder, pg_ctl, '-D', data, '-m', 'immediate', '-w', 'stop')
        shutil.rmtree(folder)


NUMBERS = itertools.count()


@pytest.fixture(params=['sqlite', 'postgresql'])
def url(request, tmp_path):
    """An empty database of each kind."""
    if request.param == 'sqlite':
        return f'sqlite:///{tmp_path}/history.db'
    server, name = request.getfixturevalue('postgres'), f'test{next(NUMBERS)}'
    run_sql(server.format('postgres'), f'CREATE DATABASE {name}')
    return server.format(name)


@pytest.fixture
def history(url):
    with History(url) as opened:
        yield opened


def run_sql(url, *statements):
    """Do what no History does, each at once."""
    engine = sql.create_engine(url, isolation_level='AUTOCOMMIT')
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(sql.text(statement))
    engine.dispose()


def complaint(do):
    """What a ConfigError says: always one line."""
    with pytest.raises(ConfigError) as raised:
        do()
    text = str(raised.value)
    assert '\n' not in text
    return text


# What it keeps.

def test_a_run_comes_out_as_it_went_in(history):
    failed = entry(run='s-full-1', case='full', metric='psnr_db', unit='dB', value=None,
                   fault='exit status 1: naïve 模型', started_unix_s=1767322900.0)
    history.add(ENTRY, RECORD)
    history.add(failed, '{"schema": 2}')
    assert history.entries() == (ENTRY, failed)
    assert (history.record(ENTRY.run), history.record(failed.run)) == (RECORD, '{"schema": 2}')


def test_the_runs_stay_when_the_history_is_closed(url):
    with History(url) as opened:
        opened.add(ENTRY, RECORD)
    with History(url) as opened:
        assert opened.entries() == (ENTRY,)


def test_an_empty_history_has_no_entries(history):
    assert history.entries() == ()


def test_entries_come_by_time_then_by_name(history):
    made = [entry(run=run, started_unix_s=at) for run, at in
            (('b', 2.5), ('a', 2.5), ('B', 2.5), ('c', 1.25), ('a-1', 2.5))]
    for e in made:
        history.add(e, RECORD)
    assert [e.run for e in history.entries()] == ['c', 'B', 'a', 'a-1', 'b']


def test_the_entries_of_one_case_are_no_others(history):
    for run, case in (('1', 'performance'), ('2', 'full'), ('3', 'performance')):
        history.add(entry(run=run, case=case), RECORD)
    assert [e.run for e in history.entries('performance')] == ['1', '3']
    assert history.entries("x' OR '1'='1") == ()


def test_entries_come_without_their_records_which_are_long(history):
    history.add(ENTRY, RECORD)
    said = []
    sql.event.listen(history._engine, 'before_cursor_execute', lambda *call: said.append(call[2]))
    assert history.entries() == (ENTRY,)
    assert 'SELECT' in said[0] and 'record' not in ''.join(said)


def test_the_same_run_again_changes_nothing(history, url):
    history.add(ENTRY, RECORD)
    with History(url) as other:
        other.add(ENTRY, RECORD)
    history.add(entry(value=99.0), RECORD)
    assert history.entries() == (ENTRY,)


def test_another_record_of_the_same_run_is_refused_and_the_first_is_kept(history):
    history.add(ENTRY, RECORD)
    said = complaint(lambda: history.add(entry(value=99.0), '{"schema": 2, "session": "t"}'))
    assert f'another record of run {ENTRY.run}' in said
    assert (history.entries(), history.record(ENTRY.run)) == ((ENTRY,), RECORD)


def test_a_run_that_is_not_there_is_named(history):
    assert "no run 'nobody'" in complaint(lambda: history.record('nobody'))


def test_a_long_record_is_kept_whole(history):
    record = '{"losses": [' + '4.5, ' * 200000 + '4.5]}'
    history.add(ENTRY, record)
    assert history.record(ENTRY.run) == record


ADD_MANY = '''
import dataclasses, os, sys, time
sys.path[:0] = sys.argv[4:]
from test_harness_history import ENTRY, RECORD
from harness.history import History
url, name, go = sys.argv[1:4]
open(name + '.ready', 'w').close()
while not os.path.exists(go):
    time.sleep(0.001)
with History(url) as history:
    for i in range(40):
        history.add(dataclasses.replace(ENTRY, run=os.path.basename(name) + str(i)), RECORD)
        history.add(dataclasses.replace(ENTRY, run='both' + str(i)), RECORD)
'''


def wait_for(path):
    deadline = time.monotonic() + DEADLINE_S
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.01)


def test_processes_that_open_and_add_at_once_all_succeed(url, tmp_path):
    go, names = tmp_path / 'go', ('a', 'b', 'c')
    folders = [str(Path(__file__).parent), str(ROOT)]
    adding = [subprocess.Popen(
        [sys.executable, '-c', ADD_MANY, url, str(tmp_path / name), str(go), *folders],
        stderr=subprocess.PIPE) for name in names]
    for name in names:
        wait_for(tmp_path / f'{name}.ready')
    go.touch()   # all find an empty database
    said = [process.communicate(timeout=DEADLINE_S)[1].decode() for process in adding]
    assert said == ['', '', '']
    with History(url) as history:
        assert {e.run for e in history.entries()} == {
            f'{name}{i}' for name in (*names, 'both') for i in range(40)}


def test_a_table_that_another_process_makes_after_the_look_is_used(url, monkeypatch):
    make = RUNS.metadata.create_all

    def make_late(engine):
        make(engine)
        make(engine, checkfirst=False)   # fails, as ours would

    monkeypatch.setattr(RUNS.metadata, 'create_all', make_late)
    with History(url) as opened:
        assert opened.entries() == ()


# What it refuses.

def test_a_table_of_another_schema_is_refused(url):
    with History(url) as opened:
        opened.add(ENTRY, RECORD)
    run_sql(url, 'UPDATE runs SET schema = 7')
    said = complaint(lambda: History(url))
    assert 'runs of schema 7, this harness reads 1' in said


def test_a_table_of_something_else_is_refused(url):
    run_sql(url, 'CREATE TABLE runs (marathon TEXT)')
    assert 'cannot open the history' in complaint(lambda: History(url))


def test_a_table_that_is_gone_is_named(history):
    run_sql(history._url, 'DROP TABLE runs')
    assert 'cannot read the history' in complaint(history.entries)
    assert 'cannot read the history' in complaint(lambda: history.record('x'))
    assert 'cannot add to the history' in complaint(lambda: history.add(ENTRY, RECORD))


def test_text_that_a_database_cannot_keep_is_refused(history):
    said = complaint(lambda: history.add(entry(fault='\udcff'), RECORD))
    assert 'cannot add to the history' in said


def test_what_is_missing_is_not_taken_for_a_run_that_is_there(history):
    said = complaint(lambda: history.add(entry(unit=None), RECORD))
    assert 'cannot add to the history' in said
    assert history.entries() == ()


@pytest.mark.parametrize('changes, words', [
    ({'metric': 'beauty'}, "unknown metric 'beauty'"),
    ({'value': float('nan')}, 'not nan'), ({'value': float('inf')}, 'not inf'),
    ({'value': 0.0}, 'not 0.0'), ({'value': -1.0}, 'not -1.0')])
def test_an_entry_that_makes_no_sense_cannot_be_made(changes, words):
    said = complaint(lambda: entry(**changes))
    assert words in said
    assert ENTRY.run in said


@pytest.mark.parametrize('url', ['', 'history.db', 'postgresql://u:secret@host:port/x',
                                 'u:secret@host'])
def test_a_text_that_is_no_url_is_refused_and_not_repeated(url):
    said = complaint(lambda: History(url))
    assert 'write it like sqlite:///' in said
    assert 'secret' not in said


@pytest.mark.parametrize('url', [
    'nosuch://u:secret@host/x', 'oracle+nosuch://u:secret@host/x',
    'postgresql://u:secret@localhost:1/x', 'postgresql://u@localhost:1/x?password=secret',
    'postgresql://u:secret@localhost:1/x?nosuch=secret',
    'mssql+pymssql://u:secret@host/x', 'sqlite://u:secret@host/x'])
def test_a_database_that_cannot_be_used_is_named_without_its_password(url):
    said = complaint(lambda: History(url))
    assert 'cannot open the history ' + url.split(':')[0] in said
    assert 'secret' not in said


def test_a_password_that_the_driver_repeats_is_not_shown():
    said = complaint(lambda: History('postgresql://u:secret@localhost:1/x?sslmode=secret'))
    assert 'secret' not in said
    assert '***' in said


def test_the_history_is_shown_without_password_and_query(tmp_path):
    with History(f'sqlite:///{tmp_path}/x.db?timeout=5') as opened:
        assert str(opened) == f'sqlite:///{tmp_path}/x.db'


# What only a file can suffer.

def sqlite_path(tmp_path):
    """A history with so many runs that it has more than one page."""
    path = tmp_path / 'history.db'
    with History(f'sqlite:///{path}') as opened:
        for i in range(50):
            opened.add(entry(run=str(i)), RECORD * 20)
    return path


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path):
    path = tmp_path / 'history.db'
    path.write_bytes(b'not a database at all' * 500)
    said = complaint(lambda: History(f'sqlite:///{path}'))
    assert f'cannot open the history sqlite:///{path}: file is not a database' in said
    assert path.read_bytes().startswith(b'not a database')


def test_a_file_that_is_damaged_inside_is_named(tmp_path):
    path = sqlite_path(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b'\xff' * (len(whole) - 4096))

    def read():
        with History(f'sqlite:///{path}') as opened:
            opened.entries()
    assert 'malformed' in complaint(read)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    said = complaint(lambda: History(f'sqlite:///{tmp_path}/no/such/history.db'))
    assert f'{tmp_path}/no/such/history.db' in said


def test_an_add_waits_for_who_writes_longer_than_sqlite_would_by_itself(tmp_path):
    path = sqlite_path(tmp_path)
    writer = sqlite3.connect(str(path), isolation_level=None, check_same_thread=False)
    writer.execute('BEGIN IMMEDIATE')
    release = threading.Timer(6, writer.execute, ['COMMIT'])   # sqlite3 itself gives up after 5 s
    release.start()
    with History(f'sqlite:///{path}') as opened:
        opened.add(entry(run='late'), RECORD)
        assert 'late' in {e.run for e in opened.entries()}
    release.join()
    writer.close()
