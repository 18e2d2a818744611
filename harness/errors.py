# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, by name.  run_all.py and __main__.py are the only places that catch these."""


class HarnessError(Exception):
    """Base class: the message alone must tell the user what to do next."""


class ConfigError(HarnessError):
    """The request makes no sense: an unknown device, a bad value, a damaged baseline."""


class RunError(HarnessError):
    """A script could not be started, failed, hung or was interrupted."""


class ParseError(HarnessError):
    """A log lacks what a finished run always prints."""
