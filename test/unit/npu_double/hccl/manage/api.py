# SPDX-License-Identifier: Apache-2.0
"""A double of what CANN's hccl tells about the ranks of a training on one device."""

import os


def get_rank_size(group='hccl_world_group'):
    return int(os.environ.get('RANK_SIZE', '1'))


def get_local_rank_size(group='hccl_world_group'):
    return get_rank_size(group)


def get_rank_id(group='hccl_world_group'):
    return int(os.environ.get('RANK_ID', '0'))


def get_local_rank_id(group='hccl_world_group'):
    return get_rank_id(group)
