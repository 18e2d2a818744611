# SPDX-License-Identifier: Apache-2.0
"""Does a folder keep ModelZoo's rules?  folder, shell, dry_run -> Subject -> rules -> report."""
