# SPDX-License-Identifier: Apache-2.0
"""Records -> text.  Every module but write.py is pure."""
