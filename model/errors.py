# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, by name.  main.py is the only place that catches these."""


class ModelError(Exception):
    """Base class: the message alone tells the user what is wrong and what to do next."""


class RequestError(ModelError):
    """The request makes no sense: a bad value, missing data, a device that cannot do it."""


class TrainError(ModelError):
    """The training began and cannot go on."""
