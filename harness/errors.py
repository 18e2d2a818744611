# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, by name.  What nobody can go on from ends in run_all.run_main()."""


class HarnessError(Exception):
    """Base class: the message alone must tell the user what to do next."""


class ConfigError(HarnessError):
    """The request makes no sense: an unknown device, a bad value, a damaged baseline."""


class RunError(HarnessError):
    """A script could not be started, failed, hung or was interrupted."""


class ParseError(HarnessError):
    """A log lacks what a finished run always prints."""
