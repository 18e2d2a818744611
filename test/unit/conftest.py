# SPDX-License-Identifier: Apache-2.0
"""Fixtures that several test files share."""

import pytest
from stand_in import Project


@pytest.fixture
def project(tmp_path):
    """A copy of the project with a stand-in for python3."""
    return Project(tmp_path)
