# SPDX-License-Identifier: Apache-2.0
"""Which of CANN's own logs is of a run, and its last errors."""

import os

import pytest

from harness import plog

START = 1000.0
ERROR = '[ERROR] GE(7,python):2023-07-14-20:35:57.663.954 [gelib.cc:241]7 Initialize: failed'


def written(folder, name, text, at=START + 1):
    """A log file of that time."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    os.utime(str(path), (at, at))
    return str(path)


def found(home, since=START, pids=(), **more):
    return plog.find({'HOME': str(home), **more}, since, pids)


def test_a_log_written_since_the_start_is_found_with_its_errors(tmp_path):
    path = written(tmp_path / 'ascend/log/debug/plog', 'plog-7_20230714203557663.log',
                   f'[INFO] GE(7,python): fine\n{ERROR}\n[WARNING] GE(7,python): [ERROR] quoted\n')
    assert found(tmp_path) == plog.Plog(path, (ERROR,))
    assert path in found(tmp_path).told


@pytest.mark.parametrize('part', ['debug/plog', 'run/plog', 'plog'])
def test_every_layout_of_the_folder_is_known(tmp_path, part):
    path = written(tmp_path / 'ascend/log' / part, 'plog-7_1.log', ERROR)
    assert found(tmp_path).path == path


def test_the_variables_go_before_the_home_folder_in_canns_order(tmp_path):
    home, work, process = (written(tmp_path / part / 'debug/plog', 'plog-7_1.log', ERROR)
                           for part in ('ascend/log', 'work/log', 'process'))
    assert found(tmp_path).path == home
    more = {'ASCEND_WORK_PATH': str(tmp_path / 'work')}
    assert found(tmp_path, **more).path == work
    more['ASCEND_PROCESS_LOG_PATH'] = str(tmp_path / 'process')
    assert found(tmp_path, **more).path == process


def test_a_log_from_before_the_run_is_not_its(tmp_path):
    written(tmp_path / 'ascend/log/debug/plog', 'plog-7_1.log', ERROR, at=START - 1)
    assert found(tmp_path) is None


def test_of_known_processes_only_theirs_counts(tmp_path):
    folder = tmp_path / 'ascend/log/debug/plog'
    ours = written(folder, 'plog-7_1.log', ERROR)
    written(folder, 'plog-77_1.log', ERROR, at=START + 5)
    assert found(tmp_path, pids=[7, 8]).path == ours
    assert found(tmp_path, pids=[8]) is None


def test_the_newest_with_errors_goes_before_a_newer_one_without(tmp_path):
    folder = tmp_path / 'ascend/log'
    written(folder / 'debug/plog', 'plog-7_1.log', ERROR)
    newest = written(folder / 'debug/plog', 'plog-8_1.log', ERROR, at=START + 2)
    quiet = written(folder / 'run/plog', 'plog-8_1.log', '[EVENT] PROFILING(8,python): started\n',
                    at=START + 3)
    assert found(tmp_path).path == newest
    assert found(tmp_path, since=START + 3) == plog.Plog(quiet, ())


def test_of_a_huge_log_the_end_is_read(tmp_path):
    path = written(tmp_path / 'ascend/log/debug/plog', 'plog-7_1.log',
                   ERROR.replace('241', '1') + '\n' + '[INFO] x\n' * plog.TAIL_BYTES)
    assert found(tmp_path) == plog.Plog(path, ())   # the error lies before what is read
    with open(path, 'a') as f:
        f.write(ERROR + '\n' + ''.join(f'[ERROR] {i} {"x" * 1000}\n' for i in range(5)))
    errors = found(tmp_path).errors
    assert [line[:9] for line in errors] == [f'[ERROR] {i}' for i in range(5)]
    assert max(map(len, errors)) == plog.LONGEST


def test_bytes_that_are_no_text_and_files_that_are_no_logs_do_no_harm(tmp_path):
    folder = tmp_path / 'ascend/log/debug/plog'
    path = written(folder, 'plog-7_1.log', '')
    with open(path, 'wb') as f:
        f.write(b'\xff\xfe\x00\n[ERROR] \xff\n')
    written(folder, 'plog-x_1.log', ERROR)
    (folder / 'plog-9_1.log').mkdir()
    assert found(tmp_path).errors == ('[ERROR] \ufffd',)


def test_without_a_folder_there_is_none(tmp_path):
    assert found(tmp_path) is None
    assert plog.find({}, START) is None
