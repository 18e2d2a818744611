# SPDX-License-Identifier: Apache-2.0
"""A run that has ended -> its record."""

import samples
from stand_in import test_log, training_log

from harness import evidence
from harness.parse import TrainingLog
from harness.records import Load, Outcome, Telemetry

TELEMETRY = Telemetry(at_s=(1.0, 2.0), cpu_percent=(99.5, 101.0), foreign_cpu_percent=(0.0, 2.5),
                      memory_mib=(500.0, 512.0), device_percent=(None, None),
                      device_memory_mib=(None, None), device_celsius=(None, None),
                      device_watts=(None, None))


def record(folder, log, output='', fault='', telemetry=None):
    """Of a run with that training log and that output."""
    (folder / 'train_0.log').write_text(log)
    (folder / 'output.log').write_text(log + output)
    outcome = Outcome(1 if fault else 0, fault, 1767322800.0, 61.5, str(folder / 'train_0.log'),
                      str(folder / 'output.log'))
    case = samples.case(samples.PSNR)
    return evidence.record(samples.session(case), samples.planned(1, samples.PSNR), outcome,
                           Load(512 * 2 ** 20, 187.5), TrainingLog().feed(log.splitlines()), '',
                           telemetry)


def test_a_record_has_the_telemetry_of_its_run_be_it_measured_or_failed(tmp_path):
    whole = training_log() + test_log()
    assert record(tmp_path, whole, telemetry=TELEMETRY).telemetry == TELEMETRY
    failed = record(tmp_path, whole, fault='exit status 1', telemetry=TELEMETRY)
    assert failed.fault and failed.telemetry == TELEMETRY
    assert record(tmp_path, whole).telemetry is None


def test_a_failure_is_told_with_its_phase_and_its_cause(tmp_path):
    compiling = training_log().splitlines()[:5]
    made = record(tmp_path, '\n'.join(compiling) + '\n', 'E40021: Failed to compile Op [x]\n',
                  'exit status 1')
    assert made.measurement is None
    assert made.fault.startswith('exit status 1 while compiling; the graph did not compile')
    assert made.last_lines[-1] == 'E40021: Failed to compile Op [x]'


def test_a_failure_after_the_training_is_not_put_down_to_it(tmp_path):
    made = record(tmp_path, training_log(), fault='exit status 1')
    assert made.fault == 'exit status 1 while finishing'


def test_a_run_that_is_measured_keeps_its_curve_and_what_its_picture_shows(tmp_path):
    measured = record(tmp_path, training_log(evaluated={6: 30.5}) + test_log(32.5)).measurement
    assert measured.psnr_curve == ((6, 30.5), (12, 32.5))
    assert [row.image for row in measured.picture.rows] == ['0801']
