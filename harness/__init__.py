# SPDX-License-Identifier: Apache-2.0
"""Benchmark harness: config -> plan -> run -> parse -> judge -> report.

Each stage is one module and turns one kind of record (records.py) into the next.  Only run_all.py
knows their order, only run.py starts processes, only report/ writes reports.
"""
